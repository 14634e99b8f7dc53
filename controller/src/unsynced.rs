//! How many SealedSecrets are not synced, by namespace. No names: it is also there with `--metrics-omit-secret-labels`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::InNamespace;

/// A namespace in which all is well is not on the page.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    objects: Family<InNamespace, Gauge>,
    names: Mutex<HashMap<String, HashSet<String>>>,
}

impl Unsynced {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "SealedSecrets whose condition Synced is not True, by namespace";
        registry.register("unsynced_objects", help, self.objects.clone());
    }

    /// Counts the SealedSecret of this namespace and name, once, for as long as `is_synced` is false.
    pub(crate) fn note(&self, (namespace, name): &(String, String), is_synced: bool) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let here = names.entry(namespace.clone()).or_default();
        if is_synced {
            here.remove(name);
        } else {
            here.insert(name.clone());
        }
        let label = InNamespace { namespace: namespace.clone() };
        if here.is_empty() {
            names.remove(namespace);
            self.objects.remove(&label);
        } else {
            let count = i64::try_from(here.len()).unwrap_or(i64::MAX);
            self.objects.get_or_create(&label).set(count);
        }
    }
}
