//! The impure inputs of templates: clock, time zones, randomness, and the deadline.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use rustix::time::{ClockId, clock_gettime};
use sealed_secrets_core::template::{Elapsed, Sources};

use crate::clock;

/// Sources for the rendering of one object, on one thread.
pub(crate) struct TemplateSources {
    since: Instant,
}

impl TemplateSources {
    /// Creates the inputs. The time limit starts now.
    pub(crate) fn from_now() -> Self {
        Self { since: Instant::now() }
    }
}

impl Sources for TemplateSources {
    fn now(&mut self) -> Timestamp {
        clock::now()
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
        let processor = clock_gettime(ClockId::ThreadCPUTime);
        Elapsed { processor: Duration::try_from(processor).unwrap_or_default(), wall: self.since.elapsed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_thread_waits_only_the_time_by_the_clock_passes() {
        let mut sources = TemplateSources::from_now();
        let before = sources.elapsed();
        let wait = Duration::from_millis(300);
        std::thread::sleep(wait);
        let after = sources.elapsed();
        assert!(after.wall >= before.wall + wait);
        assert!(after.processor < before.processor + wait / 2);
    }
}
