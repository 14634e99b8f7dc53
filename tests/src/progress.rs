//! Progress messages.

use std::time::{Duration, Instant};

/// Runs `work`; prints its name, its usual duration and its actual duration to standard error.
pub fn timed<T>(what: &str, usually: &str, work: impl FnOnce() -> T) -> T {
    eprintln!("{what} (usually {usually}) ...");
    let start = Instant::now();
    let result = work();
    eprintln!("{what}: {}", human(start.elapsed()));
    result
}

/// Formats a duration for people: `0.4 s`, `12 s`, `3 min 5 s`.
#[must_use]
pub(crate) fn human(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_speech() {
        assert_eq!(human(Duration::from_millis(420)), "0.4 s");
        assert_eq!(human(Duration::from_secs(12)), "12 s");
        assert_eq!(human(Duration::from_secs(185)), "3 min 5 s");
    }
}
