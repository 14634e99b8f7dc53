//! Back-off of everything that fails: of watches, and of attempts that are repeated.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// Returns the wait before an attempt: `first` after one failure, twice as long after each further one, at most `longest`.
pub(crate) fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

const MAX_WATCH_BACKOFF: Duration = Duration::from_secs(5);
const OPTIONAL_MAX: Duration = Duration::from_secs(30);
/// About one minute of retries.
const TRIES_BEFORE_SLOWDOWN: u32 = 12;

/// Back-off of a failing watch.
pub(crate) struct WatchBackoff {
    pauses: DefaultBackoff,
    tries: u32,
    longest_after_a_minute: Duration,
}

impl WatchBackoff {
    /// Back-off of a watch that the controller cannot work without: five seconds at most, because its obstacle may go
    /// away at any time, such as a namespace whose role binding is created later.
    pub(crate) fn required() -> Self {
        Self { pauses: DefaultBackoff::default(), tries: 0, longest_after_a_minute: MAX_WATCH_BACKOFF }
    }

    /// Back-off of a watch that the role of an existing installation may never allow, and that has a fallback: after
    /// the first minute, no more than two attempts per minute.
    pub(crate) fn optional() -> Self {
        Self { longest_after_a_minute: OPTIONAL_MAX, ..Self::required() }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        let is_slowed_down = self.tries > TRIES_BEFORE_SLOWDOWN;
        let pause = self.pauses.next().map(|pause| pause.min(MAX_WATCH_BACKOFF));
        if is_slowed_down { pause.max(Some(self.longest_after_a_minute)) } else { pause }
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.pauses.reset();
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_stays_there() {
        let longest = Duration::from_mins(5);
        let waits = [0, 1, 2, 3, 4, 21, u32::MAX]
            .map(|failures| doubled(Duration::from_millis(200), failures, longest));
        let millis = Duration::from_millis;
        assert_eq!(
            waits,
            [millis(200), millis(200), millis(400), millis(800), millis(1600), longest, longest]
        );
    }

    #[test]
    fn a_watch_that_is_denied_for_ever_is_soon_tried_twice_a_minute_and_a_needed_one_more_often() {
        let after = |mut backoff: WatchBackoff, tries| backoff.nth(tries).unwrap();
        assert!(after(WatchBackoff::optional(), 5) <= MAX_WATCH_BACKOFF);
        assert_eq!(after(WatchBackoff::optional(), 50), OPTIONAL_MAX);
        assert_eq!(after(WatchBackoff::required(), 50), MAX_WATCH_BACKOFF);
        let mut again = WatchBackoff::optional();
        again.nth(50);
        again.reset();
        assert!(after(again, 0) < MAX_WATCH_BACKOFF);
    }
}
