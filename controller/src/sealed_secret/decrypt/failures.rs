//! What is known of objects that do not open, so that each is opened and examined once for what it is and for one ring.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::api::DynamicObject;
use sealed_secrets_core::diagnosis::Diagnosis;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::OpeningError;
use sealed_secrets_crds::Scope;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::sealed_secret::secret::index::Key;
use crate::sealed_secret::state::key_of;

/// Private-key operations that the examinations of one namespace may take at once, and again in each second.
const BURST: f64 = 1000.0;
const PER_SECOND: f64 = 20.0;

/// Everything that opening depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    uid: Option<String>,
    generation: Option<i64>,
    scope: Scope,
    ring: String,
}

/// An object that does not open.
#[derive(Clone, Debug)]
pub(crate) struct DecryptFailure {
    key: Key,
    cause: Cause,
    pub(crate) error: OpeningError,
    /// When that was found.
    pub(crate) since: Instant,
    /// Its failure was counted.
    counted: bool,
    /// Told without the cause.
    pub(crate) told: bool,
    /// The cause was looked for.
    pub(crate) settled: bool,
    pub(crate) diagnosis: Option<Diagnosis>,
}

/// All objects that do not open, and whose turn it is to be examined.
#[derive(Debug)]
pub(crate) struct DecryptFailures {
    known: Mutex<HashMap<Key, DecryptFailure>>,
    /// One examination at a time.
    turn: Semaphore,
    buckets: Mutex<HashMap<String, TokenBucket>>,
}

/// What is left to a namespace, in private-key operations.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    operations: f64,
    at: Instant,
}

impl TokenBucket {
    fn at(self, now: Instant) -> Self {
        let earned = now.duration_since(self.at).as_secs_f64() * PER_SECOND;
        Self { operations: (self.operations + earned).min(BURST), at: now }
    }
}

/// The right to examine one object of a namespace.
pub(crate) struct DiagnosisPermit<'a> {
    decrypt_failures: &'a DecryptFailures,
    namespace: String,
    _permit: SemaphorePermit<'a>,
}

impl DiagnosisPermit<'_> {
    /// Takes operations from what is left to the namespace.
    pub(crate) fn spend(&self, operations: usize) {
        if let Some(bucket) = lock(&self.decrypt_failures.buckets).get_mut(&self.namespace) {
            bucket.operations -= f64::from(u32::try_from(operations).unwrap_or(u32::MAX));
        }
    }
}

impl DecryptFailures {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), turn: Semaphore::new(1), buckets: Mutex::default() }
    }

    /// Why `object` does not open with this ring, if that is known.
    pub(crate) fn recall(&self, object: &DynamicObject, ring: &KeyRing) -> Option<OpeningError> {
        let known = lock(&self.known);
        let failure = known.get(&key_of(object))?;
        (failure.cause == cause(object, ring)).then(|| failure.error.clone())
    }

    /// The case of an object that does not open: the known one, or a new one that begins `now`.
    pub(crate) fn note(
        &self,
        object: &DynamicObject,
        ring: &KeyRing,
        error: OpeningError,
        now: Instant,
    ) -> DecryptFailure {
        let (key, cause) = (key_of(object), cause(object, ring));
        let known = lock(&self.known).get(&key).filter(|known| known.cause == cause).cloned();
        known.unwrap_or_else(|| {
            let (counted, told, settled) = (false, false, false);
            self.keep(DecryptFailure {
                key,
                cause,
                error,
                since: now,
                counted,
                told,
                settled,
                diagnosis: None,
            })
        })
    }

    /// The cause was looked for.
    pub(crate) fn settle(&self, failure: DecryptFailure, diagnosis: Option<Diagnosis>) -> DecryptFailure {
        self.keep(DecryptFailure { settled: true, diagnosis, ..failure })
    }

    /// The failure is told before the cause is known.
    pub(crate) fn tell_before_it_is_settled(&self, failure: DecryptFailure) -> DecryptFailure {
        self.keep(DecryptFailure { told: true, ..failure })
    }

    fn keep(&self, failure: DecryptFailure) -> DecryptFailure {
        lock(&self.known).insert(failure.key.clone(), failure.clone());
        failure
    }

    /// Whether this object was told not to open and the cause is still to be looked for.
    pub(crate) fn is_unsettled(&self, key: &Key) -> bool {
        lock(&self.known).get(key).is_some_and(|failure| !failure.settled)
    }

    /// Whether the failure of this object is told for the first time: that is counted once, however often it is told.
    pub(crate) fn count_first_time(&self, key: &Key) -> bool {
        lock(&self.known).get_mut(key).is_none_or(|failure| !std::mem::replace(&mut failure.counted, true))
    }

    /// Forgets what is known of an object that has opened or is gone.
    pub(crate) fn forget(&self, key: &Key) {
        lock(&self.known).remove(key);
    }

    /// The right to examine this object, unless another one is being examined or its namespace has used up its share.
    pub(crate) fn turn(&self, failure: &DecryptFailure, now: Instant) -> Option<DiagnosisPermit<'_>> {
        let permit = self.turn.try_acquire().ok()?;
        let namespace = &failure.key.0;
        let mut buckets = lock(&self.buckets);
        buckets.retain(|_, bucket| bucket.at(now).operations < BURST);
        let full = TokenBucket { operations: BURST, at: now };
        let bucket = buckets.entry(namespace.clone()).or_insert(full);
        *bucket = bucket.at(now);
        (bucket.operations >= 1.0).then(|| DiagnosisPermit {
            decrypt_failures: self,
            namespace: namespace.clone(),
            _permit: permit,
        })
    }
}

