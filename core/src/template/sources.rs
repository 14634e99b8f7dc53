//! The world outside of a rendering: clock, time zones, randomness, threads and deadlines.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What rendering needs from outside.
pub trait Sources {
    /// The time that `now` gives.
    fn now(&mut self) -> Timestamp;
    /// The zone in which dates are printed where a template names none.
    fn local_zone(&mut self) -> TimeZone;
    /// A zone of the IANA database; names are case-sensitive.
    fn zone(&mut self, name: &str) -> Option<TimeZone>;
    /// Fills `bytes` with random bytes fit for keys.
    fn fill_random(&mut self, bytes: &mut [u8]);
    /// The deadline that has passed, if one has. Asked again and again, also within functions, with milliseconds of work between.
    fn passed(&mut self) -> Option<Deadline>;
    /// Runs work that is slow by design and cannot be interrupted, on another thread or at once. False if it cannot be run.
    ///
    /// One piece of work runs at a time, and the rendering does nothing else meanwhile. If a deadline passes first, the thread is
    /// left behind and its result is dropped: what the rendering may use of the machine stays in use until the work has ended.
    fn run_apart(&mut self, work: Work) -> bool;
}

/// Work for another thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// The end of the time that a rendering may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The rendering has used up its own processor time. It would again.
    Processor,
    /// It has waited too long, for the processor or for work apart. Another time it may not.
    Wall,
}
