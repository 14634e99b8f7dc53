//! Clock, time zones and random numbers for templates that are rendered on a laptop.

use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use sealed_secrets_core::template::{Elapsed, Sources};

use crate::platform::processor_time;

/// Sources for the rendering of one object.
pub(crate) struct TemplateSources {
    since: Instant,
}

impl TemplateSources {
    /// Starts the clock of the rendering.
    pub(crate) fn from_now() -> Self {
        Self { since: Instant::now() }
    }
}

impl Sources for TemplateSources {
    fn now(&mut self) -> Timestamp {
        Timestamp::now()
    }

    fn local_zone(&mut self) -> TimeZone {
        TimeZone::system()
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn elapsed(&mut self) -> Elapsed {
        let wall = self.since.elapsed();
        Elapsed { processor: processor_time().unwrap_or(wall), wall }
    }
}
