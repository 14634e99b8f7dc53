//! Negative cache of decryption: each object version is tried and diagnosed once per key ring.

use std::time::Instant;

use crate::sealed_secret::watch::raw::RawSealedSecret;
use sealed_secrets_core::decryption::DecryptionError;
use sealed_secrets_core::diagnosis::Diagnosis;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::Scope;

/// Everything that decryption depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CacheKey {
    uid: Option<String>,
    generation: Option<i64>,
    scope: Scope,
    ring: String,
}

/// A failed decryption.
#[derive(Clone, Debug)]
pub(crate) struct DecryptFailure {
    key: CacheKey,
    /// Shortened, because it is kept for as long as the object does not decrypt.
    pub(crate) error: DecryptionError,
    /// Time of the first failure.
    pub(crate) since: Instant,
    /// The failure is in the metrics.
    is_in_metrics: bool,
    /// The failure was reported without a diagnosis.
    pub(crate) is_reported: bool,
    /// The diagnosis is finished, with or without a result.
    pub(crate) is_diagnosed: bool,
    pub(crate) diagnosis: Option<Diagnosis>,
}

/// Negative cache of one object: its last failure.
#[derive(Debug, Default)]
pub(crate) struct DecryptFailureCache(Option<Box<DecryptFailure>>);

impl DecryptFailureCache {
    /// Returns the error of `object` with this ring, if it is cached.
    pub(crate) fn error(&self, object: &RawSealedSecret, ring: &KeyRing) -> Option<DecryptionError> {
        let failure = self.0.as_ref()?;
        (failure.key == cache_key(object, ring)).then(|| failure.error.clone())
    }

    /// Returns the cached failure, or records a new one that begins `now`.
    pub(crate) fn record(
        &mut self,
        object: &RawSealedSecret,
        ring: &KeyRing,
        error: DecryptionError,
        now: Instant,
    ) -> DecryptFailure {
        let key = cache_key(object, ring);
        if let Some(known) = self.0.as_ref().filter(|known| known.key == key) {
            return (**known).clone();
        }
        self.keep(DecryptFailure {
            key,
            error: error.shortened(),
            since: now,
            is_in_metrics: false,
            is_reported: false,
            is_diagnosed: false,
            diagnosis: None,
        })
    }

    /// Records the result of the diagnosis.
    pub(crate) fn record_diagnosis(
        &mut self,
        failure: DecryptFailure,
        diagnosis: Option<Diagnosis>,
    ) -> DecryptFailure {
        self.keep(DecryptFailure { is_diagnosed: true, diagnosis, ..failure })
    }

    /// Records that the failure is reported before its diagnosis.
    pub(crate) fn record_report(&mut self, failure: DecryptFailure) -> DecryptFailure {
        self.keep(DecryptFailure { is_reported: true, ..failure })
    }

    fn keep(&mut self, failure: DecryptFailure) -> DecryptFailure {
        self.0 = Some(Box::new(failure.clone()));
        failure
    }

    /// Returns true if a failure is cached whose diagnosis is still due.
    pub(crate) fn is_undiagnosed(&self) -> bool {
        self.0.as_ref().is_some_and(|failure| !failure.is_diagnosed)
    }

    /// Counts the failure, and returns true the first time: the metrics count it once, however often it is reported.
    pub(crate) fn count_first_time(&mut self) -> bool {
        self.0.as_mut().is_none_or(|failure| !std::mem::replace(&mut failure.is_in_metrics, true))
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn cache_key(object: &RawSealedSecret, ring: &KeyRing) -> CacheKey {
    let metadata = &object.metadata;
    CacheKey {
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        scope: Scope::from_annotations(metadata.annotations.as_ref()),
        ring: ring.identity().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::decryption::{ItemError, V1Data, decrypt_all};
    use sealed_secrets_crds::{SealedSecret, SealedSecretSpec};

    use serde_json::json;

    use super::*;
    use crate::sealed_secret::watch::raw::raw_object;

    fn object(generation: i64) -> RawSealedSecret {
        raw_object(&json!({"metadata": {"name": "db", "namespace": "shop", "generation": generation}}))
    }

    fn record(cache: &mut DecryptFailureCache, object: &RawSealedSecret) -> DecryptFailure {
        cache.record(object, &KeyRing::default(), DecryptionError::V1(ItemError::NoKey), Instant::now())
    }

    #[test]
    fn a_failed_decryption_is_cached_until_the_object_changes() {
        let mut cache = DecryptFailureCache::default();
        record(&mut cache, &object(1));
        assert!(cache.error(&object(1), &KeyRing::default()).is_some());
        assert!(cache.error(&object(2), &KeyRing::default()).is_none());
        assert!(DecryptFailureCache::default().error(&object(1), &KeyRing::default()).is_none());
    }

    #[test]
    fn the_cached_failure_of_an_object_does_not_grow_with_its_items() {
        let names = (0..3_000).map(|number| (format!("{number:0300}"), "?".to_owned()));
        let spec = SealedSecretSpec { encrypted_data: names.collect(), ..SealedSecretSpec::default() };
        let sealed = SealedSecret::new("db", spec);
        let error = decrypt_all(&sealed, &KeyRing::default(), V1Data::Accepted).err().unwrap();
        let mut cache = DecryptFailureCache::default();
        let failure = cache.record(&object(1), &KeyRing::default(), error, Instant::now());
        let DecryptionError::Items(errors) = &failure.error else { panic!("{}", failure.error) };
        let bytes: usize = errors.iter().map(|(name, _)| name.len()).sum();
        assert!(bytes > 0 && bytes < 2_500, "{bytes}");
        assert!(failure.error.to_string().ends_with("more items do not decrypt"), "{}", failure.error);
    }

    #[test]
    fn an_object_version_is_diagnosed_once() {
        let mut cache = DecryptFailureCache::default();
        let failure = record(&mut cache, &object(1));
        assert!(cache.is_undiagnosed());
        cache.record_diagnosis(failure, None);
        assert!(record(&mut cache, &object(1)).is_diagnosed);
        assert!(!record(&mut cache, &object(2)).is_diagnosed);
    }

    #[test]
    fn a_failure_that_is_reported_with_and_without_its_diagnosis_counts_once() {
        let mut cache = DecryptFailureCache::default();
        let failure = record(&mut cache, &object(1));
        cache.record_report(failure);
        assert!(cache.count_first_time());
        let failure = record(&mut cache, &object(1));
        cache.record_diagnosis(failure, None);
        assert!(!cache.count_first_time());
        record(&mut cache, &object(2));
        assert!(cache.count_first_time());
    }
}
