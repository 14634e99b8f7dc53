//! States of all SealedSecrets of one watch, behind one lock.
//!
//! Each method takes the lock once, delegates to [`ObjectState`], and releases it: the lock is never held across an await, and
//! nothing that is called under it takes another lock.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::api::ObjectMeta;
use parking_lot::Mutex;
use sealed_secrets_core::decryption::{DecryptionError, KeyUse, V1Data};
use sealed_secrets_core::diagnosis::Diagnosis;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::{ItemsOfKey, LastSuccess, SealedSecretStatus};
use tokio::sync::SetOnce;

use super::decrypt::failures::DecryptFailure;
use super::object::{ObjectKey, ObjectVersion};
use super::object_state::{ObjectState, Unchanged};
use super::secret::desired::DEFAULT_TYPE;
use super::secret::drift_backoff::RepairNotice;
use super::secret::record::{Before, SecretVersion};
use super::status::denied::DeniedStatusWrites;
use super::status::key_conditions::{KeyCondition, key_conditions};
use super::status::missing_permissions::MissingPermissions;
use super::status::{self, KnownStatus, StatusReport, StatusWrite};
use super::watch::over_limit_queue::{OverLimitQueue, weight_of_mark};
use crate::context::Context;
use crate::error::Failure;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::usage::{ObjectKeyUsage, Source};

/// State of all SealedSecrets of one watch.
pub(crate) struct ObjectStates {
    pub(crate) context: Arc<Context>,
    pub(crate) over_limit_queue: OverLimitQueue,
    pub(crate) denied: DeniedStatusWrites,
    pub(crate) missing_permissions: MissingPermissions,
    /// Set when the first list of SealedSecrets is in the store.
    pub(crate) objects_listed: SetOnce<()>,
    /// Set when the first list of Secrets is complete, or has failed.
    pub(crate) secrets_listed: SetOnce<()>,
    secrets_watched: AtomicBool,
    /// Some objects over the limit are not tracked.
    has_untracked: AtomicBool,
    /// Edited and deleted Secrets are repaired.
    repair: bool,
    states: Mutex<HashMap<ObjectKey, ObjectState>>,
}

/// A write of a Secret that is in flight, from before the Secret is first read. Dropping it ends the write.
pub(crate) struct SecretWrite<'a> {
    states: &'a ObjectStates,
    key: ObjectKey,
}

impl SecretWrite<'_> {
    /// Records the version that the write has left, unless the watch has delivered anything since the write began.
    pub(crate) fn complete(self, metadata: &ObjectMeta) {
        if let Some(state) = self.states.states.lock().get_mut(&self.key) {
            state.secret.complete_write(&self.key.name, metadata);
        }
    }
}

impl Drop for SecretWrite<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.states.states.lock().get_mut(&self.key) {
            state.secret.end_write();
        }
    }
}

impl ObjectStates {
    pub(crate) fn new(context: Arc<Context>, repair: bool) -> Self {
        Self {
            context,
            repair,
            over_limit_queue: OverLimitQueue::default(),
            denied: DeniedStatusWrites::default(),
            missing_permissions: MissingPermissions::default(),
            objects_listed: SetOnce::new(),
            secrets_listed: SetOnce::new(),
            secrets_watched: AtomicBool::new(false),
            has_untracked: AtomicBool::new(false),
            states: Mutex::default(),
        }
    }

    /// Records an object that the watch delivers, and returns true if it is new or has changed in anything that an attempt
    /// depends on. An object that is being deleted needs no key any more.
    pub(crate) fn observe(&self, object: &RawSealedSecret) -> bool {
        let key = ObjectKey::of(object);
        if object.metadata.deletion_timestamp.is_some() {
            self.context.usage.forget(&key);
            self.clear_denied(&key);
        } else {
            self.context.usage.expect(key.clone(), ObjectVersion::of(&object.metadata));
        }
        self.states.lock().entry(key).or_default().observe(object)
    }

