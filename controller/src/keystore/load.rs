//! Reading the key Secrets.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_core::keyring::{KeyRing, OrderBy};
use sealed_secrets_core::rotation::{KeyRecord, compromised};
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use super::readings::{Reading, Readings};
use super::view::{KeyView, phase_of};
use super::{Keystore, KeystoreError};

/// Every key Secret of one consistent list, of whatever phase.
pub(super) struct Keys {
    entries: Vec<Entry>,
}

struct Entry {
    secret: Secret,
    reading: Reading,
    record: KeyRecord,
}

impl Entry {
    fn read(secret: Secret, order_by: OrderBy, earlier: &Readings) -> Self {
        let reading = earlier.read(&secret, order_by);
        let record = KeyRecord::new(&secret, reading.key.as_deref());
        Self { secret, reading, record }
    }
}

impl Keys {
    pub(super) fn records(&self) -> Vec<KeyRecord> {
        self.entries.iter().map(|entry| entry.record.clone()).collect()
    }

    /// The keys that open; the one whose Secret has this name leads.
    pub(super) fn ring(&self, primary: Option<&str>) -> KeyRing {
        let on_ring = self.entries.iter().filter(|entry| entry.record.on_ring().is_some());
        let named = primary.and_then(|name| self.entries.iter().find(|entry| entry.record.name == name));
        let leader = named.and_then(|entry| entry.reading.key.as_ref()).map(|key| key.fingerprint());
        KeyRing::new(on_ring.filter_map(|entry| entry.reading.key.clone()).collect())
            .led_by(leader)
            .with_compromised(compromised(&self.records()).into_keys().collect())
    }

    /// What everybody may know of them.
    pub(super) fn views(&self, primary: Option<&str>) -> Vec<KeyView> {
        let compromised = compromised(&self.records());
        let view = |entry: &Entry| KeyView {
            record: entry.record.clone(),
            uid: entry.secret.uid().unwrap_or_default(),
            certificate: entry.reading.key.as_ref().and_then(|key| key.certificate().cloned()),
            problem: entry.reading.problem.clone(),
            phase: phase_of(&entry.record, primary, &compromised),
        };
        self.entries.iter().map(view).collect()
    }

    pub(super) fn record(&self, name: &str) -> Option<&KeyRecord> {
        self.entries.iter().map(|entry| &entry.record).find(|record| record.name == name)
    }

    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        self.entries.iter().find(|entry| entry.record.name == name).map(|entry| &entry.secret)
    }
}

impl Keystore {
    /// A consistent list of every key Secret, and of the legacy one, which has no label. What is wrong
    /// with one on the ring is logged once for each version of the Secret.
    pub(super) async fn load(&mut self) -> Result<Keys, KeystoreError> {
        let secrets = self.list_keys().await?;
        let (earlier, order_by) = (Arc::clone(&self.readings), self.rules.order_by);
        let read =
            move || secrets.into_iter().map(|secret| Entry::read(secret, order_by, &earlier)).collect();
        let entries: Vec<Entry> =
            tokio::task::spawn_blocking(read).await.map_err(|_| KeystoreError::Reading)?;
        for entry in &entries {
            self.complain(entry);
        }
        self.readings = Arc::new(Readings::of(entries.iter().map(|entry| (&entry.secret, &entry.reading))));
        Ok(Keys { entries })
    }

    async fn list_keys(&self) -> Result<Vec<Secret>, KeystoreError> {
        let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
        let legacy = ListParams::default().fields(&format!("metadata.name={}", self.legacy_name()));
        let labelled = self.list(&labelled).await?;
        Ok(joined(labelled, self.list(&legacy).await?))
    }

    async fn list(&self, which: &ListParams) -> Result<Vec<Secret>, KeystoreError> {
        let listed = self.secrets.list(which).await.map_err(|cause| self.api_error(cause))?;
        Ok(listed.items)
    }

    fn complain(&self, entry: &Entry) {
        let is_news = entry.record.is_meant_to_open() && !self.readings.knows(&entry.secret);
        if let Some(problem) = entry.reading.problem.as_ref().filter(|_| is_news) {
            tracing::warn!("key Secret {}/{}: {problem}", self.namespace, entry.record.name);
        }
    }
}

/// Both lists as one, each name once and as the later list has it: the legacy Secret may get its label or lose it between them.
fn joined(mut labelled: Vec<Secret>, legacy: Vec<Secret>) -> Vec<Secret> {
    labelled.retain(|secret| legacy.iter().all(|later| later.metadata.name != secret.metadata.name));
    labelled.extend(legacy);
    labelled
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::key_secret;
    use super::*;

    #[test]
    fn a_legacy_secret_that_gets_its_label_or_loses_it_between_the_lists_is_in_their_sum_once() {
        let [legacy, other] = ["sealed-secrets-key", "other"].map(|name| key_secret(name, ""));
        let mut labelled = legacy.clone();
        labelled.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), "active".to_owned());
        for late in [&legacy, &labelled] {
            let expected = [other.clone(), late.clone()];
            assert_eq!(joined(vec![other.clone()], vec![late.clone()]), expected, "it was not in the first");
            let both = joined(vec![labelled.clone(), other.clone()], vec![late.clone()]);
            assert_eq!(both, expected, "it was in both");
        }
        assert_eq!(joined(vec![labelled.clone()], Vec::new()), [labelled], "it was deleted");
    }
}
