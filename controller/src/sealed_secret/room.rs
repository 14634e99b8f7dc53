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

use super::apply::Before;
use super::cases::Cases;
use super::desired::DEFAULT_TYPE;
use super::gate::Gate;
use super::lanes::Lanes;
use super::marks::{Mark, marks};
use super::repairs::Repairs;
use super::rightless::Rightless;
use super::seen::{Seen, version_of};
use super::unseen::Unseen;
use super::untold::Untold;
use super::versions::{Key, Version, Versions};
use super::{folded, object_kind, status};
use crate::context::Context;
use crate::usage::{Tally, Witness};

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
pub(super) struct Room {
    pub(super) context: Arc<Context>,
    pub(super) versions: Arc<Versions>,
    pub(super) repairs: Repairs,
    pub(super) seen: Seen,
    pub(super) unseen: Unseen,
    pub(super) untold: Untold,
    pub(super) rightless: Rightless,
    pub(super) lanes: Arc<Lanes>,
    pub(super) cases: Cases,
    /// Open when the first list of SealedSecrets is in the store.
    pub(super) objects_listed: Gate,
    /// Whether Secrets that were edited or deleted are put back.
    repair: bool,
    successes: Mutex<HashMap<Key, Remembered>>,
}

impl Room {
    pub(super) fn new(context: Arc<Context>, repair: bool) -> Self {
        Self {
            context,
            repair,
            versions: Arc::new(Versions::new()),
            repairs: Repairs::default(),
            seen: Seen::default(),
            unseen: Unseen::default(),
            untold: Untold::default(),
            rightless: Rightless::default(),
            lanes: Arc::default(),
            cases: Cases::new(),
            objects_listed: Gate::closed(),
            successes: Mutex::default(),
        }
    }