    /// Forgets an object that was deleted, or is not kept any more. Only the mark of an object over the limit stays.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        match self.remove(key) {
            None => {
                self.context.metrics.forget(key);
                self.context.usage.forget(key);
            }
            Some(version) => self.context.usage.expect(key.clone(), version),
        }
        self.clear_denied(key);
    }

    fn remove(&self, key: &ObjectKey) -> Option<ObjectVersion> {
        let mut states = self.states.lock();
        let ObjectState { over_limit, .. } = states.remove(key)?;
        let version = over_limit.version()?;
        states.insert(key.clone(), ObjectState { over_limit, ..ObjectState::default() });
        Some(version)
    }

    /// Returns true if the last result for `object` still holds, so that there is nothing to do. With repairs off, a result that
    /// the stored status reports becomes that of this process.
    pub(crate) fn recall_unchanged(&self, object: &RawSealedSecret, ring: &KeyRing) -> bool {
        let unchanged = self.with(object, |state| state.unchanged_success(object, ring));
        let Some(unchanged) = unchanged.filter(|_| !self.is_refused(object)) else { return false };
        if let Unchanged::Stored(success) = unchanged
            && !self.repair
        {
            self.update(object, |state| state.adopt_success(success));
        }
        true
    }

    /// See [`ObjectState::is_left_alone`].
    pub(crate) fn is_left_alone(&self, object: &RawSealedSecret) -> bool {
        self.with(object, |state| state.is_left_alone(object, self.repair))
    }

    /// Returns true if a flag forbids an object that may have been unsealed before this process started.
    fn is_refused(&self, object: &RawSealedSecret) -> bool {
        let context = &self.context;
        let may_be_denied = || {
            let kind = object.type_of_secret().filter(|kind| !kind.is_empty());
            // The type of the deprecated form is sealed.
            context.denied_types.contains(kind.as_deref().unwrap_or(DEFAULT_TYPE)) || object.has_v1_data()
        };
        context.v1_data == V1Data::Refused && object.has_v1_data()
            || !context.denied_types.is_empty() && may_be_denied()
    }

    /// Returns the success with `object` whose report was deferred, if it still holds.
    pub(crate) fn unreported(&self, object: &RawSealedSecret, ring: &KeyRing) -> Option<LastSuccess> {
        self.with(object, |state| state.unreported(object, ring))
    }

    /// Returns every success whose report was deferred.
    pub(crate) fn all_unreported(&self) -> Vec<(ObjectKey, LastSuccess)> {
        let states = self.states.lock();
        let unreported = states.iter().filter_map(|(key, state)| Some((key, state.any_unreported()?)));
        unreported.map(|(key, success)| (key.clone(), success.clone())).collect()
    }

    /// Returns true if the templates of the present version of `object` exceeded their time limit.
    pub(crate) fn ran_out_of_time(&self, object: &RawSealedSecret) -> bool {
        status::ran_out_of_time(&self.status(object), object.metadata.generation)
    }

    /// See [`ObjectState::wait_before_repair`].
    pub(crate) fn wait_before_repair(&self, object: &RawSealedSecret) -> Option<Duration> {
        let now = Instant::now();
        self.with(object, |state| state.wait_before_repair(object, now))
    }

    /// Records a repair, and returns the event to write.
    pub(crate) fn record_repair(&self, object: &RawSealedSecret, message: &str) -> RepairNotice {
        let now = Instant::now();
        self.update(object, |state| state.drift.record(message, now))
    }

    /// Returns the history of `object`, by this process or by its status.
    pub(crate) fn before(&self, object: &RawSealedSecret) -> Before {
        self.with(object, |state| state.before(object))
    }

    /// Returns the fingerprints of the keys that decrypted `object` last. They only save work: a wrong one does no harm.
    pub(crate) fn keys_that_worked(&self, object: &RawSealedSecret) -> Vec<String> {
        let last = self.with(object, |state| state.last_success(object));
        let keys = last.map(|success| success.keys).unwrap_or_default();
        keys.into_iter().map(|key| key.fingerprint).collect()
    }

    /// Records a success whose report is deferred. It replaces an earlier one.
    pub(crate) fn defer_report(&self, object: &RawSealedSecret, success: LastSuccess) {
        self.update(object, |state| state.defer_report(success));
    }

    /// Records a success, and queues its report behind the bulk work.
    pub(crate) fn report_later(&self, object: &RawSealedSecret, success: LastSuccess) {
        self.defer_report(object, success);
        self.context.queue.add_report(ObjectKey::of(object));
    }

    /// Records a success that was reported.
    pub(crate) fn record_success(&self, object: &RawSealedSecret, success: LastSuccess) {
        self.update(object, |state| state.succeed(success));
    }

    /// Records a failed attempt.
    pub(crate) fn record_failure(&self, object: &RawSealedSecret) {
        if let Some(state) = self.states.lock().get_mut(&ObjectKey::of(object)) {
            state.fail();
        }
    }

    /// Counts a failure, and returns the wait before the next attempt and the number of failures in a row.
    pub(crate) fn back_off(&self, object: &RawSealedSecret) -> (Duration, u32) {
        let (ring, jitter) = (self.context.ring.borrow().clone(), rand::random());
        self.update(object, |state| {
            let fingerprint = retry_fingerprint(object, ring.as_deref(), state.secret.version());
            (state.retry.fail(fingerprint, jitter), state.retry.failures())
        })
    }

    /// Returns the error of `object` with this ring, if it is in the negative cache.
    pub(crate) fn decrypt_error(&self, object: &RawSealedSecret, ring: &KeyRing) -> Option<DecryptionError> {
        self.with(object, |state| state.decrypt_failures.error(object, ring))
    }

    /// Returns the failure of `object` in the negative cache, or records a new one.
    pub(crate) fn record_decrypt_failure(
        &self,
        object: &RawSealedSecret,
        ring: &KeyRing,
        error: DecryptionError,
    ) -> DecryptFailure {
        let now = Instant::now();
        self.update(object, |state| state.decrypt_failures.record(object, ring, error, now))
    }

    /// Records the result of a diagnosis.
    pub(crate) fn record_diagnosis(
        &self,
        object: &RawSealedSecret,
        failure: DecryptFailure,
        diagnosis: Option<Diagnosis>,
    ) -> DecryptFailure {
        self.update(object, |state| state.decrypt_failures.record_diagnosis(failure, diagnosis))
    }

    /// Records that a failure is reported before its diagnosis.
    pub(crate) fn record_undiagnosed_report(
        &self,
        object: &RawSealedSecret,
        failure: DecryptFailure,
    ) -> DecryptFailure {
        self.update(object, |state| state.decrypt_failures.record_report(failure))
    }

    /// Returns true if the negative cache holds a failure of `object` whose diagnosis is still due.
    pub(crate) fn is_undiagnosed(&self, object: &RawSealedSecret) -> bool {
        self.with(object, |state| state.decrypt_failures.is_undiagnosed())
    }

    /// Counts the failure of `object` in the negative cache, and returns true the first time.
    pub(crate) fn count_decrypt_failure(&self, object: &RawSealedSecret) -> bool {
        let mut states = self.states.lock();
        let state = states.get_mut(&ObjectKey::of(object));
        state.is_none_or(|state| state.decrypt_failures.count_first_time())
    }

    fn with<T>(&self, object: &RawSealedSecret, look: impl FnOnce(&ObjectState) -> T) -> T {
        match self.states.lock().get(&ObjectKey::of(object)) {
            Some(state) => look(state),
            None => look(&ObjectState::default()),
        }
    }

    fn update<T>(&self, object: &RawSealedSecret, change: impl FnOnce(&mut ObjectState) -> T) -> T {
        change(self.states.lock().entry(ObjectKey::of(object)).or_default())
    }
}

