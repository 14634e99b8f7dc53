//! The key Secrets: the only part that reads and makes them, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring made of them, plans from that very list, and makes at most one key.
//! A new key is served only when a later list has shown it, so it is stored before anyone seals with it (key-rotation rule 6).

mod attempts;
mod change;
mod deletion;
#[cfg(test)]
pub(crate) mod fixtures;
mod guidance;
mod key_watch;
mod load;
mod make;
mod news;
mod publish;
mod readings;
mod rules;
mod skew;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Blocked, Generation, KeyRecord, Need, Plan, plan};
use sealed_secrets_crds::SealingKeyPolicy;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::args::Args;
use crate::home::Home;
use crate::key_list::KeyList;
use crate::metrics::Metrics;
use crate::own_kinds::Followed;
use crate::usage::{Ledger, Usage};
use crate::{client, clock};
use attempts::Attempts;
use change::Writes;
pub(crate) use guidance::{Guidance, Wishes};
use guidance::{in_force, need_changed, policy_changed, wished};
use load::Keys;
use make::Successor;
use news::news;
use publish::publish;
use readings::Readings;
use rules::Rules;
use skew::{Skew, timeless};
pub(crate) use view::{Heeded, Hindrance, KeyView, KeysView, told};

/// The list is read at least this often, for where watching is not allowed, and after a failure.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);
/// For the API server to say which policy is in force, before the first turn.
const FOR_POLICY: Duration = Duration::from_secs(5);

/// Why a turn failed; the next one tries again. No variant carries key material.
#[derive(Debug, Error)]
enum KeystoreError {
    #[error("key Secrets in namespace {namespace}: {}", client::in_words(cause))]
    Api { namespace: String, cause: kube::Error },
    #[error("the API server's clock cannot be seen: {}", client::in_words(.0))]
    Clock(kube::Error),
    #[error("the task that reads key Secrets ended early")]
    Reading,
    #[error("a key could not be made: {0}")]
    Making(String),
    #[error(
        "no free name for a new key Secret among {0}; delete unusable Secrets that begin with the key prefix"
    )]
    NoFreeName(u32),
    #[error(
        "key Secret {successor} succeeds {newest} and is not newer, so neither is what is asked for; label one of the two retired, and another is made"
    )]
    NotNewer { successor: String, newest: String },
    #[error("the name of the new key Secret is said to be taken, and no list shows that Secret")]
    NotShown,
}

/// What new keys are like, and which Secrets hold the old ones.
pub(crate) struct Keystore {
    client: Client,
    secrets: Api<Secret>,
    namespace: String,
    home: Home,
    flags: Rules,
    /// The flags, and over them the policy that was in force when the last turn began.
    rules: Rules,
    /// That policy, without what others write in it.
    policy: Option<SealingKeyPolicy>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    policies: watch::Receiver<Followed<SealingKeyPolicy>>,
    wishes: watch::Receiver<Wishes>,
    usage: watch::Receiver<Usage>,
    ledger: Arc<Ledger>,
    publisher: watch::Sender<Option<Arc<KeyRing>>>,
    views: watch::Sender<Option<Arc<KeysView>>>,
    key_list: Arc<KeyList>,
    metrics: Arc<Metrics>,
    attempts: Attempts,
    skew: Skew,
    /// What the last turn could not do to a key Secret, and why.
    undone: Option<String>,
    /// Whether SIGUSR1 asks for a key, and the moment is not known yet.
    signalled: bool,
    /// Whether what was planned last depends on what needs each key.
    needs_need: bool,
    /// What the key Secrets of the last list hold.
    readings: Arc<Readings>,
    /// Whether key Secrets may not be changed; told once.
    read_only: bool,
}

impl Keystore {
    pub(crate) fn new(
        client: Client,
        args: &Args,
        namespace: &str,
        guidance: Guidance,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            home: Home::new(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            flags: Rules::of_flags(args),
            rules: Rules::of_flags(args),
            policy: None,
            labels: args.privatekey_labels.clone(),
            annotations: args.privatekey_annotations.clone(),
            policies: guidance.policies,
            wishes: guidance.wishes,
            usage: guidance.ledger.subscribe(),
            ledger: guidance.ledger,
            publisher: watch::Sender::new(None),
            views: watch::Sender::new(None),
            key_list: Arc::default(),
            metrics,
            attempts: Attempts::default(),
            skew: Skew::default(),
            undone: None,
            signalled: false,
            needs_need: false,
            readings: Arc::default(),
            read_only: false,
        }
    }

