//! Limit of diagnoses: a share of private-key operations for each namespace.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use crate::sealed_secret::limits::{DIAGNOSIS_BURST, DIAGNOSIS_RATE};
use crate::work::token_bucket::{Rate, TokenBucket};

const RATE: Rate = Rate { per_second: DIAGNOSIS_RATE, size: DIAGNOSIS_BURST };

/// Private-key operations that namespaces have left. Its lock is its own, because it counts namespaces and not objects.
#[derive(Debug, Default)]
pub(crate) struct DiagnosisLimit {
    /// Those of namespaces that have used some.
    buckets: Mutex<HashMap<String, TokenBucket>>,
}

impl DiagnosisLimit {
    /// Returns true if an object of `namespace` may be diagnosed.
    pub(crate) fn admits(&self, namespace: &str, now: Instant) -> bool {
        self.buckets.lock().get(namespace).is_none_or(|bucket| bucket.refilled(RATE, now).tokens >= 1.0)
    }

    /// Takes operations from the bucket of the namespace.
    pub(crate) fn spend(&self, namespace: &str, operations: usize, now: Instant) {
        let mut buckets = self.buckets.lock();
        buckets.retain(|_, bucket| bucket.refilled(RATE, now).tokens < RATE.size);
        let bucket = buckets.entry(namespace.to_owned()).or_insert(TokenBucket::full(RATE, now));
        bucket.charge(f64::from(u32::try_from(operations).unwrap_or(u32::MAX)), RATE, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_namespace_gets_no_more_than_its_share_and_takes_nothing_from_another() {
        let (limit, start) = (DiagnosisLimit::default(), Instant::now());
        assert!(limit.admits("shop", start));
        limit.spend("shop", 1200, start);
        assert!(!limit.admits("shop", start + Duration::from_secs(9)), "its share is used up");
        assert!(limit.admits("quiet", start));
        assert!(limit.admits("shop", start + Duration::from_secs(11)));
    }

    #[test]
    fn a_namespace_whose_share_is_whole_again_takes_no_memory() {
        let (limit, start) = (DiagnosisLimit::default(), Instant::now());
        limit.spend("shop", 1, start);
        limit.spend("quiet", 1, start + Duration::from_mins(1));
        assert_eq!(limit.buckets.lock().len(), 1);
    }
}
