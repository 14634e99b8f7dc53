//! Lists and parses the key Secrets.

use std::sync::Arc;

use futures::Stream;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, join_lists};
use sealed_secrets_core::rotation::{KeyRecord, compromised};
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use super::key_watch;
use super::parsed_keys::{ParsedKey, ParsedKeys};
use crate::keystore::error::KeystoreError;
use crate::keystore::secrets::Secrets;
use crate::keystore::view::{KeyView, phase_of};

/// Every key Secret of one consistent list, in any phase.
pub(crate) struct Keys {
    entries: Vec<Entry>,
    /// The records of the entries, in the same order.
    records: Vec<KeyRecord>,
}

struct Entry {
    secret: Secret,
    parsed: ParsedKey,
}

impl Keys {
    fn parse(secrets: Vec<Secret>, order_by: OrderBy, earlier: &ParsedKeys) -> Self {
        let parse = |secret: Secret| Entry { parsed: earlier.read(&secret, order_by), secret };
        let entries: Vec<Entry> = secrets.into_iter().map(parse).collect();
        let record = |entry: &Entry| KeyRecord::new(&entry.secret, entry.parsed.key.as_deref());
        Self { records: entries.iter().map(record).collect(), entries }
    }

    fn iter(&self) -> impl Iterator<Item = (&Entry, &KeyRecord)> {
        self.entries.iter().zip(&self.records)
    }

    fn find(&self, name: &str) -> Option<(&Entry, &KeyRecord)> {
        self.iter().find(|(_, record)| record.name == name)
    }

    pub(crate) fn records(&self) -> &[KeyRecord] {
        &self.records
    }

    /// Returns the ring of the keys that decrypt. The key whose Secret has this name is the primary.
    pub(crate) fn ring(&self, primary: Option<&str>) -> KeyRing {
        let on_ring = self.iter().filter(|(_, record)| record.on_ring().is_some());
        let primary =
            primary.and_then(|name| self.find(name)).and_then(|(entry, _)| entry.parsed.key.as_ref());
        KeyRing::new(on_ring.filter_map(|(entry, _)| entry.parsed.key.clone()).collect())
            .with_primary(primary.map(|key| key.fingerprint()))
            .with_compromised(compromised(&self.records).into_keys().collect())
    }

    /// Returns the public view of each key.
    pub(crate) fn views(&self, primary: Option<&str>) -> Vec<KeyView> {
        let compromised = compromised(&self.records);
        let view = |(entry, record): (&Entry, &KeyRecord)| KeyView {
            record: record.clone(),
            uid: entry.secret.uid().unwrap_or_default(),
            certificate: entry.parsed.key.as_ref().and_then(|key| key.certificate().cloned()),
            problem: entry.parsed.problem.clone(),
            phase: phase_of(record, primary, &compromised),
        };
        self.iter().map(view).collect()
    }

    /// Returns the Secret of this name, and its record.
    pub(crate) fn get(&self, name: &str) -> Option<(&Secret, &KeyRecord)> {
        self.find(name).map(|(entry, record)| (&entry.secret, record))
    }
}

/// Lists the key Secrets. Parses each version of a Secret once.
pub(crate) struct Lister {
    client: Client,
    secrets: Secrets,
    /// Name of the Secret without label that contains the key of upstream's first versions.
    legacy_name: String,
    /// The keys of the last list.
    parsed_keys: Arc<ParsedKeys>,
}

impl Lister {
    pub(crate) fn new(client: Client, secrets: Secrets, legacy_name: String) -> Self {
        Self { client, secrets, legacy_name, parsed_keys: Arc::default() }
    }

    /// Returns an item for every change of a key Secret.
    pub(crate) fn changes(&self) -> impl Stream<Item = ()> + use<> {
        key_watch::changes(&self.client, &self.secrets.namespace, &self.legacy_name)
    }

    /// Returns a consistent list of all key Secrets, including the legacy one. A defect of a key on the ring is logged
    /// once per version of its Secret.
    pub(crate) async fn load(&mut self, order_by: OrderBy) -> Result<Keys, KeystoreError> {
        let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
        let legacy = ListParams::default().fields(&format!("metadata.name={}", self.legacy_name));
        let labelled = self.list(&labelled).await?;
        let secrets = join_lists(labelled, self.list(&legacy).await?);
        let earlier = Arc::clone(&self.parsed_keys);
        let parse = move || Keys::parse(secrets, order_by, &earlier);
        let keys = tokio::task::spawn_blocking(parse).await.map_err(|_| KeystoreError::ReadTaskEnded)?;
        keys.iter().for_each(|(entry, record)| self.log_defect(entry, record));
        let parsed = keys.entries.iter().map(|entry| (&entry.secret, &entry.parsed));
        self.parsed_keys = Arc::new(ParsedKeys::of(parsed));
        Ok(keys)
    }

    async fn list(&self, which: &ListParams) -> Result<Vec<Secret>, KeystoreError> {
        let listed = self.secrets.api.list(which).await.map_err(|cause| self.secrets.error(cause))?;
        Ok(listed.items)
    }

    fn log_defect(&self, entry: &Entry, record: &KeyRecord) {
        let is_new = record.is_meant_to_decrypt() && !self.parsed_keys.knows(&entry.secret);
        if let Some(problem) = entry.parsed.problem.as_ref().filter(|_| is_new) {
            let (namespace, name) = (&self.secrets.namespace, &record.name);
            tracing::warn!(namespace, name, "the key Secret cannot be used: {problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::fixtures::key_secret;

    #[test]
    fn a_legacy_secret_that_gets_its_label_or_loses_it_between_the_lists_is_in_their_sum_once() {
        let [legacy, other] = ["sealed-secrets-key", "other"].map(|name| key_secret(name, ""));
        let mut labelled = legacy.clone();
        labelled.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), "active".to_owned());
        for late in [&legacy, &labelled] {
            let expected = [other.clone(), late.clone()];
            assert_eq!(
                join_lists(vec![other.clone()], vec![late.clone()]),
                expected,
                "it was not in the first"
            );
            let both = join_lists(vec![labelled.clone(), other.clone()], vec![late.clone()]);
            assert_eq!(both, expected, "it was in both");
        }
        assert_eq!(join_lists(vec![labelled.clone()], Vec::new()), [labelled], "it was deleted");
    }
}
