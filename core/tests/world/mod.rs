//! The world that templates see in tests.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::Sources;

/// A clock that stands still and numbers that are not random.
pub(crate) struct Still {
    looks_left: usize,
}

impl Still {
    /// Time never runs out.
    pub(crate) fn forever() -> Self {
        Self::until_look(usize::MAX)
    }

    /// Time has run out at this look at the clock.
    pub(crate) fn until_look(number: usize) -> Self {
        Self { looks_left: number }
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

    fn expired(&mut self) -> bool {
        self.looks_left = self.looks_left.saturating_sub(1);
        self.looks_left == 0
    }
}
