//! Metrics of sealing keys and their rotation.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::keystore::{KeyView, KeysView};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Key {
    name: String,
    fingerprint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyInPhase {
    name: String,
    fingerprint: String,
    phase: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Nothing {}

/// What is known of the keys themselves; what was sealed to them is counted elsewhere.
#[derive(Debug, Default)]
pub(crate) struct KeyMetrics {
    info: Family<KeyInPhase, Gauge>,
    not_after: Family<Key, Gauge>,
    next: Family<Nothing, Gauge>,
    overdue: Gauge,
    /// What is on the page.
    shown: Mutex<(HashSet<KeyInPhase>, HashSet<Key>)>,
}

impl KeyMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "A sealing key and its phase; always 1";
        registry.register("key_info", help, self.info.clone());
        let help = "End of the validity of a sealing key's certificate";
        registry.register("key_not_after_timestamp_seconds", help, self.not_after.clone());
        let help = "When the next sealing key is due by schedule; absent when none is";
        registry.register("rotation_next_timestamp_seconds", help, self.next.clone());
        let help = "For how long a sealing key has been due and is not made";
        registry.register("rotation_overdue_seconds", help, self.overdue.clone());
    }

    /// Brings the page to this view.
    pub(crate) fn note(&self, view: &KeysView, now: Timestamp) {
        let overdue = view.due_since.map_or(0, |since| now.duration_since(since).as_secs());
        self.overdue.set(overdue.max(0));
        match view.next {
            Some(next) => drop(self.next.get_or_create(&Nothing {}).set(next.as_second())),
            None => drop(self.next.remove(&Nothing {})),
        }
        let phases: HashSet<_> = view.keys.iter().map(in_phase).collect();
        let keys: HashSet<_> = view.keys.iter().filter_map(|key| self.ends(key)).collect();
        for phase in &phases {
            self.info.get_or_create(phase).set(1);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.0.difference(&phases) {
            self.info.remove(gone);
        }
        for gone in shown.1.difference(&keys) {
            self.not_after.remove(gone);
        }
        *shown = (phases, keys);
    }

    /// Sets the end of a key's certificate, if it has one.
    fn ends(&self, key: &KeyView) -> Option<Key> {
        let not_after = key.certificate.as_ref()?.not_after();
        let KeyInPhase { name, fingerprint, .. } = in_phase(key);
        let key = Key { name, fingerprint };
        self.not_after.get_or_create(&key).set(not_after.as_second());
        Some(key)
    }
}

fn in_phase(key: &KeyView) -> KeyInPhase {
    let fingerprint = key.record.facts.as_ref().map(|facts| facts.fingerprint.to_string());
    KeyInPhase {
        name: key.record.name.clone(),
        fingerprint: fingerprint.unwrap_or_default(),
        phase: key.phase.as_str(),
    }
}
