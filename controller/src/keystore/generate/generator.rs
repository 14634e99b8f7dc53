//! Generates the successor of the newest key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair};
use sealed_secrets_core::rotation::{Generation, KeyRecord, is_successor, predecessor, successor_name};
use sealed_secrets_crds::names::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL, SEALING_KEY_PENDING};

use super::attempts::Attempts;
use crate::args::Args;
use crate::clock;
use crate::installation::Installation;
use crate::keystore::effective_policy::GenerationConfig;
use crate::keystore::error::KeystoreError;
use crate::keystore::secrets::Secrets;
use crate::keystore::view::Blocker;

/// Number of names that are tried: names that are taken by other Secrets are skipped.
const MAX_NAMES: u32 = 100;

/// The creator of the successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Successor {
    Ours,
    /// Another replica, after the keys were listed: the next list shows whether a key is still due.
    Theirs,
}

/// The state of a name that no listed key has.
enum Name {
    Free,
    /// Taken by a Secret that is not a key.
    Taken,
    /// Taken by a key that is newer than the list.
    TakenByKey,
}

/// Generates keys one at a time, with a back-off after failures.
pub(crate) struct Generator {
    secrets: Secrets,
    installation: Installation,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    attempts: Attempts,
}

impl Generator {
    pub(crate) fn new(client: Client, secrets: Secrets, args: &Args) -> Self {
        Self {
            installation: Installation::new(client, &secrets.namespace),
            secrets,
            labels: args.privatekey_labels.clone(),
            annotations: args.privatekey_annotations.clone(),
            attempts: Attempts::default(),
        }
    }

    /// Generates a successor, unless the back-off of the last attempt has not passed. Returns the longest wait before
    /// the next turn.
    pub(crate) async fn attempt(
        &mut self,
        config: &GenerationConfig,
        records: &[KeyRecord],
        generation: Generation,
    ) -> Duration {
        let wait = self.attempts.wait(Instant::now());
        if !wait.is_zero() {
            return wait;
        }
        match self.make_successor(config, records, generation).await {
            // If the next list does not count it, another is generated only after a pause: the Secret may have been
            // changed by a webhook.
            Ok(Successor::Ours) => {
                self.attempts.key_created(&KeystoreError::NotShown, Instant::now());
                Duration::ZERO
            }
            // The next list shows whether another replica has created the key that was due.
            Ok(Successor::Theirs) => self.attempts.key_created(&KeystoreError::NotShown, Instant::now()),
            Err(error) => {
                tracing::error!("{error}");
                self.attempts.failed(&error, Instant::now());
                Duration::ZERO
            }
        }
    }

    /// Resets the back-off: no key is due.
    pub(crate) fn forget_failures(&mut self) {
        self.attempts.forget();
    }

    pub(crate) fn blocker(&self) -> Option<Blocker> {
        self.attempts.blocker()
    }

    /// Creates the only Secret that may succeed the newest key that could be primary. If another replica has created it
    /// first, nothing is left to do. A name that is taken by a Secret that cannot be the successor is skipped, and that
    /// Secret is not changed (docs/rotation-rules.md, rule 3).
    async fn make_successor(
        &self,
        config: &GenerationConfig,
        records: &[KeyRecord],
        generation: Generation,
    ) -> Result<Successor, KeystoreError> {
        let Some(name) = self.free_name(&config.prefix, records).await? else { return Ok(Successor::Theirs) };
        let secret = self.key_secret(&name, generate(config.clone()).await?, generation.pending);
        match self.secrets.api.create(&PostParams::default(), &secret).await {
            Ok(_) => {
                let trigger = generation.trigger;
                let namespace = &self.secrets.namespace;
                tracing::info!(namespace, name, ?trigger, "new key written");
                Ok(Successor::Ours)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Successor::Theirs),
            Err(cause) => Err(self.secrets.write_error(&name, cause)),
        }
    }

    /// Returns the name of the next key Secret; `None` if a key has it that these records do not contain.
    async fn free_name(&self, prefix: &str, records: &[KeyRecord]) -> Result<Option<String>, KeystoreError> {
        let predecessor = predecessor(records);
        let seed = match predecessor.and_then(|key| key.facts.as_ref()) {
            Some(facts) => facts.fingerprint.as_str().to_owned(),
            None => self.installation.uid().await.map_err(|cause| self.secrets.error(cause))?,
        };
        let names: Vec<String> = (0..MAX_NAMES).map(|n| successor_name(prefix, &seed, n)).collect();
        let now = clock::now();
        let is_accepted_successor = |key: &&KeyRecord| {
            names.contains(&key.name)
                && predecessor.is_some_and(|newest| is_successor(key, newest, records, now))
        };
        if let (Some(key), Some(newest)) = (records.iter().find(is_accepted_successor), predecessor) {
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

    /// Looks up a Secret of this name with a list, which needs no additional permission.
    async fn look_up(&self, name: &str) -> Result<Name, KeystoreError> {
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        let found =
            self.secrets.api.list_metadata(&named).await.map_err(|cause| self.secrets.error(cause))?;
        Ok(match found.items.first() {
            None => Name::Free,
            Some(secret) if secret.labels().contains_key(SEALING_KEY_LABEL) => Name::TakenByKey,
            Some(_) => Name::Taken,
        })
    }

    /// Returns a key Secret in upstream's format (docs/compatibility.md, section 4.6), with a deterministic name and
    /// immutable fields. No requested label replaces the label of sealing keys.
    fn key_secret(&self, name: &str, fields: BTreeMap<String, ByteString>, pending: bool) -> Secret {
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
            data: Some(fields),
            string_data: None,
        }
    }
}

async fn generate(config: GenerationConfig) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
    let made = tokio::task::spawn_blocking(move || new_key(&config, clock::now()));
    made.await
        .map_err(|_| KeystoreError::GenerationFailed("the task that generates it ended early".to_owned()))?
}

/// Generates a key and its certificate, and returns the fields of a key Secret.
fn new_key(config: &GenerationConfig, now: Timestamp) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
    let failed = |error: &dyn std::error::Error| KeystoreError::GenerationFailed(error.to_string());
    let key = KeyPair::generate(config.size).map_err(|error| failed(&error))?;
    let request = CertificateRequest {
        common_name: config.common_name.clone(),
        not_before: now,
        validity: config.validity,
        serial: rand::random(),
    };
    let certificate = request.self_sign(&key).map_err(|error| failed(&error))?;
    let private = key.expose_pkcs1_pem().map_err(|error| failed(&error))?;
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    Ok(BTreeMap::from([field("tls.key", &private), field("tls.crt", certificate.pem())]))
}
