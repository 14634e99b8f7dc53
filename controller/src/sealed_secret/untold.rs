//! Objects that are not told of because their status may not be written, until it may.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::versions::Key;

/// Of each namespace in which a status was forbidden, the objects that are still to be told of.
///
/// One of them, the scout, is to try again by itself; as soon as any status could be written there, the others follow.
#[derive(Debug, Default)]
pub(super) struct Untold {
    namespaces: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl Untold {
    /// Notes an object whose status may not be written, and tells whether that is the first of its namespace.
    pub(super) fn add(&self, (namespace, name): Key) -> bool {
        let mut namespaces = self.lock();
        let is_first = !namespaces.contains_key(&namespace);
        namespaces.entry(namespace).or_default().insert(name);
        is_first
    }

    /// Whether this object is to try again by itself.
    pub(super) fn is_scout(&self, (namespace, name): &Key) -> bool {
        self.lock().get(namespace).and_then(BTreeSet::first).is_some_and(|scout| scout == name)
    }

    /// A status of this object could be written: all others of its namespace that are to be told of now.
    pub(super) fn allowed(&self, (namespace, written): &Key) -> Vec<Key> {
        let untold = self.lock().remove(namespace).unwrap_or_default();
        let others = untold.into_iter().filter(|name| name != written);
        others.map(|name| (namespace.clone(), name)).collect()
    }

    /// Forgets an object of which there is nothing to be told any more. Returns the scout that takes its place, if it was one.
    pub(super) fn forget(&self, key: &Key) -> Option<Key> {
        let (namespace, name) = key;
        let mut namespaces = self.lock();
        let untold = namespaces.get_mut(namespace)?;
        let was_scout = untold.first() == Some(name);
        untold.remove(name);
        let next = untold.first().filter(|_| was_scout).map(|name| (namespace.clone(), name.clone()));
        if untold.is_empty() {
            namespaces.remove(namespace);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeSet<String>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        (namespace.to_owned(), name.to_owned())
    }

    fn three() -> Untold {
        let untold = Untold::default();
        untold.add(key("shop", "b"));
        untold.add(key("shop", "a"));
        untold.add(key("other", "c"));
        untold
    }

    #[test]
    fn the_first_of_a_namespace_is_known_as_the_first_until_it_is_allowed_there() {
        let untold = Untold::default();
        assert!(untold.add(key("shop", "a")));
        assert!(!untold.add(key("shop", "b")));
        assert!(untold.add(key("other", "a")));
        untold.allowed(&key("shop", "a"));
        assert!(untold.add(key("shop", "b")));
    }

    #[test]
    fn one_object_of_each_namespace_tries_again() {
        let untold = three();
        let scouts = [("shop", "a"), ("shop", "b"), ("other", "c")].map(|(a, b)| untold.is_scout(&key(a, b)));
        assert_eq!(scouts, [true, false, true]);
    }

    #[test]
    fn when_it_is_allowed_all_others_of_that_namespace_follow() {
        let untold = three();
        assert_eq!(untold.allowed(&key("shop", "new")), [key("shop", "a"), key("shop", "b")]);
        assert_eq!(untold.allowed(&key("other", "c")), []);
    }

    #[test]
    fn when_a_scout_goes_another_takes_its_place() {
        let untold = three();
        assert_eq!(untold.forget(&key("shop", "b")), None, "it was none");
        untold.add(key("shop", "b"));
        assert_eq!(untold.forget(&key("shop", "a")), Some(key("shop", "b")));
        assert_eq!(untold.forget(&key("shop", "b")), None, "nobody is left");
        assert!(untold.add(key("shop", "a")));
    }
}
