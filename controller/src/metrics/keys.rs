//! Metrics of sealing keys and their rotation.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::clock;
use crate::keystore::{KeyView, KeysView};

/// Update interval of the age of an overdue rotation; all other metrics are updated when the view changes.
const REFRESH: Duration = Duration::from_secs(5);

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

/// Metrics of the keys themselves; usage is counted by [`UsageMetrics`](crate::usage::UsageMetrics).
#[derive(Debug, Default)]
pub(crate) struct KeyMetrics {
    info: Family<KeyInPhase, Gauge>,
    not_after: Family<Key, Gauge>,
    next: Family<Nothing, Gauge>,
    overdue: Gauge,
    /// The label sets with a sample.
    exported: Mutex<(HashSet<KeyInPhase>, HashSet<Key>)>,
}

impl KeyMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "A sealing key and its phase; always 1";
        registry.register("key_info", help, self.info.clone());
        let help = "End of the validity of a sealing key's certificate";
        registry.register("key_not_after_timestamp_seconds", help, self.not_after.clone());
        let help = "Time at which the next sealing key is due by schedule; absent if none is";
        registry.register("rotation_next_timestamp_seconds", help, self.next.clone());
        let help = "Time for which a sealing key has been due but not generated";
        registry.register("rotation_overdue_seconds", help, self.overdue.clone());
    }

    /// Updates the samples from the latest published view. Never returns.
    pub(crate) async fn follow(&self, mut views: watch::Receiver<Option<Arc<KeysView>>>) {
        loop {
            let view = views.borrow_and_update().clone();
            if let Some(view) = view {
                self.update(&view, clock::now());
            }
            tokio::select! {
                Ok(()) = views.changed() => {}
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    fn update(&self, view: &KeysView, now: Timestamp) {
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
        let mut exported = self.exported.lock();
        for gone in exported.0.difference(&phases) {
            self.info.remove(gone);
        }
        for gone in exported.1.difference(&keys) {
            self.not_after.remove(gone);
        }
        *exported = (phases, keys);
    }

    /// Sets the end of validity of a key's certificate, if it has one.
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
