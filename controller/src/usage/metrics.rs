//! Metrics of key usage.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::keyring::KeyRing;

use super::sum::Usage;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKey {
    fingerprint: String,
}

/// One sample per key that is on the ring or decrypts an item, and none per object.
#[derive(Debug, Default)]
pub(crate) struct UsageMetrics {
    items: Family<OfKey, Gauge>,
    stale: Gauge,
    /// The keys with a sample.
    exported: Mutex<BTreeSet<Fingerprint>>,
}

impl UsageMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Items of SealedSecrets that this key decrypts";
        registry.register("key_items", help, self.items.clone());
        let help = "Items of SealedSecrets that are not sealed with the current key";
        registry.register("stale_items", help, self.stale.clone());
    }

    /// Updates the samples to this usage and this ring.
    pub(super) fn note(&self, usage: &Usage, ring: &KeyRing) {
        let on_ring = ring.iter().map(|key| key.fingerprint().clone());
        let keys: BTreeSet<Fingerprint> = on_ring.chain(usage.by_key.keys().cloned()).collect();
        for key in &keys {
            let items = usage.by_key.get(key).map_or(0, |of_key| of_key.items);
            self.items.get_or_create(&of_key(key)).set(gauge(items));
        }
        let primary = ring.primary().map(|key| key.fingerprint());
        self.stale.set(gauge(usage.stale_items(primary)));
        let mut exported = self.exported.lock();
        for gone in exported.difference(&keys) {
            self.items.remove(&of_key(gone));
        }
        *exported = keys;
    }

    /// Removes the samples.
    pub(super) fn clear(&self) {
        self.items.clear();
        self.stale.set(0);
        self.exported.lock().clear();
    }
}

fn of_key(key: &Fingerprint) -> OfKey {
    OfKey { fingerprint: key.to_string() }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
