//! The key Secrets: the only part that reads and makes them, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring made of them, plans from that very list, and makes at most one key.
//! A new key is served only when a later list has shown it, so it is stored before anyone seals with it (key-rotation rule 6).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, SealingKey};
use sealed_secrets_core::rotation::{Occasion, RotationPolicy, plan, successor_name};
use sealed_secrets_crds::names::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL, SEALING_KEY_PENDING};
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::args::Args;
use crate::backoff::WatchBackoff;
use crate::key_list::KeyList;
use crate::{client, clock, home};

/// The list is read at least this often, for where watching is not allowed, and after a failure.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);
/// No key is dated by a clock that is further off than this.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// More names than this are never taken by something else.
const MAX_NAMES: u32 = 100;

/// Why a turn failed; the next one tries again. No variant carries key material.
#[derive(Debug, Error)]
enum KeystoreError {
    #[error("key Secrets in namespace {namespace}: {cause}")]
    Api { namespace: String, cause: kube::Error },
    #[error(
        "no key is made while the clock here is {0} seconds away from the API server's; set the clock (ClockSkew)"
    )]
    ClockSkew(i64),
    #[error("a key could not be made: {0}")]
    Making(String),
    #[error(
        "no free name for a new key Secret among {MAX_NAMES}; delete unusable Secrets that begin with the key prefix"
    )]
    NoFreeName,
}

/// What new keys are like, and which Secrets hold the old ones.
pub(crate) struct Keystore {
    client: Client,
    secrets: Api<Secret>,
    namespace: String,
    prefix: String,
    size: KeySize,
    validity: SignedDuration,
    common_name: String,
    order_by: OrderBy,
    policy: RotationPolicy,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    publisher: watch::Sender<Option<Arc<KeyRing>>>,
    key_list: Arc<KeyList>,
    /// Complaints already made, by Secret and version: each is logged once.
    reported: HashSet<(String, String)>,
}

impl Keystore {
    pub(crate) fn new(client: Client, args: &Args, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            prefix: args.key_prefix.clone(),
            size: args.key_size,
            validity: args.key_ttl,
            common_name: args.my_cn.clone(),
            order_by: args.key_order_priority,
            policy: args.rotation_policy(),
            labels: args.privatekey_labels.clone(),
            annotations: args.privatekey_annotations.clone(),
            publisher: watch::Sender::new(None),
            key_list: Arc::default(),
            reported: HashSet::new(),
        }
    }

    /// Follows the latest ring.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<KeyRing>>> {
        self.publisher.subscribe()
    }

    /// How to ask for a list of the key Secrets, and when the last one was made.
    pub(crate) fn key_list(&self) -> Arc<KeyList> {
        Arc::clone(&self.key_list)
    }

    /// Never ends: a turn whenever a key Secret changes, the plan says so, somebody asks for a list, or the polling interval is
    /// over. A signal of `asked` asks for a key that is not older than that moment.
    pub(crate) async fn run(mut self, mut asked: Signal) {
        let changes = changes(&self.client, &self.namespace);
        futures::pin_mut!(changes);
        let key_list = Arc::clone(&self.key_list);
        loop {
            let wait = match self.turn().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!("{error}");
                    RETRY
                }
            };
            // A change and the end of the wait lead to the same turn.
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep(wait) => {}
                () = key_list.asked() => {}
                _ = asked.recv() => {
                    tracing::info!("SIGUSR1: a new key is asked for");
                    self.policy.rotate_after = self.policy.rotate_after.max(Some(clock::now()));
                }
            }
        }
    }

    /// Lists, publishes, plans, and makes a key if the plan says so. Returns how long to wait at most.
    async fn turn(&mut self) -> Result<Duration, KeystoreError> {
        let begun = Instant::now();
        let ring = self.load().await?;
        let now = clock::now();
        let plan = plan(&self.policy, &ring, now);
        self.publish(ring.clone());
        self.key_list.published(begun);
        if let Some(occasion) = plan.generate {
            self.make_successor(&ring, occasion).await?;
            return Ok(Duration::ZERO);
        }
        let until_due =
            plan.look_again_at.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok());
        Ok(until_due.map_or(POLL, |due| due.min(POLL)))
    }

    fn publish(&self, ring: Arc<KeyRing>) {
        let names = |ring: &KeyRing| {
            ring.iter()
                .map(|key| (key.name().to_owned(), key.fingerprint().clone(), key.may_lead()))
                .collect::<Vec<_>>()
        };
        self.publisher.send_if_modified(|published| {
            let changed = published.as_ref().is_none_or(|old| names(old) != names(&ring));
            if changed {
                tracing::info!(
                    keys = ring.len(),
                    primary = ring.primary().map(|key| key.name()),
                    "key ring changed"
                );
                *published = Some(ring);
            }
            changed
        });
    }

    /// A consistent list of every key Secret, and of the legacy one that is named like the prefix and has no label.
    async fn load(&mut self) -> Result<Arc<KeyRing>, KeystoreError> {
        let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
        let legacy = ListParams::default().fields(&format!("metadata.name={}", self.prefix));
        let mut found = self.list(&labelled).await?;
        let unlabelled = |secret: &Secret| !secret.labels().contains_key(SEALING_KEY_LABEL);
        found.extend(self.list(&legacy).await?.into_iter().filter(unlabelled));
        let keys =
            found.iter().filter(|secret| is_on_the_ring(secret)).filter_map(|secret| self.read(secret));
        Ok(Arc::new(KeyRing::new(keys.map(Arc::new).collect::<Vec<_>>())))
    }

    async fn list(&self, which: &ListParams) -> Result<Vec<Secret>, KeystoreError> {
        let listed = self.secrets.list(which).await.map_err(|cause| self.api_error(cause))?;
        Ok(listed.items)
    }

    fn api_error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
    }

    /// The key in this Secret; what is wrong with it is logged once for each version of the Secret.
    fn read(&mut self, secret: &Secret) -> Option<SealingKey> {
        let key = SealingKey::from_secret(secret, self.order_by);
        let complaint = match &key {
            Ok(key) => key.problem().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        let version = (secret.name_any(), secret.resource_version().unwrap_or_default());
        if let Some(complaint) = complaint.filter(|_| self.reported.insert(version)) {
            tracing::warn!("key Secret {}/{}: {complaint}", self.namespace, secret.name_any());
        }
        key.ok()
    }

    /// Creates the one Secret that may succeed the newest key. Whoever else created it first has done the work.
    async fn make_successor(&mut self, ring: &KeyRing, occasion: Occasion) -> Result<(), KeystoreError> {
        self.check_clock().await?;
        let uid = home::uid(&self.client, &self.namespace).await.map_err(|cause| self.api_error(cause))?;
        let newest = ring.newest().map(|key| key.fingerprint());
        let fields = self.generate().await?;
        for n in 0..MAX_NAMES {
            let name = successor_name(&self.prefix, &uid, newest, n);
            match self.secrets.create(&PostParams::default(), &self.key_secret(&name, &fields)).await {
                Ok(_) => {
                    tracing::info!(?occasion, "new key written to Secret {}/{name}", self.namespace);
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    if self.is_usable(&name).await? {
                        return Ok(());
                    }
                }
                Err(cause) => return Err(self.api_error(cause)),
            }
        }
        Err(KeystoreError::NoFreeName)
    }

    /// Whether the Secret of that name is a key on the ring: then somebody else has made the successor.
    async fn is_usable(&mut self, name: &str) -> Result<bool, KeystoreError> {
        let found = self.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
        Ok(found.iter().any(|secret| is_on_the_ring(secret) && self.read(secret).is_some()))
    }

    /// A key Secret as upstream reads it (compatibility 4.6), with a name that is not random and fields that cannot change. No
    /// label that was asked for replaces the one that marks a key.
    fn key_secret(&self, name: &str, fields: &BTreeMap<String, ByteString>) -> Secret {
        let mut labels = self.labels.clone();
        labels.insert(SEALING_KEY_LABEL.to_owned(), SEALING_KEY_ACTIVE.to_owned());
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

    async fn check_clock(&self) -> Result<(), KeystoreError> {
        let theirs = clock::of_api_server(&self.client).await.map_err(|cause| self.api_error(cause))?;
        let skew = theirs.map(|theirs| clock::now().duration_since(theirs)).unwrap_or_default();
        if skew.abs() > MAX_CLOCK_SKEW {
            return Err(KeystoreError::ClockSkew(skew.as_secs()));
        }
        Ok(())
    }

    async fn generate(&self) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
        let (size, validity, common_name) = (self.size, self.validity, self.common_name.clone());
        let made = tokio::task::spawn_blocking(move || new_key(size, validity, common_name, clock::now()));
        made.await.map_err(|_| KeystoreError::Making("the task that makes it ended early".to_owned()))?
    }
}

