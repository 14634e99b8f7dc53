//! The world that templates see in tests.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::{Deadline, Sources, Work};

/// A clock that stands still and numbers that are not random.
pub(crate) struct Still {
    looks_left: usize,
    deadline: Deadline,
}

impl Still {
    /// Time never runs out.
    pub(crate) fn forever() -> Self {
        Self::until_look(usize::MAX, Deadline::Processor)
    }

    /// The deadline has passed at this look at the clock.
    pub(crate) fn until_look(number: usize, deadline: Deadline) -> Self {
        Self { looks_left: number, deadline }
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
        TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name))
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn passed(&mut self) -> Option<Deadline> {
        self.looks_left = self.looks_left.saturating_sub(1);
        (self.looks_left == 0).then_some(self.deadline)
    }

    fn run_apart(&mut self, work: Work) -> bool {
        work();
        true
    }
}
