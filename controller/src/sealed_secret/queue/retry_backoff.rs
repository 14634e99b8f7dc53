//! Retry back-off of one object that fails: the wait that the retry policy (`reconcile::retry`) applies.

use std::time::Duration;

use crate::api::backoff::doubled;

const FIRST: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Consecutive failures of an object while everything that an attempt depends on stays the same. The wait doubles up to five
/// minutes; there is no last retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetryBackoff {
    fingerprint: u64,
    failures: u32,
}

impl RetryBackoff {
    /// Counts a failure and returns the wait before the next attempt. The first failure with another `fingerprint` starts over.
    /// `jitter` is random, 0 to 1, and shortens the wait by up to a fifth.
    pub(crate) fn fail(&mut self, fingerprint: u64, jitter: f64) -> Duration {
        let before = if self.fingerprint == fingerprint { self.failures } else { 0 };
        *self = Self { fingerprint, failures: before.saturating_add(1) };
        doubled(FIRST, self.failures, MAX_BACKOFF).mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
    }

    /// Returns the number of failures since the last success or change of the fingerprint.
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes_and_stays_there() {
        let mut backoff = RetryBackoff::default();
        let waits: Vec<_> = (0..30).map(|_| backoff.fail(1, 0.0)).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[20..], [MAX_BACKOFF; 10]);
    }

    #[test]
    fn chance_shortens_a_wait_so_that_many_do_not_come_back_together() {
        let (mut latest, mut soonest) = (RetryBackoff::default(), RetryBackoff::default());
        assert_eq!(latest.fail(1, 0.0), FIRST);
        assert_eq!(soonest.fail(1, 1.0), FIRST.mul_f64(0.8));
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = RetryBackoff::default();
        assert_eq!(backoff.fail(1, 0.0), FIRST);
        assert_eq!(backoff.fail(1, 0.0), FIRST * 2);
        backoff = RetryBackoff::default();
        assert_eq!(backoff.fail(1, 0.0), FIRST);
    }

    #[test]
    fn other_circumstances_start_over() {
        let mut backoff = RetryBackoff::default();
        backoff.fail(1, 0.0);
        backoff.fail(1, 0.0);
        assert_eq!(backoff.failures(), 2);
        assert_eq!(backoff.fail(2, 0.0), FIRST);
        assert_eq!(backoff.failures(), 1);
    }
}
