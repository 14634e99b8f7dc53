//! Compiled regular expressions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex_automata::MatchKind;
use regex_automata::hybrid::dfa::{Builder, Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, Compiler, NFA, WhichCaptures};
use regex_automata::util::syntax::{self, parse_with};

use super::error::{Failure, Outcome};

/// Maximum bytes of a compiled expression, and of its states while it runs.
pub(crate) const COMPILED_SIZE: usize = 512 << 10;

pub(crate) const INVALID: Failure = Failure::function("the regular expression is not valid");
pub(crate) const TOO_LARGE: Failure = Failure::budget("a regular expression is too large");

/// Expressions compiled for this rendering.
#[derive(Default)]
pub(crate) struct Compiled(pub(crate) HashMap<Vec<u8>, Rc<Automaton>>);

/// A regular expression in the `regex` crate's syntax.
pub(crate) struct Automaton {
    pub(crate) forward: DFA,
    /// Runs from the end of a match to its start.
    pub(crate) backward: DFA,
    pub(crate) caches: RefCell<(Cache, Cache)>,
    pub(crate) size: usize,
}

impl Automaton {
    pub(crate) fn new(pattern: &str) -> Outcome<Self> {
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

    /// Bytes that it takes before it is run.
    pub(crate) fn memory(&self) -> usize {
        let nfas = self.forward.get_nfa().memory_usage() + self.backward.get_nfa().memory_usage();
        let caches = self.caches.borrow();
        nfas + caches.0.memory_usage() + caches.1.memory_usage()
    }
}

fn lazy(nfa: NFA, matches: MatchKind) -> Outcome<DFA> {
    let config =
        Config::new().match_kind(matches).cache_capacity(COMPILED_SIZE).skip_cache_capacity_check(true);
    Builder::new().configure(config).build_from_nfa(nfa).map_err(|_| TOO_LARGE)
}
