//! Runs a compiled regular expression a few bytes at a time, so that the budget can end it in the middle of a text.
//!
//! The `regex` crate takes time in proportion to the expression's size times the text's, and cannot be interrupted.

use std::ops::Range;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input};

use crate::template::compiled::{Automaton, INVALID, TOO_LARGE};
use crate::template::context::Cx;
use crate::template::error::{Failure, Outcome};

/// Bytes of text between two checks of the clock. Each byte may need a new state, built from all parts of the expression.
const STRIDE: usize = 64;
/// Steps charged for a stride through existing states.
const STEPS_PER_STRIDE: u64 = 4;
/// Bytes of a compiled expression that one step covers when new states are built.
const BYTES_PER_STEP: usize = 1024;
/// Maximum product of expression parts and text bytes for finding the groups of a match, which cannot be interrupted.
const MAX_AT_ONCE: usize = 1 << 22;

impl Automaton {
    pub(super) fn is_match(&self, cx: &mut Cx, text: &[u8]) -> Outcome<bool> {
        Ok(self.end(cx, text, 0, true)?.is_some())
    }

    /// Returns the leftmost match that begins at `from` or later.
    pub(super) fn find(&self, cx: &mut Cx, text: &[u8], from: usize) -> Outcome<Option<Range<usize>>> {
        let Some(end) = self.end(cx, text, from, false)? else {
            return Ok(None);
        };
        let start = if end == from { from } else { self.start(cx, text, from..end)? };
        Ok(Some(start..end))
    }

    fn end(&self, cx: &mut Cx, text: &[u8], from: usize, earliest: bool) -> Outcome<Option<usize>> {
        let mut caches = self.caches.borrow_mut();
        let run = Run { dfa: &self.forward, cache: &mut caches.0, size: self.size };
        let input = Input::new(text).range(from..);
        let mut state = run.dfa.start_state_forward(run.cache, &input).map_err(|_| TOO_LARGE)?;
        let mut end = None;
        let rest = text.get(from..).unwrap_or_default();
        for (stride, start) in rest.chunks(STRIDE).zip((from..).step_by(STRIDE)) {
            let before = run.states();
            for (byte, at) in stride.iter().zip(start..) {
                state = run.dfa.next_state(run.cache, state, *byte).map_err(|_| TOO_LARGE)?;
                if state.is_match() {
                    // A DFA reports a match one byte late.
                    end = Some(at);
                }
                if state.is_dead() || (earliest && end.is_some()) {
                    run.pay(cx, before)?;
                    return Ok(end);
                }
            }
            run.pay(cx, before)?;
        }
        let last = run.dfa.next_eoi_state(run.cache, state).map_err(|_| TOO_LARGE)?;
        cx.step(1)?;
        Ok(if last.is_match() { Some(text.len()) } else { end })
    }

    fn start(&self, cx: &mut Cx, text: &[u8], within: Range<usize>) -> Outcome<usize> {
        let mut caches = self.caches.borrow_mut();
        let run = Run { dfa: &self.backward, cache: &mut caches.1, size: self.size };
        let input = Input::new(text).range(within.clone()).anchored(Anchored::Yes);
        let mut state = run.dfa.start_state_reverse(run.cache, &input).map_err(|_| TOO_LARGE)?;
        let mut start = within.end;
        let mut at = within.end;
        let matched = text.get(within.clone()).unwrap_or_default();
        for stride in matched.rchunks(STRIDE) {
            let before = run.states();
            for byte in stride.iter().rev() {
                state = run.dfa.next_state(run.cache, state, *byte).map_err(|_| TOO_LARGE)?;
                if state.is_match() {
                    start = at;
                }
                at -= 1;
            }
            run.pay(cx, before)?;
            if state.is_dead() {
                return Ok(start);
            }
        }
        let before_match = within.start.checked_sub(1).and_then(|before| text.get(before));
        let last = match before_match {
            Some(byte) => run.dfa.next_state(run.cache, state, *byte),
            None => run.dfa.next_eoi_state(run.cache, state),
        };
        Ok(if last.map_err(|_| TOO_LARGE)?.is_match() { within.start } else { start })
    }

