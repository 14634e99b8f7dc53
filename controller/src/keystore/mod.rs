//! The key Secrets: the only part that reads and makes them, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring made of them, plans from that very list, and makes at most one key.
//! A new key is served only when a later list has shown it, so it is stored before anyone seals with it (key-rotation rule 6).

pub(crate) mod effective_policy;
pub(crate) mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod generate;
mod guidance;
pub(crate) mod list;
mod skew;
mod view;
pub(crate) mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Change, Generation, KeyRecord, Plan, UsageReport, plan};
use sealed_secrets_crds::SealingKeyPolicy;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::api::client;
use crate::api::optional_crd_watch::Watched;
use crate::args::Args;
use crate::clock;
use crate::installation::Installation;
use crate::keystore::list::refresh::KeyRefresh;
use crate::usage::{KeyUsageIndex, Usage};
use effective_policy::EffectivePolicy;
use events::events_between;
use generate::attempts::Attempts;
use generate::generator::Successor;
pub(crate) use guidance::{DesiredStates, Guidance};
use guidance::{in_force, need_changed, policy_changed, wished};
use list::lister::Keys;
use list::parsed_keys::ParsedKeys;
use list::publish::publish;
use skew::Skew;
pub(crate) use view::{Blocker, KeyView, KeysView, ObservedPolicy, told};
use writer::Writes;

/// The list is read at least this often, for where watching is not allowed, and after a failure.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);
/// For the API server to say which policy is in force, before the first turn.
const FOR_POLICY: Duration = Duration::from_secs(5);

/// Why a turn failed; the next one tries again. No variant carries key material.
#[derive(Debug, Error)]
pub(crate) enum KeystoreError {
    #[error("key Secrets in namespace {namespace}: {}", client::in_words(cause))]
    Api { namespace: String, cause: kube::Error },
    #[error("the API server's clock cannot be seen: {}", client::in_words(.0))]
    Clock(kube::Error),
    #[error("the task that reads key Secrets ended early")]
    ParsedKey,
    #[error("a key could not be made: {0}")]
    GenerationConfig(String),
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
    home: Installation,
    flags: EffectivePolicy,
    /// The flags, and over them the policy that was in force when the last turn began.
    in_force: EffectivePolicy,
    /// That policy, without what others write in it.
    policy: Option<SealingKeyPolicy>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    desired_states: watch::Receiver<DesiredStates>,
    usage: watch::Receiver<Usage>,
    key_usage: Arc<KeyUsageIndex>,
    publisher: watch::Sender<Option<Arc<KeyRing>>>,
    views: watch::Sender<Option<Arc<KeysView>>>,
    key_refresh: Arc<KeyRefresh>,
    attempts: Attempts,
    skew: Skew,
    /// What the last turn could not do to a key Secret, and why.
    write_error: Option<String>,
    /// Whether SIGUSR1 asks for a key, and the moment is not known yet.
    signalled: bool,
    /// Whether what was planned last depends on what needs each key.
    needs_need: bool,
    /// What the key Secrets of the last list hold.
    parsed_keys: Arc<ParsedKeys>,
    /// Whether key Secrets may not be changed; told once.
    read_only: bool,
}

impl Keystore {
    pub(crate) fn new(client: Client, args: &Args, namespace: &str, guidance: Guidance) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            home: Installation::new(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            flags: EffectivePolicy::of_flags(args),
            in_force: EffectivePolicy::of_flags(args),
            policy: None,
            labels: args.privatekey_labels.clone(),
            annotations: args.privatekey_annotations.clone(),
            policies: guidance.policies,
            desired_states: guidance.desired_states,
            usage: guidance.key_usage.subscribe(),
            key_usage: guidance.key_usage,
            publisher: watch::Sender::new(None),
            views: watch::Sender::new(None),
            key_refresh: Arc::default(),
            attempts: Attempts::default(),
            skew: Skew::default(),
            write_error: None,
            signalled: false,
            needs_need: false,
            parsed_keys: Arc::default(),
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
    pub(crate) fn key_refresh(&self) -> Arc<KeyRefresh> {
        Arc::clone(&self.key_refresh)
    }

    /// Never ends: a turn whenever a key Secret, the policy, a wish or a need changes, the plan says so, somebody asks for a list,
    /// or the polling interval is over. A signal of `asked` asks for a key that is not older than that moment.
    pub(crate) async fn run(mut self, mut asked: Signal) {
        let changes = list::key_watch::changes(&self.client, &self.namespace, self.legacy_name());
        futures::pin_mut!(changes);
        let key_refresh = Arc::clone(&self.key_refresh);
        let known = self.policies.wait_for(|policies| *policies != Watched::Unknown);
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
                () = key_refresh.asked() => {}
                () = policy_changed(&mut self.policies, self.policy.as_ref()) => {}
                () = wished(&mut self.desired_states) => {}
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
        let policy_is_known = self.observe_policy();
        let keys = self.load().await?;
        let now = clock::now();
        let records = keys.records();
        let need = self.usage.borrow_and_update().need.clone();
        let plan = plan(&self.in_force.rotation, &records, need.as_ref(), now);
        publish(&self.publisher, keys.ring(plan.primary.as_deref()));
        self.key_refresh.published(begun);
        if !policy_is_known {
            return Ok(RETRY);
        }
        self.ask_for_need(need.as_ref(), &plan);
        let looked = self.look_at_clock(&plan, &records, now).await;
        let trusts_clock = looked.is_ok() && !self.skew.is_off();
        self.show(&keys, &records, &plan, now).await;
        self.key_refresh.shown(begun);
        let may_be_made = |change: &&Change| trusts_clock || !change.requires.clock;
        let changes: Vec<Change> = plan.changes.iter().filter(may_be_made).cloned().collect();
        let mut writes = Writes::default();
        self.copy_desired_states(&keys, &mut writes).await;
        if !writes.made {
            self.apply(&changes, &keys, &mut writes).await;
        }
        let is_news = self.write_error.is_some() != writes.write_error.is_some();
        if writes.made {
            self.write_error = writes.write_error.or(self.write_error.take());
            return Ok(Duration::ZERO);
        }
        self.write_error = writes.write_error;
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
    fn observe_policy(&mut self) -> bool {
        // What cannot be copied now is copied by the next turn, which a failure puts off.
        self.desired_states.mark_unchanged();
        let policies = self.policies.borrow_and_update();
        let known = !matches!(*policies, Watched::Unknown | Watched::Denied);
        self.policy = in_force(&policies);
        drop(policies);
        self.in_force =
            self.policy.as_ref().map_or_else(|| self.flags.clone(), |policy| self.flags.under(policy));
        known
    }

    /// Asks for a whole view where the plan depends on it.
    fn ask_for_need(&mut self, need: Option<&UsageReport>, plan: &Plan) {
        self.needs_need = plan.follows_usage;
        if self.needs_need && need.is_none() {
            self.key_usage.want_whole_view();
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
        let before = self.views.borrow().clone();
        if before.as_ref() == Some(&view) {
            return;
        }
        self.views.send_replace(Some(Arc::clone(&view)));
        let events = events_between(before.as_deref(), &view, &self.in_force.generation_config.prefix, now);
        self.tell(events, &view).await;
    }

    /// Name of the Secret without label that holds the key of upstream's first versions. A policy that names new keys otherwise
    /// does not change it, or that key would open no more.
    fn legacy_name(&self) -> &str {
        &self.flags.generation_config.prefix
    }

    fn api_error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
    }
}
