//! Which version of each Secret is stored, without its content.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::ObjectMeta;

use super::gate::Gate;

/// Namespace and name.
pub(super) type Key = (String, String);

/// The very state of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What the watch of Secrets has shown of those that belong to a SealedSecret.
#[derive(Debug)]
pub(super) struct Versions {
    known: Mutex<HashMap<Key, Version>>,
    /// Open when the first list of Secrets is complete, or cannot be had.
    pub(super) listed: Gate,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), listed: Gate::closed() }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Version> {
        self.lock().get(key).cloned()
    }

    /// Notes a version, and tells whether it is another one than before.
    pub(super) fn note(&self, key: Key, version: Version) -> bool {
        self.lock().insert(key, version.clone()) != Some(version)
    }

    pub(super) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Forgets every Secret that `keep` does not hold for, and returns their keys.
    pub(super) fn retain(&self, keep: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.lock().extract_if(|key, _| !keep(key)).map(|(key, _)| key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Version>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn version(number: &str) -> Version {
        Version { uid: "u".to_owned(), resource_version: number.to_owned() }
    }

    #[test]
    fn the_same_version_again_is_no_change() {
        let versions = Versions::new();
        assert!(versions.note(key("db"), version("1")));
        assert!(!versions.note(key("db"), version("1")));
        assert!(versions.note(key("db"), version("2")));
    }

    #[test]
    fn what_a_new_list_does_not_hold_is_gone() {
        let versions = Versions::new();
        versions.note(key("db"), version("1"));
        versions.note(key("web"), version("1"));
        assert_eq!(versions.retain(|known| *known == key("web")), [key("db")]);
        assert_eq!((versions.get(&key("db")), versions.get(&key("web"))), (None, Some(version("1"))));
    }
}
