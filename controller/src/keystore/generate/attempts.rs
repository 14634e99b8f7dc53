//! Back-off of failed attempts to generate a key. It is capped, so that no attempt is delayed by a whole rotation
//! period.

use std::time::{Duration, Instant};

use crate::api::backoff::doubled;
use crate::keystore::error::KeystoreError;
use crate::keystore::view::Blocker;

const FIRST: Duration = Duration::from_secs(2);
/// Longest wait: generating a key takes seconds of CPU time.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// The failures since a key was last generated or no longer due.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    count: u32,
    blocker: Option<Blocker>,
    next: Option<Instant>,
    /// True if the last attempt ended with a key, created by us or another replica.
    key_created: bool,
}

impl Attempts {
    /// Resets the back-off: no key is due, or it was created.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn failed(&mut self, error: &KeystoreError, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.next = now.checked_add(doubled(FIRST, self.count, MAX_BACKOFF));
        self.blocker = Some(Blocker::Failed { attempts: self.count, cause: error.to_string() });
    }

    /// A key was created, by us or another replica. Counts as a failure only if a key is still due afterwards. Returns
    /// the wait before the next attempt.
    pub(crate) fn key_created(&mut self, error: &KeystoreError, now: Instant) -> Duration {
        if self.key_created {
            self.failed(error, now);
            return Duration::ZERO;
        }
        self.key_created = true;
        self.next = now.checked_add(FIRST);
        FIRST
    }

    /// Returns the wait before the next attempt.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    pub(crate) fn blocker(&self) -> Option<Blocker> {
        self.blocker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_comes_soon_and_at_the_latest_after_five_minutes() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(attempts.wait(now), Duration::ZERO);
        let waits: Vec<_> = (0..10)
            .map(|_| {
                attempts.failed(&KeystoreError::NoFreeName(1), now);
                attempts.wait(now).as_secs()
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(matches!(attempts.blocker(), Some(Blocker::Failed { attempts: 10, .. })));
        attempts.forget();
        assert_eq!((attempts.wait(now), attempts.blocker()), (Duration::ZERO, None));
    }

    #[test]
    fn losing_the_race_to_create_a_key_is_a_failure_only_if_a_key_is_still_due() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(attempts.key_created(&KeystoreError::NotShown, now), FIRST);
        assert_eq!((attempts.wait(now), attempts.blocker()), (FIRST, None));
        attempts.key_created(&KeystoreError::NotShown, now);
        assert!(matches!(attempts.blocker(), Some(Blocker::Failed { attempts: 1, .. })));
        attempts.forget();
        attempts.key_created(&KeystoreError::NotShown, now);
        assert_eq!(attempts.blocker(), None);
    }
}
