//! What the workers of one watch share and remember.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{KeyUse, V1Data};
use sealed_secrets_crds::{ItemsOfKey, LastSuccess, Scope};
use tokio::sync::Semaphore;

use super::decrypt::failures::DecryptFailures;
use super::object_kind;
use super::queue::priority_queue::PriorityQueue;
use super::secret::apply::Before;
use super::secret::desired::DEFAULT_TYPE;
use super::secret::drift_backoff::DriftBackoff;
use super::secret::index::{Key, SecretIndex, SecretVersion};
use super::status;
use super::status::denied::DeniedStatusWrites;
use super::status::key_conditions::{KeyCondition, key_conditions};
use super::status::overlay::StatusOverlay;
use super::watch::observed::{ObservedVersions, object_hash};
use super::watch::raw;
use crate::context::Context;
use crate::usage::{ObjectKeyUsage, Source};
use tokio::sync::SetOnce;

/// What this process knows of the last success of an object.
#[derive(Debug)]
struct Remembered {
    success: LastSuccess,
    since: Since,
}

/// What has become of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Status and event are still to be written.
    Unreported,
    Reported,
    /// An attempt has failed.
    Failed,
}

/// The shared context, and the memory of this watch.
pub(crate) struct ObjectStates {
    pub(crate) context: Arc<Context>,
    pub(crate) versions: Arc<SecretIndex>,
    pub(crate) drift_backoff: DriftBackoff,
    pub(crate) seen: ObservedVersions,
    pub(crate) overlay: StatusOverlay,
    pub(crate) denied: DeniedStatusWrites,
    pub(crate) queue: Arc<PriorityQueue>,
    pub(crate) decrypt_failures: DecryptFailures,
    /// One object is counted at a time: what is to be opened has the other turns.
    pub(crate) counting: Semaphore,
    /// Open when the first list of SealedSecrets is in the store.
    pub(crate) objects_listed: SetOnce<()>,
    /// Whether Secrets that were edited or deleted are put back.
    repair: bool,
    successes: Mutex<HashMap<Key, Remembered>>,
}

impl ObjectStates {
    pub(crate) fn new(context: Arc<Context>, repair: bool) -> Self {
        Self {
            context,
            repair,
            versions: Arc::new(SecretIndex::new()),
            drift_backoff: DriftBackoff::default(),
            seen: ObservedVersions::default(),
            overlay: StatusOverlay::default(),
            denied: DeniedStatusWrites::default(),
            queue: Arc::default(),
            decrypt_failures: DecryptFailures::new(),
            counting: Semaphore::new(1),
            objects_listed: SetOnce::new(),
            successes: Mutex::default(),
        }
    }

    /// Whether the last result for `object` still holds, so that there is nothing to do: object and Secret are the very ones it
    /// was made of, and the keys that opened it are on the ring. A key that was added cannot change it, since an item opens
    /// with one key only. What this process remembers counts before what the status says.
    pub(crate) fn nothing_has_changed(&self, object: &DynamicObject, ring: &KeyRing) -> bool {
        let remembered = self.lock().get(&key_of(object)).map(|last| (last.since, last.success.clone()));
        let (is_new, last) = match remembered {
            Some((since, last)) => (false, (since == Since::Reported).then_some(last)),
            None => (true, status::last_success(self.overlay.status(object), object.metadata.generation)),
        };
        let holds = |last: &LastSuccess| self.is_still_so(last, object, ring) && !self.is_refused(object);
        let Some(last) = last.filter(holds) else { return false };
        if is_new && !self.repair {
            self.lock().insert(key_of(object), Remembered { success: last, since: Since::Reported });
        }
        true
    }

    /// Whether the Secret of `object`, which this process has known as it should be, stays as it has become: nothing is put back,
    /// or it is gone and its owner is to make it again.
    pub(crate) fn is_left_alone(&self, object: &DynamicObject) -> bool {
        let since = self.lock().get(&key_of(object)).map(|last| last.since);
        let may_be = self.versions.is_deleted_externally(&key_of(object)) || !self.repair && since.is_some();
        may_be && since.is_none_or(|since| since == Since::Reported) && self.has_opened(object)
    }