/// Status updates.
impl ObjectStates {
    /// Returns the latest stored status of `object` that is known.
    pub(crate) fn status(&self, object: &RawSealedSecret) -> SealedSecretStatus {
        self.with(object, |state| state.status(object))
    }

    /// Returns the input of the next status update.
    pub(crate) fn known_status(&self, object: &RawSealedSecret) -> KnownStatus {
        let (stored, reported) =
            self.with(object, |state| (state.status(object), state.overlay.reported(object)));
        KnownStatus { stored, reported, key_conditions: self.key_conditions(object) }
    }

    /// Records the outcome of a status update.
    ///
    /// # Errors
    /// That of the update.
    pub(crate) fn record_status(
        &self,
        object: &RawSealedSecret,
        report: StatusReport,
    ) -> Result<StatusWrite, Failure> {
        if let Some(answered) = &report.answered {
            self.update(object, |state| state.record_write(answered));
        }
        let key = ObjectKey::of(object);
        let write = report.outcome?;
        match &write {
            StatusWrite::Written => self.requeue_denied(&key),
            StatusWrite::Unchanged => self.clear_denied(&key),
            StatusWrite::Disabled(status) => {
                self.update(object, |state| state.overlay.record_unwritten(object, (**status).clone()));
            }
            StatusWrite::Gone => {}
            StatusWrite::Forbidden { status, message } => {
                self.update(object, |state| state.overlay.record_forbidden(object, (**status).clone()));
                if self.denied.add(key) {
                    tracing::warn!("the status of SealedSecrets may not be written: {message}");
                }
            }
        }
        Ok(write)
    }

