//! What templates see of the world outside: clock, time zones, randomness, and the end of their time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use sealed_secrets_core::template::Sources;

use crate::clock;

/// The templates of one object may take this long by the clock. Their budget of steps ends nearly all sooner.
pub(crate) const WALL: Duration = Duration::from_secs(2);

/// The world during the rendering of one object.
pub(crate) struct Surroundings {
    deadline: Instant,
}

impl Surroundings {
    /// Time runs from now.
    pub(crate) fn from_now() -> Self {
        Self { deadline: Instant::now() + WALL }
    }
}

impl Sources for Surroundings {
    fn now(&mut self) -> Timestamp {
        clock::now()
    }

    fn local_zone(&mut self) -> TimeZone {
        TimeZone::system()
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        // Go tells upper from lower case in these names.
        TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name))
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn expired(&mut self) -> bool {
        Instant::now() >= self.deadline
    }
}