    /// Whether the last result for `object` still holds, so that there is nothing to do: object and Secret are the very ones it
    /// was made of, and the keys that opened it are on the ring. A key that was added cannot change it, since an item opens
    /// with one key only. What this process remembers counts before what the status says.
    pub(super) fn nothing_has_changed(&self, object: &DynamicObject, ring: &KeyRing) -> bool {
        let remembered = self.lock().get(&key_of(object)).map(|last| (last.since, last.success.clone()));
        let (is_new, last) = match remembered {
            Some((since, last)) => (false, (since == Since::Reported).then_some(last)),
            None => (true, status::last_success(self.unseen.status(object), object.metadata.generation)),
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
    pub(super) fn is_left_alone(&self, object: &DynamicObject) -> bool {
        let since = self.lock().get(&key_of(object)).map(|last| last.since);
        let may_be = self.versions.is_awaited(&key_of(object)) || !self.repair && since.is_some();
        may_be && since.is_none_or(|since| since == Since::Reported) && self.has_opened(object)
    }

    /// Whether a flag forbids what may have opened before this process started.
    fn is_refused(&self, object: &DynamicObject) -> bool {
        let context = &self.context;
        let may_be_denied = || {
            let kind = folded::type_of_secret(object).filter(|kind| !kind.is_empty());
            // The type of the deprecated form is sealed.
            context.denied_types.contains(kind.as_deref().unwrap_or(DEFAULT_TYPE))
                || folded::has_v1_data(object)
        };
        context.v1_data == V1Data::Refused && folded::has_v1_data(object)
            || !context.denied_types.is_empty() && may_be_denied()
    }

    /// The success for `object` that was put off being reported, if it still holds.
    pub(super) fn unreported(&self, object: &DynamicObject, ring: &KeyRing) -> Option<LastSuccess> {
        let known = self.lock();
        let last = known.get(&key_of(object)).filter(|last| last.since == Since::Unreported)?;
        let success = last.success.clone();
        drop(known);
        self.is_still_so(&success, object, ring).then_some(success)
    }

    /// Every success that was put off being reported.
    pub(super) fn all_unreported(&self) -> Vec<(Key, LastSuccess)> {
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
    pub(super) fn has_opened(&self, object: &DynamicObject) -> bool {
        let now = success_with(object, Version::default(), Vec::new());
        let same = |last: LastSuccess| {
            (last.uid, last.generation, last.scope) == (now.uid, now.generation, now.scope)
        };
        match self.last(object) {
            Some(last) if last.generation == now.generation => same(last),
            _ => status::has_opened(&self.unseen.status(object), object.metadata.generation),
        }
    }

    /// Whether the templates of `object`, as it is now, took too long.
    pub(super) fn ran_out_of_time(&self, object: &DynamicObject) -> bool {
        status::ran_out_of_time(&self.unseen.status(object), object.metadata.generation)
    }

    /// Differs where anything differs that an attempt at `object` depends on: itself, the key ring, its Secret.
    pub(super) fn circumstances(&self, object: &DynamicObject) -> u64 {
        let mut hasher = DefaultHasher::new();
        let ring = self.context.ring.borrow().clone();
        version_of(&object.metadata).hash(&mut hasher);
        ring.map(|ring| ring.identity().to_owned()).hash(&mut hasher);
        let secret = self.versions.get(&key_of(object));
        secret.map(|version| (version.uid, version.resource_version)).hash(&mut hasher);
        hasher.finish()
    }

    /// How long the Secret of `object` must still wait to be put back.
    pub(super) fn pause_before_repair(&self, object: &DynamicObject) -> Option<Duration> {
        self.repairs.wait(&key_of(object), self.has_opened(object), Instant::now())
    }

    /// What is known of `object` from before, as far as anything remembers it.
    pub(super) fn before(&self, object: &DynamicObject) -> Before {
        let last = self.last(object);
        Before {
            has_opened: self.has_opened(object),
            is_known: last.is_some() || self.unseen.status(object).observed_generation.is_some(),
            left_as: last
                .map(|last| Version { uid: last.secret_uid, resource_version: last.secret_resource_version }),
        }
    }

    /// The last success with `object`, whatever has happened since.
    fn last(&self, object: &DynamicObject) -> Option<LastSuccess> {
        let remembered = self.lock().get(&key_of(object)).map(|remembered| remembered.success.clone());
        remembered.or_else(|| self.unseen.status(object).last_success)
    }

    /// Fingerprints of the keys that opened `object` the last time. Nothing but work depends on them.
    pub(super) fn keys_that_worked(&self, object: &DynamicObject) -> Vec<String> {
        let keys = self.last(object).map(|success| success.keys).unwrap_or_default();
        keys.into_iter().map(|key| key.fingerprint).collect()
    }

    /// Remembers a success whose report is put off; a later one takes its place.
    pub(super) fn put_off(&self, object: &DynamicObject, success: LastSuccess) {
        self.lock().insert(key_of(object), Remembered { success, since: Since::Unreported });
    }

    /// The same, and has it reported when the backlog is done.
    pub(super) fn report_later(&self, object: &DynamicObject, success: LastSuccess) {
        self.put_off(object, success);
        self.lanes.report_later(key_of(object));
    }

    /// A status of this namespace could be written: has everything told that was forbidden there.
    pub(super) fn may_tell(&self, object: &DynamicObject) {
        let untold = self.untold.allowed(&key_of(object));
        if !untold.is_empty() {
            self.lanes.look_later(untold);
        }
    }

    /// What there is to be told of `object` is in its status already.
    pub(super) fn has_nothing_untold(&self, object: &DynamicObject) {
        self.forget_untold(&key_of(object));
    }

    fn forget_untold(&self, key: &Key) {
        if let Some(scout) = self.untold.forget(key) {
            self.lanes.look_later([scout]);
        }
    }

    /// Remembers a success, which has then been reported.
    pub(super) fn succeeded(&self, object: &DynamicObject, success: LastSuccess) {
        self.context.backoff.succeeded(&key_of(object));
        self.cases.forget(&key_of(object));
        self.lock().insert(key_of(object), Remembered { success, since: Since::Reported });
    }

    /// From now on the last success says nothing but which keys worked.
    pub(super) fn failed(&self, object: &DynamicObject) {
        if let Some(remembered) = self.lock().get_mut(&key_of(object)) {
            remembered.since = Since::Failed;
        }
    }

    /// Notes `object` as the watch shows it, and tells whether it is new or has changed in what matters. One that is being deleted
    /// needs no key any more.
    pub(super) fn sees(&self, object: &DynamicObject) -> bool {
        if object.metadata.deletion_timestamp.is_some() {
            self.context.usage.forget(&key_of(object));
            self.has_nothing_untold(object);
        } else {
            self.context.usage.expect(key_of(object), version_of(&object.metadata));
        }
        self.unseen.shown(object);
        self.seen.note(object)
    }

    /// Notes an object as the API server has answered it.
    pub(super) fn has_written(&self, object: &DynamicObject) {
        if self.seen.has_shown(object) {
            self.unseen.forget(&key_of(object));
        } else {
            self.unseen.written(object);
        }
    }

    /// Notes which keys `object` needs.
    pub(super) fn counts(&self, object: &DynamicObject, tally: Tally) {
        self.context.usage.note(&key_of(object), version_of(&object.metadata), tally);
    }

    /// What there is to say of the keys that `object` needs, as far as they are known.
    pub(super) fn marks(&self, object: &DynamicObject) -> Vec<Mark> {
        let tally = self.context.usage.tally(&key_of(object), version_of(&object.metadata));
        let ring = self.context.ring.borrow().clone();
        tally.zip(ring).map(|(tally, ring)| marks(&tally, &ring)).unwrap_or_default()
    }

    /// Notes which keys `object` needed the last time, as far as nothing better is known.
    pub(super) fn counts_what_was(&self, object: &DynamicObject, ring: &KeyRing) {
        let Some(last) = self.last(object) else { return };
        let key_use = |key: ItemsOfKey| {
            Some(KeyUse { fingerprint: ring.fingerprint(&key.fingerprint)?.clone(), items: key.items })
        };
        if let Some(keys) = last.keys.into_iter().map(key_use).collect() {
            self.counts(object, Tally { keys, unopened: 0, witness: Witness::Status });
        }
    }

    /// Forgets everything about an object that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.context.backoff.succeeded(key);
        self.context.metrics.forget(key);
        self.context.usage.forget(key);
        self.seen.forget(key);
        self.unseen.forget(key);
        self.forget_untold(key);
        self.cases.forget(key);
        self.repairs.forget(key);
        self.versions.forget(key);
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Remembered>> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and name.
pub(super) fn key_of(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The object of that namespace and name.
pub(super) fn reference((namespace, name): Key) -> ObjectRef<DynamicObject> {
    ObjectRef::new_with(&name, object_kind()).within(&namespace)
}

/// What a success with this Secret and these keys is made of.
pub(super) fn success_with(object: &DynamicObject, version: Version, keys: Vec<ItemsOfKey>) -> LastSuccess {
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
