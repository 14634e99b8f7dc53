//! Counts the SealedSecrets that are not synced, by namespace. It contains no names, so `--metrics-omit-secret-labels`
//! does not affect it.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::series::InNamespace;
use crate::sealed_secret::object::ObjectKey;

/// A namespace whose objects are all synced has no sample.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    objects: Family<InNamespace, Gauge>,
    /// Namespaces and names, by the label of the namespace.
    names: Mutex<HashMap<String, HashSet<ObjectKey>>>,
}

impl Unsynced {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "SealedSecrets whose condition Synced is not True, by namespace";
        registry.register("unsynced_objects", help, self.objects.clone());
    }

    /// Removes the samples.
    pub(crate) fn clear(&self) {
        self.names.lock().clear();
        self.objects.clear();
    }

    /// Counts the SealedSecret of this namespace and name under the label of its namespace, once, for as long as `is_synced` is false.
    pub(crate) fn note(&self, label: &str, name: &ObjectKey, is_synced: bool) {
        let mut names = self.names.lock();
        let here = names.entry(label.to_owned()).or_default();
        if is_synced {
            here.remove(name);
        } else {
            here.insert(name.clone());
        }
        let series = InNamespace { namespace: label.to_owned() };
        if here.is_empty() {
            names.remove(label);
            self.objects.remove(&series);
        } else {
            let count = i64::try_from(here.len()).unwrap_or(i64::MAX);
            self.objects.get_or_create(&series).set(count);
        }
    }
}
