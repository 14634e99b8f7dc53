//! The world that templates see in tests.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::{Elapsed, Sources};

/// A clock that stands still and numbers that are not random.
pub(crate) struct Still {
    looks_left: usize,
    at_last: Elapsed,
    elapsed: Elapsed,
    /// The time that each slow function takes.
    pub(crate) slow: Elapsed,
}

impl Still {
    /// Time never runs out.
    pub(crate) fn forever() -> Self {
        Self::until_look(usize::MAX, Elapsed::default())
    }

    /// No time passes until this look at the clocks, which then show `at_last`.
    pub(crate) fn until_look(number: usize, at_last: Elapsed) -> Self {
        Self { looks_left: number, at_last, elapsed: Elapsed::default(), slow: Elapsed::default() }
    }
}

impl Sources for Still {
    fn now(&mut self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn local_zone(&mut self) -> TimeZone {
        TimeZone::UTC
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn elapsed(&mut self) -> Elapsed {
        self.looks_left = self.looks_left.saturating_sub(1);
        if self.looks_left == 0 { self.at_last } else { self.elapsed }
    }

    fn slowly(&mut self, work: &mut dyn FnMut()) {
        work();
        self.elapsed.processor += self.slow.processor;
        self.elapsed.wall += self.slow.wall;
    }
}
