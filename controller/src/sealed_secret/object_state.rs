//! State of one SealedSecret in this process, without locks, input and output: every method takes the time as an argument.
//! `wait_before_repair` is the wait of drift repair.

use std::time::{Duration, Instant};

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::{ItemsOfKey, LastSuccess, Scope, SealedSecretStatus};

use super::decrypt::failures::DecryptFailureCache;
use super::queue::retry_backoff::RetryBackoff;
use super::secret::drift_backoff::DriftBackoff;
use super::secret::record::{Before, SecretRecord, SecretVersion};
use super::status;
use super::status::overlay::StatusOverlay;
use super::watch::observed::ObservedVersion;
use super::watch::over_limit_queue::OverLimitMark;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Everything that this process keeps about one SealedSecret. An object without an entry has the default state.
#[derive(Debug, Default)]
pub(crate) struct ObjectState {
    pub(crate) observed: Option<ObservedVersion>,
    pub(crate) success: Option<RecordedSuccess>,
    pub(crate) overlay: StatusOverlay,
    pub(crate) decrypt_failures: DecryptFailureCache,
    pub(crate) drift: DriftBackoff,
    pub(crate) retry: RetryBackoff,
    pub(crate) secret: SecretRecord,
    pub(crate) over_limit: OverLimitMark,
}

/// Last success of this process with an object.
#[derive(Debug)]
pub(crate) struct RecordedSuccess {
    success: LastSuccess,
    progress: Progress,
}

/// Progress since a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Status and event are still to be written.
    Unreported,
    Reported,
    /// A later attempt has failed.
    Failed,
}

impl ObjectState {
    /// Returns true if the state is the default.
    pub(crate) fn is_empty(&self) -> bool {
        self.observed.is_none()
            && self.success.is_none()
            && self.overlay.is_empty()
            && self.decrypt_failures.is_empty()
            && self.drift == DriftBackoff::default()
            && self.retry == RetryBackoff::default()
            && self.secret.is_empty()
            && self.over_limit.version().is_none()
    }

    /// Records a version that the watch delivers, and returns true if it is new or has changed in anything that an attempt
    /// depends on.
    pub(crate) fn observe(&mut self, object: &RawSealedSecret) -> bool {
        self.overlay.observe(object);
        let now = ObservedVersion::of(object);
        now.differs_from(self.observed.replace(now).as_ref())
    }

    /// Records an object as the API server has returned it.
    pub(crate) fn record_write(&mut self, object: &RawSealedSecret) {
        if self.observed.is_some_and(|observed| observed.includes(object)) {
            self.overlay.clear();
        } else {
            self.overlay.record_written(object);
        }
    }

    /// Returns the success that makes an attempt at `object` unnecessary: the object and its Secret are the versions of that
    /// success, and the keys that decrypted it are on the ring. An added key cannot change it, since an item decrypts with one
    /// key only. The state of this process takes precedence over the stored status.
    pub(crate) fn unchanged_success(&self, object: &RawSealedSecret, ring: &KeyRing) -> Option<Unchanged> {
        let last = match &self.success {
            Some(last) if last.progress == Progress::Reported => Unchanged::Recorded(last.success.clone()),
            Some(_) => return None,
            None => {
                let status = self.overlay.status(object);
                Unchanged::Stored(status::last_success(status, object.metadata.generation)?)
            }
        };
        self.still_holds(last.success(), object, ring).then_some(last)
    }

    /// Returns true if the Secret of `object`, which this process has seen in its desired state, stays as it is: repairs are off,
    /// or the Secret was deleted and its owner must recreate it.
    pub(crate) fn is_left_alone(&self, object: &RawSealedSecret, repair: bool) -> bool {
        let progress = self.success.as_ref().map(|last| last.progress);
        let may_be = self.secret.is_deleted_externally() || !repair && progress.is_some();
        may_be && progress.is_none_or(|progress| progress == Progress::Reported) && self.has_unsealed(object)
    }

