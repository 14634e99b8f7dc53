//! Our own status writes that the watch has not delivered yet (read your writes).

use sealed_secrets_crds::SealedSecretStatus;

use super::read;
use crate::sealed_secret::watch::observed::resource_version;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Status of one object that the watch has not delivered yet, or never will.
#[derive(Debug, Default)]
pub(crate) struct StatusOverlay(Option<Box<PendingStatus>>);

#[derive(Debug)]
struct PendingStatus {
    uid: Option<String>,
    delivery: Delivery,
    status: SealedSecretStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// Stored at this resourceVersion.
    Written(u64),
    /// Reported by an event only: `--update-status` is off.
    Unwritten,
    /// Reported by an event only: the write was denied, and is still due.
    Forbidden,
}

impl PendingStatus {
    /// Returns true if `object` is of an earlier resourceVersion.
    fn is_later_than(&self, object: &RawSealedSecret) -> bool {
        let is_later = match self.delivery {
            Delivery::Written(then) => Some(then) > resource_version(object),
            Delivery::Unwritten | Delivery::Forbidden => true,
        };
        self.uid == object.metadata.uid && is_later
    }
}

impl StatusOverlay {
    /// Returns the latest stored status of `object` that is known; with `--update-status=false` the one that would be stored.
    pub(crate) fn status(&self, object: &RawSealedSecret) -> SealedSecretStatus {
        self.later(object, |pending| pending.delivery != Delivery::Forbidden)
    }

    /// Returns the status of `object` that was reported last, stored or not.
    pub(crate) fn reported(&self, object: &RawSealedSecret) -> SealedSecretStatus {
        self.later(object, |_| true)
    }

    fn later(&self, object: &RawSealedSecret, counts: impl Fn(&PendingStatus) -> bool) -> SealedSecretStatus {
        let later = self.0.as_ref().filter(|pending| pending.is_later_than(object) && counts(pending));
        later.map_or_else(|| read(object), |pending| pending.status.clone())
    }

    /// Records an object as the API server has returned it, before the watch delivers it.
    pub(crate) fn record_written(&mut self, object: &RawSealedSecret) {
        let delivery = Delivery::Written(resource_version(object).unwrap_or_default());
        self.record(object, delivery, read(object));
    }

    /// Records a status that is never written.
    pub(crate) fn record_unwritten(&mut self, object: &RawSealedSecret, status: SealedSecretStatus) {
        self.record(object, Delivery::Unwritten, status);
    }

    /// Records a status whose write was denied.
    pub(crate) fn record_forbidden(&mut self, object: &RawSealedSecret, status: SealedSecretStatus) {
        self.record(object, Delivery::Forbidden, status);
    }

    fn record(&mut self, object: &RawSealedSecret, delivery: Delivery, status: SealedSecretStatus) {
        self.0 = Some(Box::new(PendingStatus { uid: object.metadata.uid.clone(), delivery, status }));
    }

    /// Drops the status if `object`, which the watch delivers, includes it.
    pub(crate) fn observe(&mut self, object: &RawSealedSecret) {
        if self.0.as_ref().is_some_and(|pending| !pending.is_later_than(object)) {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sealed_secret::watch::raw::raw_object;

    fn object(uid: &str, version: &str, generation: i64) -> RawSealedSecret {
        raw_object(&json!({
            "metadata": {"namespace": "shop", "name": "db", "uid": uid, "resourceVersion": version},
            "status": {"observedGeneration": generation}
        }))
    }

    fn pending(memory: &StatusOverlay, object: &RawSealedSecret) -> Option<i64> {
        memory.status(object).observed_generation
    }

    fn status(generation: i64) -> SealedSecretStatus {
        SealedSecretStatus { observed_generation: Some(generation), ..SealedSecretStatus::default() }
    }

    #[test]
    fn a_status_write_counts_until_the_watch_delivers_it_or_a_later_version() {
        let mut memory = StatusOverlay::default();
        memory.record_written(&object("u", "10", 2));
        assert_eq!(pending(&memory, &object("u", "9", 1)), Some(2), "the watch is behind");
        assert_eq!(pending(&memory, &object("u", "11", 3)), Some(3), "somebody has written since");
        assert_eq!(pending(&memory, &object("another", "9", 4)), Some(4));
        memory.observe(&object("u", "9", 1));
        assert!(!memory.is_empty(), "it is still to be shown");
        memory.observe(&object("u", "10", 2));
        assert!(memory.is_empty(), "what the watch shows is not kept twice");
    }

    #[test]
    fn a_disabled_status_write_counts_until_the_object_changes() {
        let mut memory = StatusOverlay::default();
        memory.record_unwritten(&object("u", "10", 0), status(2));
        memory.observe(&object("u", "11", 0));
        assert_eq!(pending(&memory, &object("u", "12", 0)), Some(2));
        memory.observe(&object("another", "13", 0));
        assert!(memory.is_empty());
    }

    #[test]
    fn a_denied_status_counts_as_reported_and_is_still_pending() {
        let mut memory = StatusOverlay::default();
        memory.record_forbidden(&object("u", "10", 1), status(2));
        assert_eq!(memory.reported(&object("u", "10", 1)).observed_generation, Some(2));
        assert_eq!(pending(&memory, &object("u", "10", 1)), Some(1));
        memory.record_written(&object("u", "11", 3));
        assert_eq!(memory.reported(&object("u", "10", 1)).observed_generation, Some(3));
    }
}
