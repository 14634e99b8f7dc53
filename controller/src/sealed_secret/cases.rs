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

use super::room::key_of;
use super::versions::Key;

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
pub(super) struct Case {
    key: Key,
    cause: Cause,
    pub(super) error: OpeningError,
    /// When that was found.
    pub(super) since: Instant,
    /// Its failure was counted.
    counted: bool,
    /// Told without the cause.
    pub(super) told: bool,
    /// The cause was looked for.
    pub(super) settled: bool,
    pub(super) diagnosis: Option<Diagnosis>,
}

/// All objects that do not open, and whose turn it is to be examined.
#[derive(Debug)]
pub(super) struct Cases {
    known: Mutex<HashMap<Key, Case>>,
    /// One examination at a time.
    turn: Semaphore,
    allowances: Mutex<HashMap<String, Allowance>>,
}

/// What is left to a namespace, in private-key operations.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    operations: f64,
    at: Instant,
}

impl Allowance {
    fn at(self, now: Instant) -> Self {
        let earned = now.duration_since(self.at).as_secs_f64() * PER_SECOND;
        Self { operations: (self.operations + earned).min(BURST), at: now }
    }
}

/// The right to examine one object of a namespace.
pub(super) struct Turn<'a> {
    cases: &'a Cases,
    namespace: String,
    _permit: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// Takes operations from what is left to the namespace.
    pub(super) fn spend(&self, operations: usize) {
        if let Some(allowance) = lock(&self.cases.allowances).get_mut(&self.namespace) {
            allowance.operations -= f64::from(u32::try_from(operations).unwrap_or(u32::MAX));
        }
    }
}

impl Cases {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), turn: Semaphore::new(1), allowances: Mutex::default() }
    }

    /// Why `object` does not open with this ring, if that is known.
    pub(super) fn recall(&self, object: &DynamicObject, ring: &KeyRing) -> Option<OpeningError> {
        let known = lock(&self.known);
        let case = known.get(&key_of(object))?;
        (case.cause == cause(object, ring)).then(|| case.error.clone())
    }

    /// The case of an object that does not open: the known one, or a new one that begins `now`.
    pub(super) fn note(
        &self,
        object: &DynamicObject,
        ring: &KeyRing,
        error: OpeningError,
        now: Instant,
    ) -> Case {
        let (key, cause) = (key_of(object), cause(object, ring));
        let known = lock(&self.known).get(&key).filter(|known| known.cause == cause).cloned();
        known.unwrap_or_else(|| {
            let (counted, told, settled) = (false, false, false);
            self.keep(Case { key, cause, error, since: now, counted, told, settled, diagnosis: None })
        })
    }

    /// The cause was looked for.
    pub(super) fn settle(&self, case: Case, diagnosis: Option<Diagnosis>) -> Case {
        self.keep(Case { settled: true, diagnosis, ..case })
    }

    /// The failure is told before the cause is known.
    pub(super) fn tell_before_it_is_settled(&self, case: Case) -> Case {
        self.keep(Case { told: true, ..case })
    }

    fn keep(&self, case: Case) -> Case {
        lock(&self.known).insert(case.key.clone(), case.clone());
        case
    }

    /// Whether this object was told not to open and the cause is still to be looked for.
    pub(super) fn is_unsettled(&self, key: &Key) -> bool {
        lock(&self.known).get(key).is_some_and(|case| !case.settled)
    }

    /// Whether the failure of this object is told for the first time: that is counted once, however often it is told.
    pub(super) fn is_news(&self, key: &Key) -> bool {
        lock(&self.known).get_mut(key).is_none_or(|case| !std::mem::replace(&mut case.counted, true))
    }

    /// Forgets what is known of an object that has opened or is gone.
    pub(super) fn forget(&self, key: &Key) {
        lock(&self.known).remove(key);
    }

    /// The right to examine this object, unless another one is being examined or its namespace has used up its share.
    pub(super) fn turn(&self, case: &Case, now: Instant) -> Option<Turn<'_>> {
        let permit = self.turn.try_acquire().ok()?;
        let namespace = &case.key.0;
        let mut allowances = lock(&self.allowances);
        allowances.retain(|_, allowance| allowance.at(now).operations < BURST);
        let full = Allowance { operations: BURST, at: now };
        let allowance = allowances.entry(namespace.clone()).or_insert(full);
        *allowance = allowance.at(now);
        (allowance.operations >= 1.0).then(|| Turn {
            cases: self,
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

    fn note(cases: &Cases, object: &DynamicObject) -> Case {
        cases.note(object, &KeyRing::default(), OpeningError::V1(OpenError::NoKey), Instant::now())
    }

    #[test]
    fn what_did_not_open_is_known_until_the_object_changes() {
        let cases = Cases::new();
        note(&cases, &object("db", 1));
        assert!(cases.recall(&object("db", 1), &KeyRing::default()).is_some());
        assert!(cases.recall(&object("db", 2), &KeyRing::default()).is_none());
        assert!(cases.recall(&object("other", 1), &KeyRing::default()).is_none());
    }

    #[test]
    fn a_case_is_settled_once_for_each_generation() {
        let cases = Cases::new();
        let case = note(&cases, &object("db", 1));
        assert!(cases.is_unsettled(&key_of(&object("db", 1))));
        cases.settle(case, None);
        assert!(note(&cases, &object("db", 1)).settled);
        assert!(!note(&cases, &object("db", 2)).settled);
    }

    #[test]
    fn a_failure_that_is_told_before_and_after_its_cause_is_known_counts_once() {
        let (cases, key) = (Cases::new(), key_of(&object("db", 1)));
        cases.tell_before_it_is_settled(note(&cases, &object("db", 1)));
        assert!(cases.is_news(&key));
        cases.settle(note(&cases, &object("db", 1)), None);
        assert!(!cases.is_news(&key));
        note(&cases, &object("db", 2));
        assert!(cases.is_news(&key));
    }

    #[test]
    fn one_object_is_examined_at_a_time_and_a_namespace_gets_no_more_than_its_share() {
        let cases = Cases::new();
        let (case, start) = (note(&cases, &object("db", 1)), Instant::now());
        let turn = cases.turn(&case, start).unwrap();
        assert!(cases.turn(&case, start).is_none(), "one at a time");
        turn.spend(1200);
        drop(turn);
        assert!(cases.turn(&case, start + Duration::from_secs(9)).is_none(), "its share is used up");
        assert!(cases.turn(&case, start + Duration::from_secs(11)).is_some());
    }
}