    /// Returns the success with `object` whose report was deferred, if it still holds.
    pub(crate) fn unreported(&self, object: &RawSealedSecret, ring: &KeyRing) -> Option<LastSuccess> {
        self.any_unreported().filter(|success| self.still_holds(success, object, ring)).cloned()
    }

    /// Returns the success whose report was deferred.
    pub(crate) fn any_unreported(&self) -> Option<&LastSuccess> {
        let last = self.success.as_ref().filter(|last| last.progress == Progress::Unreported)?;
        Some(&last.success)
    }

    fn still_holds(&self, success: &LastSuccess, object: &RawSealedSecret, ring: &KeyRing) -> bool {
        let Some(version) = self.secret.version() else { return false };
        let on_ring = success.keys.iter().all(|key| ring.fingerprint(&key.fingerprint).is_some());
        on_ring && *success == success_with(object, version.clone(), success.keys.clone())
    }

    /// Returns true if the present version of `object` was unsealed before: by this process, or according to its status.
    pub(crate) fn has_unsealed(&self, object: &RawSealedSecret) -> bool {
        let now = success_with(object, SecretVersion::default(), Vec::new());
        let same = |last: LastSuccess| {
            (last.uid, last.generation, last.scope) == (now.uid, now.generation, now.scope)
        };
        match self.last_success(object) {
            Some(last) if last.generation == now.generation => same(last),
            _ => status::has_unsealed(&self.overlay.status(object), object.metadata.generation),
        }
    }

    /// Returns the time for which a repair of the Secret of `object` must still wait.
    pub(crate) fn wait_before_repair(&self, object: &RawSealedSecret, now: Instant) -> Option<Duration> {
        self.drift.wait(self.has_unsealed(object), now)
    }

    /// Returns the history of `object`, by this process or by its status.
    pub(crate) fn before(&self, object: &RawSealedSecret) -> Before {
        let last = self.last_success(object);
        Before {
            has_unsealed: self.has_unsealed(object),
            is_known: last.is_some() || self.overlay.status(object).observed_generation.is_some(),
            version_after_success: last.map(|last| SecretVersion {
                uid: last.secret_uid,
                resource_version: last.secret_resource_version,
            }),
        }
    }

    /// Returns the last success with `object`, whether a later attempt has failed or not.
    pub(crate) fn last_success(&self, object: &RawSealedSecret) -> Option<LastSuccess> {
        let recorded = self.success.as_ref().map(|recorded| recorded.success.clone());
        recorded.or_else(|| self.overlay.status(object).last_success)
    }

    /// Returns the latest stored status that is known.
    pub(crate) fn status(&self, object: &RawSealedSecret) -> SealedSecretStatus {
        self.overlay.status(object)
    }

    /// Records a success whose report is deferred. It replaces an earlier one.
    pub(crate) fn defer_report(&mut self, success: LastSuccess) {
        self.success = Some(RecordedSuccess { success, progress: Progress::Unreported });
    }

    /// Records a success that the stored status reports already.
    pub(crate) fn adopt_success(&mut self, success: LastSuccess) {
        self.success = Some(RecordedSuccess { success, progress: Progress::Reported });
    }

    /// Records a success that was reported: the back-off of retries and the negative cache start over.
    pub(crate) fn succeed(&mut self, success: LastSuccess) {
        self.retry = RetryBackoff::default();
        self.decrypt_failures.clear();
        self.adopt_success(success);
    }

    /// Records a failed attempt: the last success then only tells the keys that worked.
    pub(crate) fn fail(&mut self) {
        if let Some(recorded) = &mut self.success {
            recorded.progress = Progress::Failed;
        }
    }
}

/// A success that still holds.
pub(crate) enum Unchanged {
    /// By this process.
    Recorded(LastSuccess),
    /// By an earlier process or another replica, according to the status.
    Stored(LastSuccess),
}

impl Unchanged {
    fn success(&self) -> &LastSuccess {
        match self {
            Self::Recorded(success) | Self::Stored(success) => success,
        }
    }
}

