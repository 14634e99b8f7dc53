//! What templates see of the world outside when they are rendered on a laptop.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use sealed_secrets_core::template::Sources;

/// The templates of one object may take this long by the clock. Their budget of steps ends nearly all sooner.
const WALL: Duration = Duration::from_secs(10);

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
        Timestamp::now()
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
