//! Limit of diagnoses: one at a time, and a share of private-key operations for each namespace.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::sealed_secret::limits::{DIAGNOSIS_BURST, DIAGNOSIS_RATE};

/// Permits for diagnoses. Its lock is its own, because it counts namespaces and not objects.
#[derive(Debug)]
pub(crate) struct DiagnosisLimit {
    /// One diagnosis at a time.
    running: Semaphore,
    buckets: Mutex<HashMap<String, TokenBucket>>,
}

/// Private-key operations that a namespace has left.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    operations: f64,
    at: Instant,
}

impl TokenBucket {
    fn at(self, now: Instant) -> Self {
        let earned = now.duration_since(self.at).as_secs_f64() * DIAGNOSIS_RATE;
        Self { operations: (self.operations + earned).min(DIAGNOSIS_BURST), at: now }
    }
}

/// Permit to diagnose one object of a namespace.
pub(crate) struct DiagnosisPermit<'a> {
    limit: &'a DiagnosisLimit,
    namespace: String,
    _permit: SemaphorePermit<'a>,
}

impl DiagnosisPermit<'_> {
    /// Takes operations from the bucket of the namespace.
    pub(crate) fn spend(&self, operations: usize) {
        if let Some(bucket) = self.limit.lock().get_mut(&self.namespace) {
            bucket.operations -= f64::from(u32::try_from(operations).unwrap_or(u32::MAX));
        }
    }
}

impl DiagnosisLimit {
    pub(crate) fn new() -> Self {
        Self { running: Semaphore::new(1), buckets: Mutex::default() }
    }

    /// Returns a permit for an object of `namespace`, unless another diagnosis is running or the bucket of the namespace is
    /// empty.
    pub(crate) fn try_acquire(&self, namespace: &str, now: Instant) -> Option<DiagnosisPermit<'_>> {
        let permit = self.running.try_acquire().ok()?;
        let mut buckets = self.lock();
        buckets.retain(|_, bucket| bucket.at(now).operations < DIAGNOSIS_BURST);
        let full = TokenBucket { operations: DIAGNOSIS_BURST, at: now };
        let bucket = buckets.entry(namespace.to_owned()).or_insert(full);
        *bucket = bucket.at(now);
        (bucket.operations >= 1.0).then(|| DiagnosisPermit {
            limit: self,
            namespace: namespace.to_owned(),
            _permit: permit,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, TokenBucket>> {
        self.buckets.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_object_is_examined_at_a_time_and_a_namespace_gets_no_more_than_its_share() {
        let (limit, start) = (DiagnosisLimit::new(), Instant::now());
        let permit = limit.try_acquire("shop", start).unwrap();
        assert!(limit.try_acquire("shop", start).is_none(), "one at a time");
        permit.spend(1200);
        drop(permit);
        assert!(limit.try_acquire("shop", start + Duration::from_secs(9)).is_none(), "its share is used up");
        assert!(limit.try_acquire("shop", start + Duration::from_secs(11)).is_some());
    }
}