/// Returns the record of a success with this Secret and these keys.
pub(crate) fn success_with(
    object: &RawSealedSecret,
    version: SecretVersion,
    keys: Vec<ItemsOfKey>,
) -> LastSuccess {
    let metadata = &object.metadata;
    LastSuccess {
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        scope: Scope::from_annotations(metadata.annotations.as_ref()).to_string(),
        secret_uid: version.uid,
        secret_resource_version: version.resource_version,
        keys,
    }
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;
    use sealed_secrets_core::decryption::{DecryptionError, ItemError};
    use serde_json::json;

    use super::*;
    use crate::sealed_secret::watch::raw::raw_object;

    fn object(resource_version: &str, generation: i64) -> RawSealedSecret {
        raw_object(&json!({
            "metadata": {
                "namespace": "shop", "name": "db", "uid": "u",
                "resourceVersion": resource_version, "generation": generation,
            },
            "status": {"observedGeneration": generation}
        }))
    }

    fn secret(resource_version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("s".to_owned()),
            resource_version: Some(resource_version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn success(object: &RawSealedSecret, resource_version: &str) -> LastSuccess {
        success_with(object, SecretVersion::of(&secret(resource_version)), Vec::new())
    }

    #[test]
    fn a_write_that_the_watch_has_delivered_before_the_answer_is_not_kept() {
        let mut state = ObjectState::default();
        assert!(state.observe(&object("10", 1)));
        state.record_write(&object("11", 1));
        assert!(!state.overlay.is_empty());
        assert!(!state.observe(&object("11", 1)) && state.overlay.is_empty());
        state.observe(&object("13", 1));
        state.record_write(&object("12", 1));
        assert!(state.overlay.is_empty());
    }

    #[test]
    fn a_success_holds_until_object_or_secret_changes_or_an_attempt_fails() {
        let (ring, mut state, now) = (KeyRing::default(), ObjectState::default(), object("10", 1));
        state.secret.observe("db", &secret("5"));
        assert!(state.unchanged_success(&now, &ring).is_none());
        state.succeed(success(&now, "5"));
        assert!(matches!(state.unchanged_success(&now, &ring), Some(Unchanged::Recorded(_))));
        assert!(state.unchanged_success(&object("11", 2), &ring).is_none(), "another generation");
        state.secret.observe("db", &secret("6"));
        assert!(state.unchanged_success(&now, &ring).is_none(), "the Secret was edited");
        state.secret.observe("db", &secret("5"));
        state.fail();
        assert!(state.unchanged_success(&now, &ring).is_none());
        assert!(state.has_unsealed(&now), "the last success is still known");
    }

    #[test]
    fn a_deferred_report_is_due_until_it_is_made_and_while_it_holds() {
        let (ring, mut state, now) = (KeyRing::default(), ObjectState::default(), object("10", 1));
        state.secret.observe("db", &secret("5"));
        state.defer_report(success(&now, "5"));
        assert!(state.unreported(&now, &ring).is_some() && state.unchanged_success(&now, &ring).is_none());
        assert!(state.unreported(&object("11", 2), &ring).is_none() && state.any_unreported().is_some());
        state.succeed(success(&now, "5"));
        assert!(state.any_unreported().is_none());
    }

    #[test]
    fn a_secret_is_left_alone_without_repairs_and_where_its_owner_must_recreate_it() {
        let (mut state, now) = (ObjectState::default(), object("10", 1));
        assert!(!state.is_left_alone(&now, false), "it was never seen in its desired state");
        state.succeed(success(&now, "5"));
        assert!(state.is_left_alone(&now, false) && !state.is_left_alone(&now, true));
        state.fail();
        assert!(!state.is_left_alone(&now, false));
    }

    #[test]
    fn a_success_ends_backoff_and_negative_cache() {
        let (ring, mut state, now) = (KeyRing::default(), ObjectState::default(), object("10", 1));
        state.retry.fail(1, 0.0);
        state.decrypt_failures.record(&now, &ring, DecryptionError::V1(ItemError::NoKey), Instant::now());
        state.succeed(success(&now, "5"));
        assert!(state.retry.failures() == 0 && state.decrypt_failures.is_empty());
    }
}