    /// Drops the pending status of an object over the limit. The watch does not deliver such an object.
    pub(crate) fn discard_overlay(&self, key: &ObjectKey) {
        let mut states = self.states.lock();
        let Some(state) = states.get_mut(key) else { return };
        state.overlay.clear();
        if state.is_empty() {
            states.remove(key);
        }
    }

    /// Queues all objects of the namespace whose status update was denied: one of them could be written.
    fn requeue_denied(&self, key: &ObjectKey) {
        let denied = self.denied.allowed(key);
        if !denied.is_empty() {
            self.context.queue.add_background(denied);
        }
    }

    /// Records that no status update of this object is due. If it was the probe of its namespace, the next one is queued.
    pub(crate) fn clear_denied(&self, key: &ObjectKey) {
        if let Some(probe) = self.denied.forget(key) {
            self.context.queue.add_background([probe]);
        }
    }
}

/// Key usage.
impl ObjectStates {
    /// Records the keys that `object` needs.
    pub(crate) fn record_usage(&self, object: &RawSealedSecret, object_usage: ObjectKeyUsage) {
        let version = ObjectVersion::of(&object.metadata);
        self.context.usage.note(&ObjectKey::of(object), version, object_usage);
    }

    /// Records the keys that `object` needed last, unless this process has counted them itself.
    pub(crate) fn record_last_usage(&self, object: &RawSealedSecret, ring: &KeyRing) {
        let Some(last) = self.with(object, |state| state.last_success(object)) else { return };
        let key_use = |key: ItemsOfKey| {
            Some(KeyUse { fingerprint: ring.fingerprint(&key.fingerprint)?.clone(), items: key.items })
        };
        if let Some(keys) = last.keys.into_iter().map(key_use).collect() {
            self.record_usage(object, ObjectKeyUsage { keys, undecryptable: 0, source: Source::Status });
        }
    }

    /// Returns the conditions about the keys that `object` needs, as far as they are known.
    pub(crate) fn key_conditions(&self, object: &RawSealedSecret) -> Vec<KeyCondition> {
        let object_usage =
            self.context.usage.get(&ObjectKey::of(object), ObjectVersion::of(&object.metadata));
        let ring = self.context.ring.borrow().clone();
        object_usage
            .zip(ring)
            .map(|(object_usage, ring)| key_conditions(&object_usage, &ring))
            .unwrap_or_default()
    }
}

/// Secrets, by the key of their SealedSecret.
impl ObjectStates {
    /// Returns true if Secrets may be watched, so that their changes are noticed.
    pub(crate) fn are_secrets_watched(&self) -> bool {
        self.secrets_watched.load(Ordering::Relaxed)
    }

