//! What this process has last said of each object, until the watch shows it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::DynamicObject;
use sealed_secrets_crds::SealedSecretStatus;

use super::room::key_of;
use super::seen::moment;
use super::status::read;
use super::versions::Key;

/// Statuses that the objects of the watch do not show yet, or never will.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    statuses: Mutex<HashMap<Key, Told>>,
}

#[derive(Debug)]
struct Told {
    uid: Option<String>,
    how: How,
    status: SealedSecretStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Stored at this moment.
    Written(u64),
    /// By an event only: statuses are not to be written.
    Unwritten,
    /// By an event only: the status is still to be written.
    Forbidden,
}

impl Told {
    /// Whether `object` is of an earlier moment.
    fn is_later_than(&self, object: &DynamicObject) -> bool {
        let is_later = match self.how {
            How::Written(then) => Some(then) > moment(object),
            How::Unwritten | How::Forbidden => true,
        };
        self.uid == object.metadata.uid && is_later
    }
}

impl Unseen {
    /// The latest status of `object` that is stored, as far as is known; where statuses are not to be written, what it would be.
    pub(super) fn status(&self, object: &DynamicObject) -> SealedSecretStatus {
        self.later(object, |told| told.how != How::Forbidden)
    }

    /// What was said of `object` last, stored or not.
    pub(super) fn said(&self, object: &DynamicObject) -> SealedSecretStatus {
        self.later(object, |_| true)
    }

    fn later(&self, object: &DynamicObject, counts: impl Fn(&Told) -> bool) -> SealedSecretStatus {
        let all = self.lock();
        let later = all.get(&key_of(object)).filter(|told| told.is_later_than(object) && counts(told));
        later.map_or_else(|| read(object), |told| told.status.clone())
    }

    /// Notes an object as the API server has answered it, and the watch has not shown it yet.
    pub(super) fn written(&self, object: &DynamicObject) {
        let how = How::Written(moment(object).unwrap_or_default());
        self.note(object, how, read(object));
    }

    /// Notes a status that is not to be written.
    pub(super) fn unwritten(&self, object: &DynamicObject, status: SealedSecretStatus) {
        self.note(object, How::Unwritten, status);
    }

    /// Notes a status that may not be written for the time being.
    pub(super) fn forbidden(&self, object: &DynamicObject, status: SealedSecretStatus) {
        self.note(object, How::Forbidden, status);
    }

    fn note(&self, object: &DynamicObject, how: How, status: SealedSecretStatus) {
        let told = Told { uid: object.metadata.uid.clone(), how, status };
        self.lock().insert(key_of(object), told);
    }

    /// Forgets what `object`, which the watch shows, says as well.
    pub(super) fn shown(&self, object: &DynamicObject) {
        let mut all = self.lock();
        let key = key_of(object);
        if all.get(&key).is_some_and(|told| !told.is_later_than(object)) {
            all.remove(&key);
        }
    }

    /// Forgets an object that is gone, or shown.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Told>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::folded::shown;
    use super::*;

    fn object(uid: &str, version: &str, generation: i64) -> DynamicObject {
        shown(&json!({
            "metadata": {"namespace": "shop", "name": "db", "uid": uid, "resourceVersion": version},
            "status": {"observedGeneration": generation}
        }))
    }

    fn told(memory: &Unseen, object: &DynamicObject) -> Option<i64> {
        memory.status(object).observed_generation
    }

    fn status(generation: i64) -> SealedSecretStatus {
        SealedSecretStatus { observed_generation: Some(generation), ..SealedSecretStatus::default() }
    }

    #[test]
    fn what_was_written_counts_until_the_watch_shows_it_or_something_later() {
        let memory = Unseen::default();
        memory.written(&object("u", "10", 2));
        assert_eq!(told(&memory, &object("u", "9", 1)), Some(2), "the watch is behind");
        assert_eq!(told(&memory, &object("u", "11", 3)), Some(3), "somebody has written since");
        assert_eq!(told(&memory, &object("another", "9", 4)), Some(4));
        memory.shown(&object("u", "9", 1));
        assert_eq!(memory.lock().len(), 1, "it is still to be shown");
        memory.shown(&object("u", "10", 2));
        assert!(memory.lock().is_empty(), "what the watch shows is not kept twice");
    }

    #[test]
    fn what_is_never_written_counts_as_long_as_the_object_is_the_same() {
        let memory = Unseen::default();
        memory.unwritten(&object("u", "10", 0), status(2));
        memory.shown(&object("u", "11", 0));
        assert_eq!(told(&memory, &object("u", "12", 0)), Some(2));
        memory.shown(&object("another", "13", 0));
        assert!(memory.lock().is_empty());
    }

    #[test]
    fn what_may_not_be_written_was_said_and_is_still_to_be_written() {
        let memory = Unseen::default();
        memory.forbidden(&object("u", "10", 1), status(2));
        assert_eq!(memory.said(&object("u", "10", 1)).observed_generation, Some(2));
        assert_eq!(told(&memory, &object("u", "10", 1)), Some(1));
        memory.written(&object("u", "11", 3));
        assert_eq!(memory.said(&object("u", "10", 1)).observed_generation, Some(3));
    }
}