fn cause(object: &DynamicObject, ring: &KeyRing) -> Cause {
    let metadata = &object.metadata;
    Cause {
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        scope: Scope::from_annotations(metadata.annotations.as_ref()),
        ring: ring.identity().to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::ApiResource;
    use sealed_secrets_core::opening::OpenError;
    use sealed_secrets_crds::SealedSecret;

    use super::*;

    fn object(name: &str, generation: i64) -> DynamicObject {
        let kind = ApiResource::erase::<SealedSecret>(&());
        let mut object = DynamicObject::new(name, &kind).within("shop");
        object.metadata.generation = Some(generation);
        object
    }

    fn note(decrypt_failures: &DecryptFailures, object: &DynamicObject) -> DecryptFailure {
        decrypt_failures.note(object, &KeyRing::default(), OpeningError::V1(OpenError::NoKey), Instant::now())
    }

    #[test]
    fn what_did_not_open_is_known_until_the_object_changes() {
        let decrypt_failures = DecryptFailures::new();
        note(&decrypt_failures, &object("db", 1));
        assert!(decrypt_failures.recall(&object("db", 1), &KeyRing::default()).is_some());
        assert!(decrypt_failures.recall(&object("db", 2), &KeyRing::default()).is_none());
        assert!(decrypt_failures.recall(&object("other", 1), &KeyRing::default()).is_none());
    }

    #[test]
    fn a_case_is_settled_once_for_each_generation() {
        let decrypt_failures = DecryptFailures::new();
        let failure = note(&decrypt_failures, &object("db", 1));
        assert!(decrypt_failures.is_unsettled(&key_of(&object("db", 1))));
        decrypt_failures.settle(failure, None);
        assert!(note(&decrypt_failures, &object("db", 1)).settled);
        assert!(!note(&decrypt_failures, &object("db", 2)).settled);
    }

    #[test]
    fn a_failure_that_is_told_before_and_after_its_cause_is_known_counts_once() {
        let (decrypt_failures, key) = (DecryptFailures::new(), key_of(&object("db", 1)));
        decrypt_failures.tell_before_it_is_settled(note(&decrypt_failures, &object("db", 1)));
        assert!(decrypt_failures.count_first_time(&key));
        decrypt_failures.settle(note(&decrypt_failures, &object("db", 1)), None);
        assert!(!decrypt_failures.count_first_time(&key));
        note(&decrypt_failures, &object("db", 2));
        assert!(decrypt_failures.count_first_time(&key));
    }

    #[test]
    fn one_object_is_examined_at_a_time_and_a_namespace_gets_no_more_than_its_share() {
        let decrypt_failures = DecryptFailures::new();
        let (failure, start) = (note(&decrypt_failures, &object("db", 1)), Instant::now());
        let turn = decrypt_failures.turn(&failure, start).unwrap();
        assert!(decrypt_failures.turn(&failure, start).is_none(), "one at a time");
        turn.spend(1200);
        drop(turn);
        assert!(
            decrypt_failures.turn(&failure, start + Duration::from_secs(9)).is_none(),
            "its share is used up"
        );
        assert!(decrypt_failures.turn(&failure, start + Duration::from_secs(11)).is_some());
    }
}
