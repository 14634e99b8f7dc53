//! The world outside of a rendering: clocks, time zones and randomness.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The inputs of a rendering besides its items: clocks, time zones and random bytes.
pub trait Sources {
    /// The time that `now` gives.
    fn now(&mut self) -> Timestamp;
    /// The zone in which dates are printed where a template names none.
    fn local_zone(&mut self) -> TimeZone;
    /// A zone of the IANA database. Names may match in any case: a zone with another name than this one is not used.
    fn zone(&mut self, name: &str) -> Option<TimeZone>;
    /// Fills `bytes` with random bytes fit for keys.
    fn fill_random(&mut self, bytes: &mut [u8]);
    /// The time until now. Templates ask for it every few milliseconds, also within functions.
    fn elapsed(&mut self) -> Elapsed;
    /// Runs work that is slow by design and cannot be interrupted. A source that measures the time between two calls of `elapsed`
    /// overrides this.
    fn slowly(&mut self, work: &mut dyn FnMut()) {
        work();
    }
}

/// Times since some moment before the rendering began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Elapsed {
    /// Processor time that this thread has used.
    pub processor: Duration,
    /// Time that has passed by the clock.
    pub wall: Duration,
}
