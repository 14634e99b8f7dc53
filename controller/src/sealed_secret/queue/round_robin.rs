//! Queue of objects in which namespaces take turns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::sealed_secret::object::ObjectKey;

/// Objects by namespace and name, each once.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    namespaces: BTreeMap<String, BTreeSet<String>>,
    /// Namespace of the object that was taken last.
    last: String,
}

impl RoundRobin {
    /// Adds an object. An object that waits already keeps its place.
    pub(crate) fn insert(&mut self, ObjectKey { namespace, name }: ObjectKey) {
        self.namespaces.entry(namespace).or_default().insert(name);
    }

    /// Takes the first object of the next namespace that is `eligible`.
    pub(crate) fn pop(&mut self, eligible: impl Fn(&str) -> bool) -> Option<ObjectKey> {
        let after = self.namespaces.range::<str, _>((Excluded(self.last.as_str()), Unbounded));
        let in_turn = after.chain(self.namespaces.iter()).map(|(namespace, _)| namespace);
        let namespace = in_turn.into_iter().find(|namespace| eligible(namespace))?.clone();
        let names = self.namespaces.get_mut(&namespace)?;
        let name = names.pop_first()?;
        if names.is_empty() {
            self.namespaces.remove(&namespace);
        }
        self.last.clone_from(&namespace);
        Some(ObjectKey { namespace, name })
    }

    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        self.namespaces.get(&key.namespace).is_some_and(|names| names.contains(&key.name))
    }

    /// Returns true if objects of this namespace wait.
    pub(crate) fn has_any_of(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.namespaces.values().map(BTreeSet::len).sum()
    }
}

impl Extend<ObjectKey> for RoundRobin {
    fn extend<I: IntoIterator<Item = ObjectKey>>(&mut self, objects: I) {
        objects.into_iter().for_each(|object| self.insert(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(objects: &[(&str, &str)]) -> RoundRobin {
        let mut queue = RoundRobin::default();
        queue.extend(objects.iter().map(|(namespace, name)| ObjectKey::new(*namespace, *name)));
        queue
    }

    fn order(queue: &mut RoundRobin, eligible: impl Fn(&str) -> bool) -> String {
        let names: Vec<_> =
            std::iter::from_fn(|| queue.pop(&eligible)).map(|key| key.namespace + &key.name).collect();
        names.join(" ")
    }

    #[test]
    fn namespaces_take_turns_and_each_object_comes_once() {
        let mut queue =
            queue(&[("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "1"), ("c", "2"), ("a", "1")]);
        assert_eq!(queue.len(), 6);
        assert_eq!(order(&mut queue, |_| true), "a1 b1 c1 a2 c2 a3");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_namespace_that_comes_later_waits_for_one_object_of_each_other() {
        let mut queue = queue(&[("a", "1"), ("a", "2"), ("c", "1"), ("c", "2")]);
        assert_eq!(queue.pop(|_| true), Some(ObjectKey::new("a", "1")));
        queue.insert(ObjectKey::new("b", "1"));
        assert_eq!(order(&mut queue, |_| true), "b1 c1 a2 c2");
    }

    #[test]
    fn a_namespace_that_is_not_eligible_keeps_its_objects() {
        let mut queue = queue(&[("a", "1"), ("b", "1")]);
        assert_eq!(order(&mut queue, |namespace| namespace != "a"), "b1");
        assert!(queue.contains(&ObjectKey::new("a", "1")));
    }
}