/// An item for every change of a key Secret; where watching is not allowed, none but a line in the log.
fn changes(client: &Client, namespace: &str) -> impl futures::Stream<Item = ()> + use<> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), namespace);
    let config = client::watching().labels(SEALING_KEY_LABEL);
    let mut told = false;
    watcher(secrets, config)
        .backoff(WatchBackoff::default())
        .inspect_err(move |error| {
            if !client::is_forbidden(error) {
                tracing::warn!("watching key Secrets: {error}");
            } else if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    "key Secrets may not be watched and are listed every 30 seconds instead: {error}"
                );
            }
        })
        .filter_map(|event| std::future::ready(event.is_ok().then_some(())))
        // The first list of a watch is an event for each key: one turn is enough for all that have arrived.
        .ready_chunks(1024)
        .map(drop)
}

/// Only these label values, and the legacy Secret without the label, put a key on the ring (key-rotation, label values).
fn is_on_the_ring(secret: &Secret) -> bool {
    let label = secret.labels().get(SEALING_KEY_LABEL);
    label.is_none_or(|value| value == SEALING_KEY_ACTIVE || value == SEALING_KEY_PENDING)
}

/// Makes a key and its certificate: the fields of a key Secret.
fn new_key(
    size: KeySize,
    validity: SignedDuration,
    common_name: String,
    now: Timestamp,
) -> Result<BTreeMap<String, ByteString>, KeystoreError> {
    let making = |error: &dyn std::error::Error| KeystoreError::Making(error.to_string());
    let key = KeyPair::generate(size).map_err(|error| making(&error))?;
    let request = CertificateRequest { common_name, not_before: now, validity, serial: rand::random() };
    let certificate = request.self_sign(&key).map_err(|error| making(&error))?;
    let private = key.expose_pkcs1_pem().map_err(|error| making(&error))?;
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    Ok(BTreeMap::from([field("tls.key", &private), field("tls.crt", certificate.pem())]))
}
