//! A compiled regular expression, run a few bytes at a time, so that time can run out in the middle of a text.
//!
//! The `regex` crate takes time in proportion to the expression's size times the text's, and cannot be stopped on the way.

use std::cell::RefCell;
use std::ops::Range;

use regex_automata::hybrid::dfa::{Builder, Cache, Config, DFA};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, Compiler, NFA, WhichCaptures};
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax::{self, parse_with};
use regex_automata::{Anchored, Input, MatchKind};

use super::Cx;
use crate::template::error::{Failure, Outcome};

/// Bytes that a compiled expression may take, and those that its states may take while it is run.
const COMPILED_SIZE: usize = 512 << 10;
/// Bytes of text between two looks at the clock: each may need a new state, made from all parts of the expression.
const STRIDE: usize = 64;
/// Steps for a stride through states that exist already.
const STEPS_PER_STRIDE: u64 = 4;
/// Bytes of a compiled expression that a step of making new states covers.
const BYTES_PER_STEP: usize = 1024;
/// Parts of an expression times bytes of text that are gone through at once to find the groups of a match.
const MOST_AT_ONCE: usize = 1 << 22;

pub(super) const INVALID: Failure = Failure::function("the regular expression is not valid");
pub(super) const TOO_LARGE: Failure = Failure::budget("a regular expression is too large");

/// A regular expression of the `regex` crate's syntax.
pub(super) struct Automaton {
    forward: DFA,
    /// From the end of a match to its beginning.
    backward: DFA,
    caches: RefCell<(Cache, Cache)>,
    size: usize,
}

impl Automaton {
    pub(super) fn new(pattern: &str) -> Outcome<Self> {
        let syntax = syntax::Config::new().utf8(false).octal(true).nest_limit(100);
        let parsed = parse_with(pattern, &syntax).map_err(|_| INVALID)?;
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(COMPILED_SIZE));
        let reversed = config.clone().reverse(true).which_captures(WhichCaptures::None);
        let compiled = |config| {
            let nfa = Compiler::new().configure(config).build_from_hir(&parsed);
            nfa.map_err(|error| if error.size_limit().is_some() { TOO_LARGE } else { INVALID })
        };
        let forward = lazy(compiled(config)?, MatchKind::LeftmostFirst)?;
        let backward = lazy(compiled(reversed)?, MatchKind::All)?;
        let caches = RefCell::new((forward.create_cache(), backward.create_cache()));
        let size = forward.get_nfa().memory_usage().max(backward.get_nfa().memory_usage());
        Ok(Self { forward, backward, caches, size })
    }

    pub(super) fn is_match(&self, cx: &mut Cx, text: &[u8]) -> Outcome<bool> {
        Ok(self.end(cx, text, 0, true)?.is_some())
    }

    /// The leftmost match that begins at `from` or later.
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
                    // A match is seen one byte late.
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

    /// Finds the groups of matches.
    pub(super) fn groups(&self, cx: &mut Cx) -> Outcome<Groups> {
        let nfa = self.forward.get_nfa();
        let slots = nfa.group_info().slot_len().saturating_mul(size_of::<usize>());
        cx.meter.allocate(nfa.states().len().saturating_mul(slots).saturating_mul(2))?;
        let vm = PikeVM::new_from_nfa(nfa.clone()).map_err(|_| INVALID)?;
        Ok(Groups { cache: vm.create_cache(), captures: vm.create_captures(), vm })
    }
}

fn lazy(nfa: NFA, matches: MatchKind) -> Outcome<DFA> {
    let config =
        Config::new().match_kind(matches).cache_capacity(COMPILED_SIZE).skip_cache_capacity_check(true);
    Builder::new().configure(config).build_from_nfa(nfa).map_err(|_| TOO_LARGE)
}

/// One search through a text.
struct Run<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    size: usize,
}

impl Run<'_> {
    /// Changes when a state is made.
    fn states(&self) -> (usize, usize) {
        (self.cache.clear_count(), self.cache.memory_usage())
    }

    /// Counts the work of a stride: more if states were made.
    fn pay(&self, cx: &mut Cx, before: (usize, usize)) -> Outcome<()> {
        cx.step(STEPS_PER_STRIDE)?;
        if self.states() != before {
            let parts = u64::try_from(self.size / BYTES_PER_STEP).unwrap_or(u64::MAX);
            cx.step(parts.saturating_add(1).saturating_mul(u64::try_from(STRIDE).unwrap_or(u64::MAX)))?;
        }
        cx.look()
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

    /// The next match. An empty one directly behind another is none; nor is one inside of a character, which Go does not find.
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

/// What the groups of an expression matched.
pub(super) struct Groups {
    vm: PikeVM,
    cache: thompson::pikevm::Cache,
    captures: Captures,
}

impl Groups {
    /// Looks for the groups of a match that has been found.
    pub(super) fn find(&mut self, cx: &mut Cx, text: &[u8], hit: &Range<usize>) -> Outcome<()> {
        let parts = self.vm.get_nfa().states().len().saturating_mul(self.captures.group_len() / 8 + 1);
        let work = parts.saturating_mul(hit.len().saturating_add(1));
        if work > MOST_AT_ONCE {
            return Err(Failure::budget("a match of a regular expression with groups is too large"));
        }
        cx.work(work)?;
        let input = Input::new(text).range(hit.clone()).anchored(Anchored::Yes);
        self.vm.search(&mut self.cache, &input, &mut self.captures);
        cx.look()
    }

    /// The text of a group by its number.
    pub(super) fn numbered<'t>(&self, text: &'t [u8], number: usize) -> &'t [u8] {
        self.captures.get_group(number).and_then(|span| text.get(span.range())).unwrap_or_default()
    }

    /// The text of a group by its name.
    pub(super) fn named<'t>(&self, text: &'t [u8], name: &str) -> &'t [u8] {
        self.captures.get_group_by_name(name).and_then(|span| text.get(span.range())).unwrap_or_default()
    }
}
