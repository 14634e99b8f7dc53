//! Making the successor of the newest key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{ListParams, ObjectMeta, PostParams};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair};
use sealed_secrets_core::rotation::{Generation, KeyRecord, is_successor, predecessor, successor_name};
use sealed_secrets_crds::names::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL, SEALING_KEY_PENDING};

use super::rules::Making;
use super::{Keystore, KeystoreError};
use crate::clock;

/// More names than this are never taken by something else.
const MAX_NAMES: u32 = 100;

/// Who made the successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    Ours,
    /// Somebody else, since the keys were listed: the next list shows what there is to do.
    Theirs,
}

/// What is known of a name without a key in the list.
enum Name {
    Free,
    /// By something that is no key.
    Taken,
    /// By a key that is younger than the list.
    TakenByKey,
}

impl Keystore {
    /// Creates the one Secret that may succeed the newest key that could lead. Whoever else created it first has done the work; a
    /// name that is taken by what cannot succeed is passed over, and left as it is (key-rotation rule 3).
    pub(super) async fn make_successor(
        &mut self,
        records: &[KeyRecord],
        generation: Generation,
    ) -> Result<Successor, KeystoreError> {
        let Some(name) = self.free_name(records).await? else { return Ok(Successor::Theirs) };
        let fields = self.generate().await?;
        let secret = self.key_secret(&name, &fields, generation.pending);
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => {
                let occasion = generation.occasion;
                tracing::info!(?occasion, "new key written to Secret {}/{name}", self.namespace);
                Ok(Successor::Ours)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Successor::Theirs),
            Err(cause) => Err(self.api_error(cause)),
        }
    }

    /// The name of the next key Secret; `None` if a key has it that these records do not show.
    async fn free_name(&self, records: &[KeyRecord]) -> Result<Option<String>, KeystoreError> {
        let uid = self.home.uid().await.map_err(|cause| self.api_error(cause))?;
        let predecessor = predecessor(records);
        let fingerprint = predecessor.and_then(|key| key.facts.as_ref()).map(|facts| &facts.fingerprint);
        let name = |n| successor_name(&self.rules.making.prefix, &uid, fingerprint, n);
        let names: Vec<String> = (0..MAX_NAMES).map(name).collect();
        let now = clock::now();
        let stands_in = |key: &&KeyRecord| {
            names.contains(&key.name)
                && predecessor.is_some_and(|newest| is_successor(key, newest, records, now))
        };
        if let (Some(key), Some(newest)) = (records.iter().find(stands_in), predecessor) {
            let (successor, newest) = (key.name.clone(), newest.name.clone());
            return Err(KeystoreError::NotNewer { successor, newest });
        }
        let is_listed = |name: &String| records.iter().any(|record| record.name == *name);
        for name in names.into_iter().filter(|name| !is_listed(name)) {
            match self.look_up(&name).await? {
                Name::Free => return Ok(Some(name)),
                Name::Taken => {}
                Name::TakenByKey => return Ok(None),
            }
        }
        Err(KeystoreError::NoFreeName(MAX_NAMES))
    }

    /// Looks for a Secret of this name, by a list, which takes no right that is not used anyway.
    async fn look_up(&self, name: &str) -> Result<Name, KeystoreError> {
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self.secrets.list_metadata(&named).await.map_err(|cause| self.api_error(cause))?;
        Ok(match found.items.first() {
            None => Name::Free,
            Some(secret) if secret.labels().contains_key(SEALING_KEY_LABEL) => Name::TakenByKey,
            Some(_) => Name::Taken,
        })
    }

    /// A key Secret as upstream reads it (compatibility 4.6), with a name that is not random and fields that cannot change. No
    /// label that was asked for replaces the one that marks a key.
    fn key_secret(&self, name: &str, fields: &BTreeMap<String, ByteString>, pending: bool) -> Secret {
        let mut labels = self.labels.clone();
        let label = if pending { SEALING_KEY_PENDING } else { SEALING_KEY_ACTIVE };
        labels.insert(SEALING_KEY_LABEL.to_owned(), label.to_owned());
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                annotations: Some(self.annotations.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            immutable: Some(true),
            data: Some(fields.clone()),
            string_data: None,
        }
    }

    async fn generate(&self) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
        let making = self.rules.making.clone();
        let made = tokio::task::spawn_blocking(move || new_key(&making, clock::now()));
        made.await.map_err(|_| KeystoreError::Making("the task that makes it ended early".to_owned()))?
    }
}

/// Makes a key and its certificate: the fields of a key Secret.
fn new_key(making: &Making, now: Timestamp) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
    let failed = |error: &dyn std::error::Error| KeystoreError::Making(error.to_string());
    let key = KeyPair::generate(making.size).map_err(|error| failed(&error))?;
    let request = CertificateRequest {
        common_name: making.common_name.clone(),
        not_before: now,
        validity: making.validity,
        serial: rand::random(),
    };
    let certificate = request.self_sign(&key).map_err(|error| failed(&error))?;
    let private = key.expose_pkcs1_pem().map_err(|error| failed(&error))?;
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    Ok(BTreeMap::from([field("tls.key", &private), field("tls.crt", certificate.pem())]))
}