    /// Prepares the search for the groups of matches.
    pub(super) fn groups(&self, cx: &mut Cx) -> Outcome<Groups> {
        let nfa = self.forward.get_nfa();
        let slots = nfa.group_info().slot_len().saturating_mul(size_of::<usize>());
        cx.meter.allocate(nfa.states().len().saturating_mul(slots).saturating_mul(2))?;
        let vm = PikeVM::new_from_nfa(nfa.clone()).map_err(|_| INVALID)?;
        Ok(Groups { cache: vm.create_cache(), captures: vm.create_captures(), vm })
    }
}

/// One pass over a text.
struct Run<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    size: usize,
}

impl Run<'_> {
    /// Returns numbers that change when a state is built.
    fn states(&self) -> (usize, usize) {
        (self.cache.clear_count(), self.cache.memory_usage())
    }

    /// Charges for a stride: more if states were built.
    fn pay(&self, cx: &mut Cx, before: (usize, usize)) -> Outcome<()> {
        cx.step(STEPS_PER_STRIDE)?;
        if self.states() != before {
            let parts = u64::try_from(self.size / BYTES_PER_STEP).unwrap_or(u64::MAX);
            cx.step(parts.saturating_add(1).saturating_mul(u64::try_from(STRIDE).unwrap_or(u64::MAX)))?;
            cx.meter.allocate(self.cache.memory_usage().saturating_sub(before.1))?;
        }
        cx.check_deadline()
    }
}

/// All matches in a text, from left to right.
pub(super) struct Hits<'a> {
    automaton: &'a Automaton,
    text: &'a [u8],
    from: usize,
    last_end: Option<usize>,
}

impl<'a> Hits<'a> {
    pub(super) fn new(automaton: &'a Automaton, text: &'a [u8]) -> Self {
        Self { automaton, text, from: 0, last_end: None }
    }

    /// Returns the next match. As in Go, an empty match directly after another one and a match inside a character do not count.
    pub(super) fn next(&mut self, cx: &mut Cx) -> Outcome<Option<Range<usize>>> {
        while self.from <= self.text.len() {
            cx.step(1)?;
            let Some(hit) = self.automaton.find(cx, self.text, self.from)? else {
                break;
            };
            if hit.is_empty() && Some(hit.end) == self.last_end {
                self.from += 1;
                continue;
            }
            self.from = hit.end;
            self.last_end = Some(hit.end);
            let is_in_character = self.text.get(hit.start).is_some_and(|byte| matches!(byte, 0x80..0xC0));
            if !(hit.is_empty() && is_in_character) {
                return Ok(Some(hit));
            }
        }
        self.from = self.text.len().saturating_add(1);
        Ok(None)
    }
}

/// Text ranges of the groups of a match.
pub(super) struct Groups {
    vm: PikeVM,
    cache: thompson::pikevm::Cache,
    captures: Captures,
}

impl Groups {
    /// Finds the groups of a known match.
    pub(super) fn find(&mut self, cx: &mut Cx, text: &[u8], hit: &Range<usize>) -> Outcome<()> {
        let parts = self.vm.get_nfa().states().len().saturating_mul(self.captures.group_len() / 8 + 1);
        let work = parts.saturating_mul(hit.len().saturating_add(1));
        if work > MAX_AT_ONCE {
            return Err(Failure::budget("a match of a regular expression with groups is too large"));
        }
        cx.work(work)?;
        let input = Input::new(text).range(hit.clone()).anchored(Anchored::Yes);
        self.vm.search(&mut self.cache, &input, &mut self.captures);
        cx.check_deadline()
    }

    /// Returns the text of a group by its number.
    pub(super) fn numbered<'t>(&self, text: &'t [u8], number: usize) -> &'t [u8] {
        self.captures.get_group(number).and_then(|span| text.get(span.range())).unwrap_or_default()
    }

    /// Returns the text of a group by its name.
    pub(super) fn named<'t>(&self, text: &'t [u8], name: &str) -> &'t [u8] {
        self.captures.get_group_by_name(name).and_then(|span| text.get(span.range())).unwrap_or_default()
    }
}
