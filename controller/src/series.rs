//! Which namespaces and SealedSecrets have series of their own: tenants name them, and each takes memory here and in Prometheus.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Namespaces with a series of their own in each family of metrics.
pub(crate) const MOST_NAMESPACES: usize = 2_000;
/// SealedSecrets with one.
pub(crate) const MOST_OBJECTS: usize = 10_000;
/// All other namespaces in sum. No namespace has this name.
const OTHERS: &str = "_other";

/// Namespace and name.
type Name = (String, String);

/// Every SealedSecret that there is.
#[derive(Debug, Default)]
pub(crate) struct Series {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In their order, so that those of a namespace are found.
    objects: BTreeMap<Name, Object>,
    objects_shown: usize,
    /// Whether a namespace has series of its own, for as long as it has objects.
    namespaces: HashMap<String, bool>,
    namespaces_shown: usize,
}

#[derive(Debug)]
struct Object {
    is_shown: bool,
    /// The instance under which it is on the page.
    instance: String,
}

/// What changes on the page with an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The instance under which it was there, and is no longer.
    pub(crate) leaves: Option<String>,
    /// Whether it has a series now.
    pub(crate) is_shown: bool,
    /// Whether it was the last one of its namespace.
    pub(crate) ends_namespace: bool,
}

impl Series {
    /// The label of the namespace: its name, as far as there is room.
    pub(crate) fn label(&self, namespace: &str) -> String {
        let mut state = self.lock();
        let is_shown = state.namespaces.get(namespace).copied().unwrap_or_else(|| state.enter(namespace));
        if is_shown { namespace.to_owned() } else { OTHERS.to_owned() }
    }

    /// Notes an object with its instance.
    pub(crate) fn note(&self, name: &Name, instance: &str) -> Change {
        let mut state = self.lock();
        let before = state.objects.remove(name);
        let is_shown = before.as_ref().map_or(state.objects_shown < MOST_OBJECTS, |before| before.is_shown);
        state.objects_shown += usize::from(before.is_none() && is_shown);
        let instance = instance.to_owned();
        let moved = before.filter(|before| before.is_shown && before.instance != instance);
        state.objects.insert(name.clone(), Object { is_shown, instance });
        Change { leaves: moved.map(|before| before.instance), is_shown, ends_namespace: false }
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, name: &Name) -> Change {
        let mut state = self.lock();
        let before = state.objects.remove(name).filter(|before| before.is_shown);
        state.objects_shown -= usize::from(before.is_some());
        let mut rest = state.objects.range((name.0.clone(), String::new())..);
        let ends_namespace = rest.next().is_none_or(|((namespace, _), _)| *namespace != name.0);
        if ends_namespace && state.namespaces.remove(&name.0) == Some(true) {
            state.namespaces_shown -= 1;
        }
        Change { leaves: before.map(|before| before.instance), is_shown: false, ends_namespace }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, namespace: &str) -> bool {
        let is_shown = self.namespaces_shown < MOST_NAMESPACES;
        self.namespaces_shown += usize::from(is_shown);
        self.namespaces.insert(namespace.to_owned(), is_shown);
        is_shown
    }
}
