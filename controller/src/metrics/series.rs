//! Limits the number of namespaces and SealedSecrets with samples of their own: tenants choose the names, and each
//! sample takes memory here and in Prometheus.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;

use crate::sealed_secret::object::ObjectKey;

/// Namespaces with a series of their own in each family of metrics.
pub(crate) const MAX_NAMESPACES: usize = 2_000;
/// Limit of SealedSecrets with samples of their own.
pub(crate) const MAX_OBJECTS: usize = 10_000;
/// Label value for the sum of all other namespaces. It is not a valid name of a namespace.
const OTHERS: &str = "_other";

/// The label of a sum over a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct InNamespace {
    pub(crate) namespace: String,
}

/// Every SealedSecret that there is.
#[derive(Debug, Default)]
pub(crate) struct Series {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In their order, so that those of a namespace are found.
    objects: BTreeMap<ObjectKey, Object>,
    objects_shown: usize,
    /// True for namespaces with samples of their own. A namespace is kept as long as it has objects.
    namespaces: HashMap<String, bool>,
    namespaces_shown: usize,
}

#[derive(Debug)]
struct Object {
    is_shown: bool,
    /// The label `instance` of its sample.
    instance: String,
}

/// Changes of the samples caused by an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The former label `instance`, whose sample must be removed.
    pub(crate) leaves: Option<String>,
    /// True if the object has a sample now.
    pub(crate) is_shown: bool,
    /// True if it was the last object of its namespace.
    pub(crate) ends_namespace: bool,
}

impl Series {
    /// Returns the label value of the namespace: its name, unless the limit is reached.
    pub(crate) fn label(&self, namespace: &str) -> String {
        let mut state = self.state.lock();
        let is_shown = state.namespaces.get(namespace).copied().unwrap_or_else(|| state.enter(namespace));
        if is_shown { namespace.to_owned() } else { OTHERS.to_owned() }
    }

    /// Notes an object with its instance.
    pub(crate) fn note(&self, name: &ObjectKey, instance: &str) -> Change {
        let mut state = self.state.lock();
        let before = state.objects.remove(name);
        let is_shown = before.as_ref().map_or(state.objects_shown < MAX_OBJECTS, |before| before.is_shown);
        state.objects_shown += usize::from(before.is_none() && is_shown);
        let instance = instance.to_owned();
        let moved = before.filter(|before| before.is_shown && before.instance != instance);
        state.objects.insert(name.clone(), Object { is_shown, instance });
        Change { leaves: moved.map(|before| before.instance), is_shown, ends_namespace: false }
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, name: &ObjectKey) -> Change {
        let mut state = self.state.lock();
        let before = state.objects.remove(name).filter(|before| before.is_shown);
        state.objects_shown -= usize::from(before.is_some());
        let mut rest = state.objects.range(ObjectKey::new(name.namespace.clone(), "")..);
        let ends_namespace = rest.next().is_none_or(|(next, _)| next.namespace != name.namespace);
        if ends_namespace && state.namespaces.remove(&name.namespace) == Some(true) {
            state.namespaces_shown -= 1;
        }
        Change { leaves: before.map(|before| before.instance), is_shown: false, ends_namespace }
    }

    /// Forgets the objects. Namespaces keep their counters.
    pub(crate) fn forget_objects(&self) {
        let mut state = self.state.lock();
        state.objects.clear();
        state.objects_shown = 0;
    }
}

impl State {
    fn enter(&mut self, namespace: &str) -> bool {
        let is_shown = self.namespaces_shown < MAX_NAMESPACES;
        self.namespaces_shown += usize::from(is_shown);
        self.namespaces.insert(namespace.to_owned(), is_shown);
        is_shown
    }
}
