//! What the workers of one watch share and remember.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::{LastSuccess, Scope};

use super::gate::Gate;
use super::repairs::Repairs;
use super::status;
use super::versions::{Key, Version, Versions};
use crate::context::Context;

/// What this process knows of the last success of an object.
#[derive(Debug)]
struct Remembered {
    success: LastSuccess,
    /// Nothing has failed since.
    holds: bool,
}

/// The shared context, and the memory of this watch.
pub(super) struct Room {
    pub(super) context: Arc<Context>,
    pub(super) versions: Arc<Versions>,
    pub(super) repairs: Repairs,
    /// Open when the first list of SealedSecrets is in the store.
    pub(super) objects_listed: Gate,
    successes: Mutex<HashMap<Key, Remembered>>,
}

impl Room {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            versions: Arc::new(Versions::new()),
            repairs: Repairs::default(),
            objects_listed: Gate::closed(),
            successes: Mutex::default(),
        }
    }

    /// Whether the last result for `object` still holds, so that there is nothing to do: object and Secret are the very ones it
    /// was made of, and the keys that opened it are on the ring. A key that was added cannot change it, since an item opens
    /// with one key only. What this process remembers counts before what the status says.
    pub(super) fn nothing_has_changed(&self, object: &DynamicObject, ring: &KeyRing) -> bool {
        let key = key_of(object);
        let Some(version) = self.versions.get(&key) else { return false };
        let last = match self.lock().get(&key) {
            Some(remembered) => remembered.holds.then(|| remembered.success.clone()),
            None => status::last_success(object),
        };
        last.is_some_and(|last| {
            ring.has_all(&last.keys) && last == success(object, version, last.keys.clone())
        })
    }

    /// Fingerprints of the keys that opened `object` the last time. Nothing but work depends on them.
    pub(super) fn keys_that_worked(&self, object: &DynamicObject) -> Vec<String> {
        let remembered = self.lock().get(&key_of(object)).map(|remembered| remembered.success.keys.clone());
        let told = || status::read(object).last_success.map(|success| success.keys);
        remembered.or_else(told).unwrap_or_default()
    }

    /// Remembers a success, which has then been reported.
    pub(super) fn succeeded(&self, object: &DynamicObject, success: LastSuccess) {
        self.context.backoff.succeeded(&key_of(object));
        self.lock().insert(key_of(object), Remembered { success, holds: true });
    }

    /// From now on the last success says nothing but which keys worked.
    pub(super) fn failed(&self, object: &DynamicObject) {
        if let Some(remembered) = self.lock().get_mut(&key_of(object)) {
            remembered.holds = false;
        }
    }

    /// Forgets everything about an object that is gone.
    pub(super) fn forget(&self, object: &DynamicObject) {
        let key = key_of(object);
        self.context.backoff.succeeded(&key);
        self.context.metrics.forget(object);
        self.lock().remove(&key);
        self.versions.forget(&key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Remembered>> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and name.
pub(super) fn key_of(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// What a success with this Secret and these keys is made of.
pub(super) fn success(object: &DynamicObject, version: Version, keys: Vec<String>) -> LastSuccess {
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
