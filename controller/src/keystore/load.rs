//! Reading the key Secrets.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::keyring::{KeyRing, SealingKey};
use sealed_secrets_core::rotation::KeyRecord;
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use super::view::{KeyView, phase_of};
use super::{Keystore, KeystoreError};

/// Every key Secret of one consistent list, of whatever phase.
pub(super) struct Keys {
    entries: Vec<Entry>,
}

struct Entry {
    secret: Secret,
    key: Option<Arc<SealingKey>>,
    record: KeyRecord,
    /// What is wrong with it.
    problem: Option<String>,
}

impl Keys {
    pub(super) fn records(&self) -> Vec<KeyRecord> {
        self.entries.iter().map(|entry| entry.record.clone()).collect()
    }

    /// The keys that open; the one whose Secret has this name leads.
    pub(super) fn ring(&self, primary: Option<&str>) -> KeyRing {
        let on_ring = self.entries.iter().filter(|entry| entry.record.on_ring().is_some());
        let named = primary.and_then(|name| self.entries.iter().find(|entry| entry.record.name == name));
        let leader = named.and_then(|entry| entry.key.as_ref()).map(|key| key.fingerprint());
        let compromised = self.entries.iter().filter(|entry| entry.record.is_compromised());
        let compromised =
            compromised.filter_map(|entry| Some(entry.record.facts.as_ref()?.fingerprint.clone()));
        KeyRing::new(on_ring.filter_map(|entry| entry.key.clone()).collect())
            .led_by(leader)
            .with_compromised(compromised.collect())
    }

    /// The newest of those that open.
    pub(super) fn newest(&self) -> Option<Fingerprint> {
        self.ring(None).newest().map(|key| key.fingerprint().clone())
    }

    /// What everybody may know of them.
    pub(super) fn views(&self, primary: Option<&str>) -> Vec<KeyView> {
        let view = |entry: &Entry| KeyView {
            record: entry.record.clone(),
            uid: entry.secret.uid().unwrap_or_default(),
            certificate: entry.key.as_ref().and_then(|key| key.certificate().cloned()),
            problem: entry.problem.clone(),
            phase: phase_of(&entry.record, primary),
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
    /// A consistent list of every key Secret, and of the legacy one that is named like the prefix and has no label.
    pub(super) async fn load(&mut self) -> Result<Keys, KeystoreError> {
        let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
        let legacy = ListParams::default().fields(&format!("metadata.name={}", self.flags.making.prefix));
        let mut found = self.list(&labelled).await?;
        let unlabelled = |secret: &Secret| !secret.labels().contains_key(SEALING_KEY_LABEL);
        found.extend(self.list(&legacy).await?.into_iter().filter(unlabelled));
        Ok(Keys { entries: found.into_iter().map(|secret| self.read(secret)).collect() })
    }

    /// Whether the Secret of that name is a key that leads or could: then somebody else has made the successor.
    pub(super) async fn could_lead(&mut self, name: &str) -> Result<bool, KeystoreError> {
        let found = self.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
        Ok(found.into_iter().any(|secret| self.read(secret).record.could_lead().is_some()))
    }

    async fn list(&self, which: &ListParams) -> Result<Vec<Secret>, KeystoreError> {
        let listed = self.secrets.list(which).await.map_err(|cause| self.api_error(cause))?;
        Ok(listed.items)
    }

    /// The key in this Secret; what is wrong with one on the ring is logged once for each version of the Secret.
    fn read(&mut self, secret: Secret) -> Entry {
        let key = SealingKey::from_secret(&secret, self.rules.order_by);
        let complaint = match &key {
            Ok(key) => key.problem().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        let record = KeyRecord::new(&secret, key.as_ref().ok());
        let version = (secret.name_any(), secret.resource_version().unwrap_or_default());
        if let Some(complaint) =
            complaint.as_ref().filter(|_| record.is_meant_to_open() && self.reported.insert(version))
        {
            tracing::warn!("key Secret {}/{}: {complaint}", self.namespace, secret.name_any());
        }
        Entry { secret, key: key.ok().map(Arc::new), record, problem: complaint }
    }
}
