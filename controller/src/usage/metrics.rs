//! Metrics of what is sealed to which key.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::keyring::KeyRing;

use super::Usage;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKey {
    fingerprint: String,
}

/// One sample for each key that is on the ring or opens something, and none of objects.
#[derive(Debug, Default)]
pub(crate) struct UsageMetrics {
    items: Family<OfKey, Gauge>,
    stale: Gauge,
    /// The keys on the page.
    shown: Mutex<BTreeSet<Fingerprint>>,
}

impl UsageMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Items of SealedSecrets that this key opens";
        registry.register("key_items", help, self.items.clone());
        let help = "Items of SealedSecrets that are not sealed with the current key";
        registry.register("stale_items", help, self.stale.clone());
    }

    /// Brings the page to this usage of the keys of this ring.
    pub(super) fn note(&self, usage: &Usage, ring: &KeyRing) {
        let on_ring = ring.iter().map(|key| key.fingerprint().clone());
        let keys: BTreeSet<Fingerprint> = on_ring.chain(usage.by_key.keys().cloned()).collect();
        for key in &keys {
            let items = usage.by_key.get(key).map_or(0, |of_key| of_key.items);
            self.items.get_or_create(&of_key(key)).set(gauge(items));
        }
        let primary = ring.primary().map(|key| key.fingerprint());
        self.stale.set(gauge(usage.stale_items(primary)));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.difference(&keys) {
            self.items.remove(&of_key(gone));
        }
        *shown = keys;
    }
}

fn of_key(key: &Fingerprint) -> OfKey {
    OfKey { fingerprint: key.to_string() }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