    /// Whether a flag forbids what may have opened before this process started.
    fn is_refused(&self, object: &DynamicObject) -> bool {
        let context = &self.context;
        let may_be_denied = || {
            let kind = raw::type_of_secret(object).filter(|kind| !kind.is_empty());
            // The type of the deprecated form is sealed.
            context.denied_types.contains(kind.as_deref().unwrap_or(DEFAULT_TYPE)) || raw::has_v1_data(object)
        };
        context.v1_data == V1Data::Refused && raw::has_v1_data(object)
            || !context.denied_types.is_empty() && may_be_denied()
    }

    /// The success for `object` that was put off being reported, if it still holds.
    pub(crate) fn unreported(&self, object: &DynamicObject, ring: &KeyRing) -> Option<LastSuccess> {
        let known = self.lock();
        let last = known.get(&key_of(object)).filter(|last| last.since == Since::Unreported)?;
        let success = last.success.clone();
        drop(known);
        self.is_still_so(&success, object, ring).then_some(success)
    }

    /// Every success that was put off being reported.
    pub(crate) fn all_unreported(&self) -> Vec<(Key, LastSuccess)> {
        let known = self.lock();
        let unreported = known.iter().filter(|(_, last)| last.since == Since::Unreported);
        unreported.map(|(key, last)| (key.clone(), last.success.clone())).collect()
    }

    fn is_still_so(&self, success: &LastSuccess, object: &DynamicObject, ring: &KeyRing) -> bool {
        let Some(version) = self.versions.get(&key_of(object)) else { return false };
        let on_ring = success.keys.iter().all(|key| ring.fingerprint(&key.fingerprint).is_some());
        on_ring && *success == success_with(object, version, success.keys.clone())
    }

    /// Whether `object` has opened before as it is now: in this process, or as its status says.
    pub(crate) fn has_opened(&self, object: &DynamicObject) -> bool {
        let now = success_with(object, SecretVersion::default(), Vec::new());
        let same = |last: LastSuccess| {
            (last.uid, last.generation, last.scope) == (now.uid, now.generation, now.scope)
        };
        match self.last(object) {
            Some(last) if last.generation == now.generation => same(last),
            _ => status::has_opened(&self.overlay.status(object), object.metadata.generation),
        }
    }

    /// Whether the templates of `object`, as it is now, took too long.
    pub(crate) fn ran_out_of_time(&self, object: &DynamicObject) -> bool {
        status::ran_out_of_time(&self.overlay.status(object), object.metadata.generation)
    }

    /// Differs where anything differs that an attempt at `object` depends on: itself, the key ring, its Secret.
    pub(crate) fn retry_fingerprint(&self, object: &DynamicObject) -> u64 {
        let mut hasher = DefaultHasher::new();
        let ring = self.context.ring.borrow().clone();
        object_hash(&object.metadata).hash(&mut hasher);
        ring.map(|ring| ring.identity().to_owned()).hash(&mut hasher);
        let secret = self.versions.get(&key_of(object));
        secret.map(|version| (version.uid, version.resource_version)).hash(&mut hasher);
        hasher.finish()
    }

    /// How long the Secret of `object` must still wait to be put back.
    pub(crate) fn pause_before_repair(&self, object: &DynamicObject) -> Option<Duration> {
        self.drift_backoff.wait(&key_of(object), self.has_opened(object), Instant::now())
    }

    /// What is known of `object` from before, as far as anything remembers it.
    pub(crate) fn before(&self, object: &DynamicObject) -> Before {
        let last = self.last(object);
        Before {
            has_opened: self.has_opened(object),
            is_known: last.is_some() || self.overlay.status(object).observed_generation.is_some(),
            left_as: last.map(|last| SecretVersion {
                uid: last.secret_uid,
                resource_version: last.secret_resource_version,
            }),
        }
    }

    /// The last success with `object`, whatever has happened since.
    fn last(&self, object: &DynamicObject) -> Option<LastSuccess> {
        let remembered = self.lock().get(&key_of(object)).map(|remembered| remembered.success.clone());
        remembered.or_else(|| self.overlay.status(object).last_success)
    }

    /// Fingerprints of the keys that opened `object` the last time. Nothing but work depends on them.
    pub(crate) fn keys_that_worked(&self, object: &DynamicObject) -> Vec<String> {
        let keys = self.last(object).map(|success| success.keys).unwrap_or_default();
        keys.into_iter().map(|key| key.fingerprint).collect()
    }