    pub(crate) fn set_secrets_watched(&self, watched: bool) {
        self.secrets_watched.store(watched, Ordering::Relaxed);
    }

    /// Returns true if the Secret exists, as far as is known.
    pub(crate) fn has_secret(&self, key: &ObjectKey) -> bool {
        self.states.lock().get(key).is_some_and(|state| state.secret.version().is_some())
    }

    /// See [`super::secret::record::SecretRecord::has_been_owned`].
    pub(crate) fn has_secret_been_owned(&self, key: &ObjectKey, secret: &str, owner: &str) -> bool {
        self.states.lock().get(key).is_some_and(|state| state.secret.has_been_owned(secret, owner))
    }

    /// Begins to write a Secret. One attempt at a time writes a Secret.
    pub(crate) fn begin_secret_write(&self, key: ObjectKey) -> SecretWrite<'_> {
        self.states.lock().entry(key.clone()).or_default().secret.begin_write();
        SecretWrite { states: self, key }
    }

    /// Records a Secret that the watch delivers, and returns true if its version differs from the one before.
    pub(crate) fn observe_secret(&self, key: ObjectKey, metadata: &ObjectMeta) -> bool {
        let name = key.name.clone();
        self.states.lock().entry(key).or_default().secret.observe(&name, metadata)
    }

    /// Records the deletion of a Secret.
    pub(crate) fn observe_secret_deletion(&self, key: &ObjectKey) {
        if let Some(state) = self.states.lock().get_mut(key) {
            state.secret.observe_deletion();
        }
    }

    /// Records the deletion of every Secret that is not listed, and returns their keys.
    pub(crate) fn observe_secret_list(&self, listed: &HashSet<ObjectKey>) -> Vec<ObjectKey> {
        let mut deleted = Vec::new();
        for (key, state) in self.states.lock().iter_mut() {
            if state.secret.version().is_some() && !listed.contains(key) {
                state.secret.observe_deletion();
                deleted.push(key.clone());
            }
        }
        deleted
    }
}

/// Objects over the memory limit.
impl ObjectStates {
    /// Records an object over the limit, in this version. While there is one, the usage of keys is unknown. If there are too many
    /// of them, nothing is kept of it until the next list.
    pub(crate) fn refuse(&self, key: ObjectKey, version: ObjectVersion) {
        let is_marked = self.over_limit_version(&key).is_some();
        if !is_marked && !self.context.object_memory.take_mark(weight_of_mark(&key)) {
            self.context.usage.record_untracked();
            if !self.has_untracked.swap(true, Ordering::Relaxed) {
                tracing::warn!("too many SealedSecrets are over the memory limit: some have no condition");
            }
            return;
        }
        self.context.usage.expect(key.clone(), version);
        let is_new = self.states.lock().entry(key.clone()).or_default().over_limit.refuse(version);
        if is_new {
            self.over_limit_queue.push(key);
        }
    }

    /// Returns the version that was refused, if the object is over the limit.
    pub(crate) fn over_limit_version(&self, key: &ObjectKey) -> Option<ObjectVersion> {
        self.states.lock().get(key)?.over_limit.version()
    }

    pub(crate) fn is_any_over_limit(&self) -> bool {
        self.has_untracked.load(Ordering::Relaxed)
            || self.states.lock().values().any(|state| state.over_limit.version().is_some())
    }

    /// Removes the mark of an object that is kept, or was deleted.
    pub(crate) fn clear_over_limit(&self, key: &ObjectKey) {
        if let Some(state) = self.states.lock().get_mut(key)
            && state.over_limit.clear()
        {
            self.context.object_memory.release_mark(weight_of_mark(key));
        }
    }

    /// Removes the marks of all objects, and returns their keys.
    pub(crate) fn clear_all_over_limit(&self) -> Vec<ObjectKey> {
        self.over_limit_queue.clear();
        self.has_untracked.store(false, Ordering::Relaxed);
        let mut cleared = Vec::new();
        for (key, state) in self.states.lock().iter_mut() {
            if state.over_limit.clear() {
                self.context.object_memory.release_mark(weight_of_mark(key));
                cleared.push(key.clone());
            }
        }
        cleared
    }
}

