//! Attempts to make a key that fail: repeated soon, then ever more seldom, and never a whole period later.

use std::time::{Duration, Instant};

use super::KeystoreError;
use super::view::Hindrance;

const FIRST: Duration = Duration::from_secs(2);
/// Making a key takes seconds of computing.
const LONGEST: Duration = Duration::from_mins(5);

/// The failures since the last key that was made or not wanted any more.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    count: u32,
    hindrance: Option<Hindrance>,
    next: Option<Instant>,
    /// Whether the last one has ended with a key, here or elsewhere.
    yielded: bool,
}

impl Attempts {
    /// Nothing is wanted, or it was done.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, error: &KeystoreError, now: Instant) {
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.count)).min(LONGEST);
        self.count = self.count.saturating_add(1);
        self.next = now.checked_add(wait);
        self.hindrance = Some(Hindrance::Failed { attempts: self.count, why: error.to_string() });
    }

    /// A key was made, here or by somebody faster: no failure, unless it is so again and one is wanted still. Returns how long
    /// to wait.
    pub(super) fn yielded(&mut self, error: &KeystoreError, now: Instant) -> Duration {
        if self.yielded {
            self.failed(error, now);
            return Duration::ZERO;
        }
        self.yielded = true;
        self.next = now.checked_add(FIRST);
        FIRST
    }

    /// How long to wait before the next one.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    pub(super) fn hindrance(&self) -> Option<Hindrance> {
        self.hindrance.clone()
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
        assert!(matches!(attempts.hindrance(), Some(Hindrance::Failed { attempts: 10, .. })));
        attempts.forget();
        assert_eq!((attempts.wait(now), attempts.hindrance()), (Duration::ZERO, None));
    }

    #[test]
    fn who_was_not_the_first_has_failed_only_if_that_changes_nothing() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert_eq!(attempts.yielded(&KeystoreError::NotShown, now), FIRST);
        assert_eq!((attempts.wait(now), attempts.hindrance()), (FIRST, None));
        attempts.yielded(&KeystoreError::NotShown, now);
        assert!(matches!(attempts.hindrance(), Some(Hindrance::Failed { attempts: 1, .. })));
        attempts.forget();
        attempts.yielded(&KeystoreError::NotShown, now);
        assert_eq!(attempts.hindrance(), None);
    }
}