    /// Follows the latest ring.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<KeyRing>>> {
        self.publisher.subscribe()
    }

    /// Follows what everybody may know of the keys.
    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<KeysView>>> {
        self.views.subscribe()
    }

    /// How to ask for a list of the key Secrets, and when the last one was made.
    pub(crate) fn key_list(&self) -> Arc<KeyList> {
        Arc::clone(&self.key_list)
    }

    /// Never ends: a turn whenever a key Secret, the policy, a wish or a need changes, the plan says so, somebody asks for a list,
    /// or the polling interval is over. A signal of `asked` asks for a key that is not older than that moment.
    pub(crate) async fn run(mut self, mut asked: Signal) {
        let changes = key_watch::changes(&self.client, &self.namespace, self.legacy_name());
        futures::pin_mut!(changes);
        let key_list = Arc::clone(&self.key_list);
        let known = self.policies.wait_for(|policies| *policies != Followed::Unknown);
        // Where that cannot be told, keys are served at least.
        let _ = tokio::time::timeout(FOR_POLICY, known).await;
        let mut said = None;
        loop {
            let outcome = self.turn().await;
            let error = outcome.as_ref().err().map(ToString::to_string);
            if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
                tracing::error!("{error}");
            }
            said = error;
            let wait = outcome.unwrap_or(RETRY);
            // A change and the end of the wait lead to the same turn.
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep(wait) => {}
                () = key_list.asked() => {}
                () = policy_changed(&mut self.policies, self.policy.as_ref()) => {}
                () = wished(&mut self.wishes) => {}
                () = need_changed(&mut self.usage, self.needs_need) => {}
                _ = asked.recv() => {
                    tracing::info!("SIGUSR1: a new key is asked for");
                    self.signalled = true;
                }
            }
        }
    }

    /// Lists, plans, publishes, and does what the plan says: changes of keys first, and when there are none at most one new key.
    /// What depends on the time waits while the clock here is off. Returns how long to wait at most.
    async fn turn(&mut self) -> Result<Duration, KeystoreError> {
        let begun = Instant::now();
        self.date_signal().await?;
        let policy_is_known = self.heed_policy();
        let keys = self.load().await?;
        let now = clock::now();
        let records = keys.records();
        let need = self.usage.borrow_and_update().need.clone();
        let plan = plan(&self.rules.rotation, &records, need.as_ref(), now);
        publish(&self.publisher, keys.ring(plan.primary.as_deref()));
        self.key_list.published(begun);
        if !policy_is_known {
            return Ok(RETRY);
        }
        self.ask_for_need(&records, need.as_ref(), &plan, now);
        let timeless = timeless(&self.rules.rotation, &records, need.as_ref(), &plan);
        let looked = self.look_at_clock(&plan, &timeless, &records, now).await;
        let trusts_clock = looked.is_ok() && !self.skew.is_off();
        self.show(&keys, &records, &plan, now).await;
        self.key_list.shown(begun);
        let changes = if trusts_clock { &plan.changes } else { &timeless };
        let mut writes = Writes::default();
        self.copy_wishes(&keys, &mut writes).await;
        if !writes.made {
            self.apply(changes, &keys, &mut writes).await;
        }
        let is_news = self.undone.is_some() != writes.undone.is_some();
        if writes.made {
            self.undone = writes.undone.or(self.undone.take());
            return Ok(Duration::ZERO);
        }
        self.undone = writes.undone;
        let mut wait = if is_news { Duration::ZERO } else { self.until_due(&plan, now) };
        match plan.generate {
            Some(generation) if trusts_clock => wait = wait.min(self.attempt(&records, generation).await),
            Some(_) => {}
            None => self.attempts.forget(),
        }
        looked?;
        writes.failed.map_or(Ok(wait), Err)
    }

    /// How long to wait at most if nothing is done.
    fn until_due(&self, plan: &Plan, now: Timestamp) -> Duration {
        let due = plan.look_again_at.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok());
        due.into_iter().chain(self.skew.next_look(Instant::now())).fold(POLL, Duration::min)
    }

    /// Turns a signal into a request for a key that is not older than now, by the API server's clock as all requests are.
    async fn date_signal(&mut self) -> Result<(), KeystoreError> {
        if self.signalled {
            let date = clock::of_api_server(&self.client).await.map_err(KeystoreError::Clock)?;
            self.flags.rotation.requests.push(date.unwrap_or_else(clock::now));
            self.signalled = false;
        }
        Ok(())
    }

    /// Takes the rules of the policy in force. Returns whether it is known which one that is, if any.
    fn heed_policy(&mut self) -> bool {
        // What cannot be copied now is copied by the next turn, which a failure puts off.
        self.wishes.mark_unchanged();
        let policies = self.policies.borrow_and_update();
        let known = !matches!(*policies, Followed::Unknown | Followed::Denied);
        self.policy = in_force(&policies);
        drop(policies);
        self.rules =
            self.policy.as_ref().map_or_else(|| self.flags.clone(), |policy| self.flags.under(policy));
        known
    }

    /// Asks for a whole view where a key would retire or be deleted if nothing needed it.
    fn ask_for_need(&mut self, records: &[KeyRecord], need: Option<&Need>, planned: &Plan, now: Timestamp) {
        let nothing_needed = plan(&self.rules.rotation, records, Some(&Need::default()), now);
        let all_needed = Need {
            used: records.iter().filter_map(|key| Some(key.facts.as_ref()?.fingerprint.clone())).collect(),
            ..Need::default()
        };
        let all_needed = plan(&self.rules.rotation, records, Some(&all_needed), now);
        self.needs_need = nothing_needed.changes != all_needed.changes
            || planned
                .blocked
                .iter()
                .any(|blocked| matches!(blocked, Blocked::ViewNotWhole(_) | Blocked::Retention));
        if self.needs_need && need.is_none() {
            self.ledger.want_whole_view();
        }
    }

    /// Makes a successor, unless the last attempt has failed a moment ago. Returns how long to wait at most.
    async fn attempt(&mut self, records: &[KeyRecord], generation: Generation) -> Duration {
        let wait = self.attempts.wait(Instant::now());
        if !wait.is_zero() {
            return wait;
        }
        match self.make_successor(records, generation).await {
            // Until the next list counts it, or another is made after a pause only: it may have been changed on its way.
            Ok(Successor::Ours) => {
                self.attempts.yielded(&KeystoreError::NotShown, Instant::now());
                Duration::ZERO
            }
            // Whether what somebody else has made is what was wanted, the next list shows.
            Ok(Successor::Theirs) => self.attempts.yielded(&KeystoreError::NotShown, Instant::now()),
            Err(error) => {
                tracing::error!("{error}");
                self.attempts.failed(&error, Instant::now());
                Duration::ZERO
            }
        }
    }

    /// Publishes what everybody may know, and tells what is new in it.
    async fn show(&mut self, keys: &Keys, records: &[KeyRecord], plan: &Plan, now: Timestamp) {
        let view = Arc::new(self.view(keys, records, plan, now));
        self.metrics.keys().note(&view, now);
        let before = self.views.borrow().clone();
        if before.as_ref() == Some(&view) {
            return;
        }
        self.views.send_replace(Some(Arc::clone(&view)));
        let told = before.as_deref().and_then(KeysView::told_of_end);
        if let Some(message) = view.told_of_end().filter(|message| told.as_ref() != Some(message)) {
            tracing::warn!("{message}");
        }
        let news = news(before.as_deref(), &view, &self.rules.making.prefix, now);
        self.tell(news, &view).await;
    }

    /// Name of the Secret without label that holds the key of upstream's first versions. A policy that names new keys otherwise
    /// does not change it, or that key would open no more.
    fn legacy_name(&self) -> &str {
        &self.flags.making.prefix
    }

    fn api_error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
    }
}
