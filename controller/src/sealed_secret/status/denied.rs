//! Objects whose status update was denied (403), kept until a write in their namespace succeeds.

use std::collections::{BTreeSet, HashMap};

use crate::sealed_secret::object::ObjectKey;
use parking_lot::Mutex;

/// Objects with a denied status update, by namespace.
///
/// One object of each namespace, the probe, retries by itself; as soon as any status update succeeds there, the others follow.
/// The lock is its own, because it orders the objects of a namespace.
#[derive(Debug, Default)]
pub(crate) struct DeniedStatusWrites {
    namespaces: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl DeniedStatusWrites {
    /// Adds an object, and returns true if it is the first of its namespace.
    pub(crate) fn add(&self, key: ObjectKey) -> bool {
        let mut namespaces = self.namespaces.lock();
        let is_first = !namespaces.contains_key(&key.namespace);
        namespaces.entry(key.namespace).or_default().insert(key.name);
        is_first
    }

    /// Returns true if this object retries by itself.
    pub(crate) fn is_probe(&self, key: &ObjectKey) -> bool {
        self.namespaces
            .lock()
            .get(&key.namespace)
            .and_then(BTreeSet::first)
            .is_some_and(|probe| *probe == key.name)
    }

    /// Removes the namespace of an object whose status was written, and returns all other objects of it.
    pub(crate) fn allowed(&self, written: &ObjectKey) -> Vec<ObjectKey> {
        let denied = self.namespaces.lock().remove(&written.namespace).unwrap_or_default();
        let others = denied.into_iter().filter(|name| *name != written.name);
        others.map(|name| ObjectKey::new(written.namespace.clone(), name)).collect()
    }

    /// Removes an object whose status needs no update any more. If it was the probe, returns the next one.
    pub(crate) fn forget(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let mut namespaces = self.namespaces.lock();
        let denied = namespaces.get_mut(&key.namespace)?;
        let was_probe = denied.first() == Some(&key.name);
        denied.remove(&key.name);
        let next = denied.first().filter(|_| was_probe);
        let next = next.map(|name| ObjectKey::new(key.namespace.clone(), name.clone()));
        if denied.is_empty() {
            namespaces.remove(&key.namespace);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::new(namespace, name)
    }

    fn three() -> DeniedStatusWrites {
        let denied = DeniedStatusWrites::default();
        denied.add(key("shop", "b"));
        denied.add(key("shop", "a"));
        denied.add(key("other", "c"));
        denied
    }

    #[test]
    fn the_first_of_a_namespace_is_known_as_the_first_until_it_is_allowed_there() {
        let denied = DeniedStatusWrites::default();
        assert!(denied.add(key("shop", "a")));
        assert!(!denied.add(key("shop", "b")));
        assert!(denied.add(key("other", "a")));
        denied.allowed(&key("shop", "a"));
        assert!(denied.add(key("shop", "b")));
    }

    #[test]
    fn one_object_of_each_namespace_tries_again() {
        let denied = three();
        let probes = [("shop", "a"), ("shop", "b"), ("other", "c")].map(|(a, b)| denied.is_probe(&key(a, b)));
        assert_eq!(probes, [true, false, true]);
    }

    #[test]
    fn when_it_is_allowed_all_others_of_that_namespace_follow() {
        let denied = three();
        assert_eq!(denied.allowed(&key("shop", "new")), [key("shop", "a"), key("shop", "b")]);
        assert_eq!(denied.allowed(&key("other", "c")), []);
    }

    #[test]
    fn when_a_probe_goes_another_takes_its_place() {
        let denied = three();
        assert_eq!(denied.forget(&key("shop", "b")), None, "it was none");
        denied.add(key("shop", "b"));
        assert_eq!(denied.forget(&key("shop", "a")), Some(key("shop", "b")));
        assert_eq!(denied.forget(&key("shop", "b")), None, "nobody is left");
        assert!(denied.add(key("shop", "a")));
    }
}
