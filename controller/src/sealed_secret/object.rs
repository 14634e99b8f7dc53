//! Identity of a SealedSecret: its key, and the version of it that an attempt depends on.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::sealed_secret::watch::raw::RawSealedSecret;
use kube::api::ObjectMeta;
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Resource, ResourceExt as _};
use sealed_secrets_crds::Scope;

/// Namespace and name of a SealedSecret, and of its Secret. Sorted by namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectKey {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Returns the key of a SealedSecret or of a Secret.
    pub(crate) fn of(object: &impl Resource) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }

    /// Returns the reference by which the work queue and the store know the SealedSecret.
    pub(crate) fn reference(&self) -> ObjectRef<RawSealedSecret> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl<K: reflector::Lookup> From<ObjectRef<K>> for ObjectKey {
    fn from(object: ObjectRef<K>) -> Self {
        Self { namespace: object.namespace.unwrap_or_default(), name: object.name }
    }
}

/// Hash of everything in a SealedSecret that an attempt depends on: UID, generation, scope, and a pending deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectVersion(u64);

impl ObjectVersion {
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        let mut hasher = DefaultHasher::new();
        (&metadata.uid, metadata.generation, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
        Scope::from_annotations(metadata.annotations.as_ref()).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Returns a version for tests that have no object.
    #[cfg(test)]
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}
