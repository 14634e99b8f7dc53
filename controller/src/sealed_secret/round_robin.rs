//! A queue of objects in which namespaces take turns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::versions::Key;

/// Objects by namespace and name, each once.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    namespaces: BTreeMap<String, BTreeSet<String>>,
    /// The namespace of the object that was taken last.
    last: String,
}

impl RoundRobin {
    /// Adds an object. One that waits already keeps its place.
    pub(super) fn insert(&mut self, (namespace, name): Key) {
        self.namespaces.entry(namespace).or_default().insert(name);
    }

    /// Takes the first object of the next namespace that is `eligible`.
    pub(super) fn pop(&mut self, eligible: impl Fn(&str) -> bool) -> Option<Key> {
        let after = self.namespaces.range::<str, _>((Excluded(self.last.as_str()), Unbounded));
        let in_turn = after.chain(self.namespaces.iter()).map(|(namespace, _)| namespace);
        let namespace = in_turn.into_iter().find(|namespace| eligible(namespace))?.clone();
        let names = self.namespaces.get_mut(&namespace)?;
        let name = names.pop_first()?;
        if names.is_empty() {
            self.namespaces.remove(&namespace);
        }
        self.last.clone_from(&namespace);
        Some((namespace, name))
    }

    pub(super) fn contains(&self, (namespace, name): &Key) -> bool {
        self.namespaces.get(namespace).is_some_and(|names| names.contains(name))
    }

    /// Whether objects of this namespace wait.
    pub(super) fn has_any_of(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(BTreeSet::len).sum()
    }
}

impl Extend<Key> for RoundRobin {
    fn extend<I: IntoIterator<Item = Key>>(&mut self, objects: I) {
        objects.into_iter().for_each(|object| self.insert(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(objects: &[(&str, &str)]) -> RoundRobin {
        let mut queue = RoundRobin::default();
        queue.extend(objects.iter().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned())));
        queue
    }

    fn order(queue: &mut RoundRobin, eligible: impl Fn(&str) -> bool) -> String {
        let names: Vec<_> =
            std::iter::from_fn(|| queue.pop(&eligible)).map(|(namespace, name)| namespace + &name).collect();
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
        assert_eq!(queue.pop(|_| true), Some(("a".to_owned(), "1".to_owned())));
        queue.insert(("b".to_owned(), "1".to_owned()));
        assert_eq!(order(&mut queue, |_| true), "b1 c1 a2 c2");
    }

    #[test]
    fn a_namespace_that_is_not_eligible_keeps_its_objects() {
        let mut queue = queue(&[("a", "1"), ("b", "1")]);
        assert_eq!(order(&mut queue, |namespace| namespace != "a"), "b1");
        assert!(queue.contains(&("a".to_owned(), "1".to_owned())));
    }
}