/// Hash of everything that an attempt at `object` depends on: the object, the key ring, its Secret.
fn retry_fingerprint(
    object: &RawSealedSecret,
    ring: Option<&KeyRing>,
    secret: Option<&SecretVersion>,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    ObjectVersion::of(&object.metadata).hash(&mut hasher);
    ring.map(KeyRing::identity).hash(&mut hasher);
    secret.map(|version| (&version.uid, &version.resource_version)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::decryption::ItemError;
    use serde_json::json;

    use super::*;
    use crate::sealed_secret::watch::raw::raw_object;
    use crate::work::object_memory::ObjectMemory;

    fn states() -> ObjectStates {
        ObjectStates::new(Arc::new(Context::for_tests()), true)
    }

    fn object(name: &str) -> RawSealedSecret {
        raw_object(&json!({
            "metadata": {
                "namespace": "shop", "name": name, "uid": "u", "resourceVersion": "10", "generation": 1,
            }
        }))
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn secret(resource_version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("s".to_owned()),
            resource_version: Some(resource_version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn known_secret(states: &ObjectStates, name: &str) -> Option<String> {
        let version = states.with(&object(name), |state| state.secret.version().cloned());
        version.map(|version| version.resource_version)
    }

    fn fail(states: &ObjectStates, name: &str) {
        let error = DecryptionError::V1(ItemError::NoKey);
        states.record_decrypt_failure(&object(name), &KeyRing::default(), error);
    }

    #[tokio::test]
    async fn nothing_is_left_of_an_object_that_is_forgotten() {
        let (states, db) = (states(), object("db"));
        assert!(states.observe(&db));
        assert!(!states.observe(&db));
        states.observe_secret(key("db"), &secret("1"));
        fail(&states, "db");
        states.record_repair(&db, "by somebody");
        assert_eq!(states.back_off(&db).1, 1);
        states.forget(&key("db"));
        assert!(states.states.lock().is_empty());
        assert!(states.wait_before_repair(&db).is_none() && states.observe(&db));
    }

    #[tokio::test]
    async fn the_state_of_one_object_does_not_affect_another() {
        let states = states();
        fail(&states, "db");
        assert!(states.decrypt_error(&object("db"), &KeyRing::default()).is_some());
        assert!(states.decrypt_error(&object("other"), &KeyRing::default()).is_none());
        assert!(states.is_undiagnosed(&object("db")) && !states.is_undiagnosed(&object("other")));
    }

    #[tokio::test]
    async fn only_the_mark_of_an_object_over_the_limit_stays() {
        let (states, version) = (states(), ObjectVersion::numbered(1));
        states.observe(&object("db"));
        states.refuse(key("db"), version);
        states.forget(&key("db"));
        assert_eq!(states.over_limit_version(&key("db")), Some(version));
        assert!(states.observe(&object("db")), "nothing else is known of it");
        assert_eq!(states.clear_all_over_limit(), [key("db")]);
        assert!(!states.is_any_over_limit());
        states.forget(&key("db"));
        assert!(states.states.lock().is_empty());
    }

    #[tokio::test]
    async fn of_too_many_objects_over_the_limit_nothing_is_kept_but_that_there_are_more() {
        const MEMORY: u64 = 1 << 20;
        let context = Context { object_memory: ObjectMemory::of(Some(MEMORY)), ..Context::for_tests() };
        let states = ObjectStates::new(Arc::new(context), true);
        let (version, ring) = (ObjectVersion::numbered(1), KeyRing::default());
        states.context.usage.listed();
        let names: Vec<String> = (0..10_000).map(|number| format!("object-{number}")).collect();
        for name in &names {
            states.refuse(key(name), version);
        }
        let marked = names.iter().filter(|name| states.over_limit_version(&key(name)).is_some()).count();
        assert!((100..1_000).contains(&marked) && states.states.lock().len() == marked, "{marked}");
        for name in &names {
            states.clear_over_limit(&key(name));
        }
        assert!(states.is_any_over_limit(), "those that are not marked are still over the limit");
        for name in &names {
            states.forget(&key(name));
        }
        assert_eq!(states.context.usage.report(&ring), None, "they may need any key");
        states.refuse(key("db"), version);
        assert_eq!(states.clear_all_over_limit(), [key("db")], "there is room for marks again");
        assert!(!states.is_any_over_limit());
    }

    #[tokio::test]
    async fn a_status_of_an_object_over_the_limit_is_not_kept() {
        let states = states();
        let report =
            || StatusReport { answered: Some(Box::new(object("db"))), outcome: Ok(StatusWrite::Written) };
        assert!(states.record_status(&object("db"), report()).is_ok());
        states.discard_overlay(&key("db"));
        assert!(states.states.lock().is_empty());
        fail(&states, "db");
        assert!(states.record_status(&object("db"), report()).is_ok());
        states.discard_overlay(&key("db"));
        assert!(states.is_undiagnosed(&object("db")), "something else is known of it");
    }

    #[tokio::test]
    async fn a_secret_write_before_a_failing_status_update_is_recorded() {
        let (states, mut answered) = (states(), object("db"));
        states.observe(&answered);
        answered.metadata.resource_version = Some("11".to_owned());
        let failure = Failure::temporary("a conflict".to_owned());
        let report = StatusReport { answered: Some(Box::new(answered)), outcome: Err(failure) };
        assert!(states.record_status(&object("db"), report).is_err());
        assert!(states.with(&object("db"), |state| !state.overlay.is_empty()));
    }

    type Event = fn(&ObjectStates);

    #[tokio::test]
    async fn the_record_of_a_secret_after_a_write_is_never_older_than_the_watch() {
        let events: [(&str, Event, Option<&str>); 5] = [
            ("nothing", |_| {}, Some("10")),
            ("an edit", |states| assert!(states.observe_secret(key("db"), &secret("11"))), Some("11")),
            ("its deletion", |states| states.observe_secret_deletion(&key("db")), None),
            ("a list without it", |states| drop(states.observe_secret_list(&HashSet::new())), None),
            ("the deletion of its SealedSecret", |states| states.forget(&key("db")), None),
        ];
        for (what, happen, expected) in events {
            let states = states();
            states.observe_secret(key("db"), &secret("9"));
            let write = states.begin_secret_write(key("db"));
            happen(&states);
            write.complete(&secret("10"));
            assert_eq!(known_secret(&states, "db").as_deref(), expected, "{what}");
        }
    }

    #[tokio::test]
    async fn a_failed_write_records_nothing() {
        let states = states();
        drop(states.begin_secret_write(key("db")));
        assert!(states.with(&object("db"), ObjectState::is_empty));
    }

    #[tokio::test]
    async fn an_object_that_a_new_list_lacks_is_forgotten() {
        let states = states();
        states.observe_secret(key("db"), &secret("1"));
        states.observe_secret(key("web"), &secret("1"));
        states.observe(&object("without a Secret"));
        assert_eq!(states.observe_secret_list(&HashSet::from([key("web")])), [key("db")]);
        assert_eq!((known_secret(&states, "db"), known_secret(&states, "web").as_deref()), (None, Some("1")));
    }

    #[tokio::test]
    async fn an_attempt_that_ends_after_its_object_was_forgotten_fails_nothing_and_counts_no_failure_twice() {
        let states = states();
        states.record_failure(&object("db"));
        assert!(states.count_decrypt_failure(&object("db")));
        assert!(states.states.lock().is_empty());
    }

    #[tokio::test]
    async fn a_change_of_the_secret_starts_the_retries_over() {
        let (states, db) = (states(), object("db"));
        assert_eq!([(); 2].map(|()| states.back_off(&db).1), [1, 2]);
        states.observe_secret(key("db"), &secret("1"));
        assert_eq!(states.back_off(&db).1, 1);
    }
}
