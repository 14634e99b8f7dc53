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

/// The shared context, and the memory of this watch.
pub(super) struct Room {
    pub(super) context: Arc<Context>,
    pub(super) versions: Arc<Versions>,
    pub(super) repairs: Repairs,
    /// Open when the first list of SealedSecrets is in the store.
    pub(super) objects_listed: Gate,
    successes: Mutex<HashMap<Key, LastSuccess>>,
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

    /// Whether the last result for `object` still holds, so that there is nothing to do: object, ring and Secret are the very
    /// ones it was made of. What this process remembers counts before what the status says.
    pub(super) fn nothing_has_changed(&self, object: &DynamicObject, ring: &KeyRing) -> bool {
        let key = key_of(object);
        let Some(version) = self.versions.get(&key) else { return false };
        let remembered = self.lock().get(&key).cloned().or_else(|| status::last_success(object));
        remembered == Some(success(object, &version, ring))
    }

    /// Remembers a success, which has then been reported.
    pub(super) fn succeeded(&self, object: &DynamicObject, success: LastSuccess) {
        self.context.backoff.succeeded(&key_of(object));
        self.lock().insert(key_of(object), success);
    }

    /// Forgets the last success.
    pub(super) fn failed(&self, object: &DynamicObject) {
        self.lock().remove(&key_of(object));
    }

    /// Forgets everything about an object that is gone.
    pub(super) fn forget(&self, object: &DynamicObject) {
        let key = key_of(object);
        self.context.backoff.succeeded(&key);
        self.context.metrics.forget(object);
        self.lock().remove(&key);
        self.versions.forget(&key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, LastSuccess>> {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and name.
pub(super) fn key_of(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// What a success with this Secret and this ring is made of.
pub(super) fn success(object: &DynamicObject, version: &Version, ring: &KeyRing) -> LastSuccess {
    let metadata = &object.metadata;
    LastSuccess {
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        scope: Scope::from_annotations(metadata.annotations.as_ref()).to_string(),
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
        ring: ring.identity(),
    }
}