    /// Remembers a success whose report is put off; a later one takes its place.
    pub(crate) fn put_off(&self, object: &DynamicObject, success: LastSuccess) {
        self.lock().insert(key_of(object), Remembered { success, since: Since::Unreported });
    }

    /// The same, and has it reported when the backlog is done.
    pub(crate) fn report_later(&self, object: &DynamicObject, success: LastSuccess) {
        self.put_off(object, success);
        self.queue.report_later(key_of(object));
    }

    /// A status of this namespace could be written: has everything told that was forbidden there.
    pub(crate) fn requeue_denied(&self, object: &DynamicObject) {
        let denied = self.denied.allowed(&key_of(object));
        if !denied.is_empty() {
            self.queue.look_later(denied);
        }
    }

    /// What there is to be told of `object` is in its status already.
    pub(crate) fn clear_denied(&self, object: &DynamicObject) {
        self.forget_denied(&key_of(object));
    }

    fn forget_denied(&self, key: &Key) {
        if let Some(probe) = self.denied.forget(key) {
            self.queue.look_later([probe]);
        }
    }

    /// Remembers a success, which has then been reported.
    pub(crate) fn succeeded(&self, object: &DynamicObject, success: LastSuccess) {
        self.context.backoff.succeeded(&key_of(object));
        self.decrypt_failures.forget(&key_of(object));
        self.lock().insert(key_of(object), Remembered { success, since: Since::Reported });
    }

    /// From now on the last success says nothing but which keys worked.
    pub(crate) fn failed(&self, object: &DynamicObject) {
        if let Some(remembered) = self.lock().get_mut(&key_of(object)) {
            remembered.since = Since::Failed;
        }
    }

    /// Notes `object` as the watch shows it, and tells whether it is new or has changed in what matters. One that is being deleted
    /// needs no key any more.
    pub(crate) fn sees(&self, object: &DynamicObject) -> bool {
        if object.metadata.deletion_timestamp.is_some() {
            self.context.usage.forget(&key_of(object));
            self.clear_denied(object);
        } else {
            self.context.usage.expect(key_of(object), object_hash(&object.metadata));
        }
        self.overlay.shown(object);
        self.seen.note(object)
    }

    /// Notes an object as the API server has answered it.
    pub(crate) fn record_write(&self, object: &DynamicObject) {
        if self.seen.has_shown(object) {
            self.overlay.forget(&key_of(object));
        } else {
            self.overlay.written(object);
        }
    }

    /// Notes which keys `object` needs.
    pub(crate) fn counts(&self, object: &DynamicObject, tally: ObjectKeyUsage) {
        self.context.usage.note(&key_of(object), object_hash(&object.metadata), tally);
    }

    /// What there is to say of the keys that `object` needs, as far as they are known.
    pub(crate) fn key_conditions(&self, object: &DynamicObject) -> Vec<KeyCondition> {
        let tally = self.context.usage.get(&key_of(object), object_hash(&object.metadata));
        let ring = self.context.ring.borrow().clone();
        tally.zip(ring).map(|(tally, ring)| key_conditions(&tally, &ring)).unwrap_or_default()
    }

    /// Notes which keys `object` needed the last time, as far as nothing better is known.
    pub(crate) fn counts_what_was(&self, object: &DynamicObject, ring: &KeyRing) {
        let Some(last) = self.last(object) else { return };
        let key_use = |key: ItemsOfKey| {
            Some(KeyUse { fingerprint: ring.fingerprint(&key.fingerprint)?.clone(), items: key.items })
        };
        if let Some(keys) = last.keys.into_iter().map(key_use).collect() {
            self.counts(object, ObjectKeyUsage { keys, unopened: 0, source: Source::Status });
        }
    }

    /// Forgets everything about an object that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.context.backoff.succeeded(key);
        self.context.metrics.forget(key);
        self.context.usage.forget(key);
        self.seen.forget(key);
        self.overlay.forget(key);
        self.forget_denied(key);
        self.decrypt_failures.forget(key);
        self.drift_backoff.forget(key);
        self.versions.forget(key);
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Remembered>> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and name.
pub(crate) fn key_of(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The object of that namespace and name.
pub(crate) fn reference((namespace, name): Key) -> ObjectRef<DynamicObject> {
    ObjectRef::new_with(&name, object_kind()).within(&namespace)
}

/// What a success with this Secret and these keys is made of.
pub(crate) fn success_with(
    object: &DynamicObject,
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
