//! The key Secrets: the only part that reads and makes them, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring made of them, plans from that very list, and makes at most one key.
//! A new key is served only when a later list has shown it, so it is stored before anyone seals with it (key-rotation rule 6).

mod change;
mod load;
mod make;
mod rules;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::plan;
use sealed_secrets_crds::names::SEALING_KEY_LABEL;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::args::Args;
use crate::backoff::WatchBackoff;
use crate::key_list::KeyList;
use crate::{client, clock};
use make::Successor;
use rules::Rules;

/// The list is read at least this often, for where watching is not allowed, and after a failure.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);

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
        "no free name for a new key Secret among {0}; delete unusable Secrets that begin with the key prefix"
    )]
    NoFreeName(u32),
}

/// What new keys are like, and which Secrets hold the old ones.
pub(crate) struct Keystore {
    client: Client,
    secrets: Api<Secret>,
    namespace: String,
    rules: Rules,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    publisher: watch::Sender<Option<Arc<KeyRing>>>,
    key_list: Arc<KeyList>,
    /// Complaints already made, by Secret and version: each is logged once.
    reported: HashSet<(String, String)>,
    forbidden_told: bool,
}

impl Keystore {
    pub(crate) fn new(client: Client, args: &Args, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            rules: Rules::of_flags(args),
            labels: args.privatekey_labels.clone(),
            annotations: args.privatekey_annotations.clone(),
            publisher: watch::Sender::new(None),
            key_list: Arc::default(),
            reported: HashSet::new(),
            forbidden_told: false,
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
                    self.rules.rotation.requests.push(clock::now());
                }
            }
        }
    }

    /// Lists, plans, publishes, and does what the plan says: changes of keys first, and when there are none at most one new key.
    /// Returns how long to wait at most.
    async fn turn(&mut self) -> Result<Duration, KeystoreError> {
        let begun = Instant::now();
        let keys = self.load().await?;
        let now = clock::now();
        let plan = plan(&self.rules.rotation, &keys.records(), None, now);
        self.publish(Arc::new(keys.ring(plan.primary.as_deref())));
        self.key_list.published(begun);
        if self.apply(&plan.changes, &keys).await? {
            return Ok(Duration::ZERO);
        }
        if let Some(generation) = plan.generate {
            let made = self.make_successor(keys.newest().as_ref(), generation).await?;
            // What somebody else has made is seen in a moment, and must not be asked for without a pause until then.
            return Ok(if made == Successor::Ours { Duration::ZERO } else { RETRY });
        }
        let until_due =
            plan.look_again_at.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok());
        Ok(until_due.map_or(POLL, |due| due.min(POLL)))
    }

    fn publish(&self, ring: Arc<KeyRing>) {
        let names = |ring: &KeyRing| {
            let primary = ring.primary().map(|key| key.name().to_owned());
            (
                primary,
                ring.iter().map(|key| (key.name().to_owned(), key.fingerprint().clone())).collect::<Vec<_>>(),
            )
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

    fn api_error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
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
