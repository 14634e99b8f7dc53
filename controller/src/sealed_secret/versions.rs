//! Which version of each Secret is stored, without its content.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::ObjectMeta;

use super::gate::Gate;
use super::ownership::controlling_sealed_secret;

/// Namespace and name.
pub(super) type Key = (String, String);

/// The very state of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) uid: String,
    pub(super) resource_version: String,
}

impl Version {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// What is known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    version: Version,
    /// UID of the SealedSecret of its name that has controlled it, as this process has seen.
    owner: Option<String>,
}

/// What the watch of Secrets has shown of those that belong to a SealedSecret.
#[derive(Debug)]
pub(super) struct Versions {
    known: Mutex<HashMap<Key, Known>>,
    /// Open when the first list of Secrets is complete, or cannot be had.
    pub(super) listed: Gate,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), listed: Gate::closed() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Version> {
        self.lock().get(key).map(|known| known.version.clone())
    }

    /// Notes the state of a Secret, and tells whether it is another one than before. A Secret that has had an owner is
    /// remembered to have had it.
    pub(super) fn note(&self, key: Key, metadata: &ObjectMeta) -> bool {
        let version = Version::of(metadata);
        let owner = controlling_sealed_secret(metadata, &key.1).map(|owner| owner.uid.clone());
        let mut all = self.lock();
        let before = all.get(&key).filter(|known| known.version.uid == version.uid);
        let changed = before.is_none_or(|known| known.version != version);
        let owner = owner.or_else(|| before?.owner.clone());
        all.insert(key, Known { version, owner });
        changed
    }

    /// Whether this process has seen the Secret with UID `secret` controlled by the SealedSecret with UID `owner`.
    pub(super) fn has_been_owned(&self, key: &Key, secret: &str, owner: &str) -> bool {
        let is_it = |known: &Known| known.version.uid == secret && known.owner.as_deref() == Some(owner);
        self.lock().get(key).is_some_and(is_it)
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Forgets every Secret that `keep` does not hold for, and returns their keys.
    pub(super) fn retain(&self, keep: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.lock().extract_if(|key, _| !keep(key)).map(|(key, _)| key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use sealed_secrets_crds::names::{SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};

    use super::*;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn version(number: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some(number.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn owned(number: &str) -> ObjectMeta {
        let owner = OwnerReference {
            api_version: SEALED_SECRET_API_VERSION.to_owned(),
            kind: SEALED_SECRET_KIND.to_owned(),
            name: "db".to_owned(),
            uid: "owner".to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        ObjectMeta { owner_references: Some(vec![owner]), ..version(number) }
    }

    #[test]
    fn a_secret_that_has_had_an_owner_is_remembered_to_have_had_it() {
        let versions = Versions::new();
        versions.note(key("db"), &owned("1"));
        versions.note(key("db"), &version("2"));
        assert!(versions.has_been_owned(&key("db"), "u", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "another", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "u", "another"));
        versions.note(key("db"), &ObjectMeta { uid: Some("another".to_owned()), ..version("3") });
        assert!(!versions.has_been_owned(&key("db"), "another", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "u", "owner"));
    }

    #[test]
    fn the_same_version_again_is_no_change() {
        let versions = Versions::new();
        assert!(versions.note(key("db"), &version("1")));
        assert!(!versions.note(key("db"), &version("1")));
        assert!(versions.note(key("db"), &version("2")));
    }

    #[test]
    fn what_a_new_list_does_not_hold_is_gone() {
        let versions = Versions::new();
        versions.note(key("db"), &version("1"));
        versions.note(key("web"), &version("1"));
        assert_eq!(versions.retain(|known| *known == key("web")), [key("db")]);
        assert_eq!(
            (versions.get(&key("db")), versions.get(&key("web"))),
            (None, Some(Version::of(&version("1"))))
        );
    }
}
