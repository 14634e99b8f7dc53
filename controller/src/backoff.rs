//! How long to wait before an object is tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_mins(5);
const LONGEST_OF_WATCH: Duration = Duration::from_secs(5);
const LONGEST_OF_SPARE_WATCH: Duration = Duration::from_secs(30);
/// About a minute.
const TRIES_BEFORE_SPARING: u32 = 12;

/// The pauses of a watch that fails.
pub(crate) struct WatchBackoff {
    pauses: DefaultBackoff,
    tries: u32,
    longest_after_a_minute: Duration,
}

impl WatchBackoff {
    /// Of a watch without which nothing is done, five seconds at most: what hinders it, such as a namespace whose rights come
    /// later, may go away any time.
    pub(crate) fn needed() -> Self {
        Self { pauses: DefaultBackoff::default(), tries: 0, longest_after_a_minute: LONGEST_OF_WATCH }
    }

    /// Of a watch that the rights of an existing installation may never allow, and that something else stands in for: soon it
    /// tries no more than twice a minute.
    pub(crate) fn spare() -> Self {
        Self { longest_after_a_minute: LONGEST_OF_SPARE_WATCH, ..Self::needed() }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        let is_sparing = self.tries > TRIES_BEFORE_SPARING;
        let pause = self.pauses.next().map(|pause| pause.min(LONGEST_OF_WATCH));
        if is_sparing { pause.max(Some(self.longest_after_a_minute)) } else { pause }
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.pauses.reset();
        self.tries = 0;
    }
}

/// Counts consecutive failures by key, as long as the circumstances stay the same: the wait doubles up to five minutes and never
/// ends.
#[derive(Debug, Default)]
pub(crate) struct Failures<K> {
    failures: Mutex<HashMap<K, Series>>,
}

#[derive(Clone, Copy, Debug)]
struct Series {
    circumstances: u64,
    count: u32,
}

impl<K: Eq + Hash> Failures<K> {
    /// Notes a failure and returns the wait before the next attempt; the first one under other circumstances starts over.
    /// `jitter` is random, 0 to 1, and takes away up to a fifth.
    pub(crate) fn failed(&self, key: K, circumstances: u64, jitter: f64) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failures.get(&key).filter(|series| series.circumstances == circumstances);
        let before = before.map_or(0, |series| series.count);
        failures.insert(key, Series { circumstances, count: before.saturating_add(1) });
        wait(before).mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
    }

    /// How often this key has failed since its last success or change of circumstances.
    pub(crate) fn failures(&self, key: &K) -> u32 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(key).map_or(0, |series| series.count)
    }

    /// Forgets the failures of this key.
    pub(crate) fn succeeded(&self, key: &K) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn wait(failures_before: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(failures_before)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes_and_stays_there() {
        let waits: Vec<_> = [0, 1, 2, 3, 20, 4_000_000_000].map(wait).to_vec();
        let millis = Duration::from_millis;
        assert_eq!(waits, [millis(200), millis(400), millis(800), millis(1600), LONGEST, LONGEST]);
    }

    #[test]
    fn a_watch_that_is_denied_for_ever_is_soon_tried_twice_a_minute_and_a_needed_one_more_often() {
        let after = |mut backoff: WatchBackoff, tries| backoff.nth(tries).unwrap();
        assert!(after(WatchBackoff::spare(), 5) <= LONGEST_OF_WATCH);
        assert_eq!(after(WatchBackoff::spare(), 50), LONGEST_OF_SPARE_WATCH);
        assert_eq!(after(WatchBackoff::needed(), 50), LONGEST_OF_WATCH);
        let mut again = WatchBackoff::spare();
        again.nth(50);
        again.reset();
        assert!(after(again, 0) < LONGEST_OF_WATCH);
    }

    #[test]
    fn chance_shortens_a_wait_so_that_many_do_not_come_back_together() {
        let (latest, soonest) = (Failures::default(), Failures::default());
        assert_eq!(latest.failed("a", 1, 0.0), FIRST);
        assert_eq!(soonest.failed("a", 1, 1.0), FIRST.mul_f64(0.8));
    }

    #[test]
    fn success_starts_over() {
        let backoff = Failures::default();
        assert_eq!(backoff.failed("a", 1, 0.0), FIRST);
        assert_eq!(backoff.failed("a", 1, 0.0), FIRST * 2);
        backoff.succeeded(&"a");
        assert_eq!(backoff.failed("a", 1, 0.0), FIRST);
    }

    #[test]
    fn other_circumstances_start_over() {
        let backoff = Failures::default();
        backoff.failed("a", 1, 0.0);
        backoff.failed("a", 1, 0.0);
        assert_eq!(backoff.failures(&"a"), 2);
        assert_eq!(backoff.failed("a", 2, 0.0), FIRST);
        assert_eq!(backoff.failures(&"a"), 1);
    }
}
