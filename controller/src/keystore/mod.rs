//! Key Secrets: their only reader and writer, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring made of them, plans from that very list, and makes at most one key.
//! A new key is served only when a later list has shown it, so it is stored before anyone seals with it (key-rotation rule 6).

mod clock;
pub(crate) mod effective_policy;
pub(crate) mod events;
#[cfg(test)]
pub(crate) mod fixtures;
mod generate;
mod inputs;
pub(crate) mod list;
mod publish;
mod view;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Change, Plan, due_since, next_rotation, plan};
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::api::client;
use crate::args::Args;
use crate::keystore::list::refresh::KeyRefresh;
use clock::Clock;
use effective_policy::EffectivePolicy;
use generate::generator::Generator;
pub(crate) use inputs::{DesiredStates, Inputs};
use inputs::{PolicyInput, UsageInput, changed};
use list::lister::{Keys, Lister};
use publish::Publisher;
use view::external_trigger;
pub(crate) use view::{Blocker, KeyView, KeysView, ObservedPolicy, describe};
use writer::Writer;
use writer::deletion::DeletionCheck;

/// The list is read at least this often, for where watching is not allowed, and after a failure.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);
/// Time for the API server to say which policy is in force, before the first turn.
const POLICY_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The Secrets of the controller's namespace.
#[derive(Clone)]
pub(crate) struct Secrets {
    api: Api<Secret>,
    namespace: String,
}

impl Secrets {
    fn error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
    }
}

/// The loop over key Secrets. Each of its parts owns the state that it changes.
pub(crate) struct Keystore {
    policy: PolicyInput,
    desired_states: watch::Receiver<DesiredStates>,
    usage: UsageInput,
    lister: Lister,
    publisher: Publisher,
    clock: Clock,
    writer: Writer,
    generator: Generator,
    /// Whether SIGUSR1 asks for a key, and the API server was not asked for the time yet.
    is_signalled: bool,
}

impl Keystore {
    pub(crate) fn new(client: &Client, args: &Args, namespace: &str, inputs: Inputs) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        let secrets = Secrets { api, namespace: namespace.to_owned() };
        // A policy that names new keys otherwise does not change the name of the legacy Secret, or its key would open no more.
        let legacy_name = args.key_prefix.clone();
        Self {
            policy: PolicyInput::new(EffectivePolicy::of_flags(args), inputs.policies),
            desired_states: inputs.desired_states,
            usage: UsageInput::new(client.clone(), inputs.key_usage),
            lister: Lister::new(client.clone(), secrets.clone(), legacy_name),
            publisher: Publisher::new(client.clone(), namespace),
            clock: Clock::new(client.clone()),
            writer: Writer::new(secrets.clone()),
            generator: Generator::new(client.clone(), secrets, args),
            is_signalled: false,
        }
    }

    /// Follows the latest ring.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<KeyRing>>> {
        self.publisher.rings()
    }

    /// Follows the public view of the keys.
    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<KeysView>>> {
        self.publisher.views()
    }

    /// Asks for a list of the key Secrets, and tells when the last one was made.
    pub(crate) fn key_refresh(&self) -> Arc<KeyRefresh> {
        Arc::clone(self.publisher.refresh())
    }

    /// Never ends: a turn whenever a key Secret, the policy, a desired state or the usage changes, the plan says so, somebody asks
    /// for a list, or the polling interval is over. A `signal` asks for a key that is not older than the signal.
    pub(crate) async fn run(mut self, mut signal: Signal) {
        let key_changes = self.lister.changes();
        futures::pin_mut!(key_changes);
        let refresh = self.key_refresh();
        // Where that stays unknown, keys are served at least.
        let _ = tokio::time::timeout(POLICY_TIMEOUT, self.policy.until_known()).await;
        let mut last_error = None;
        loop {
            let outcome = self.turn().await;
            let error = outcome.as_ref().err().map(ToString::to_string);
            if let Some(error) = error.as_ref().filter(|error| last_error.as_ref() != Some(*error)) {
                tracing::error!("{error}");
            }
            last_error = error;
            let wait = outcome.unwrap_or(RETRY);
            // A change and the end of the wait lead to the same turn.
            tokio::select! {
                _ = key_changes.next() => {}
                () = tokio::time::sleep(wait) => {}
                () = refresh.asked() => {}
                () = self.policy.changed() => {}
                () = changed(&mut self.desired_states) => {}
                () = self.usage.changed() => {}
                _ = signal.recv() => {
                    tracing::info!("SIGUSR1: a new key is asked for");
                    self.is_signalled = true;
                }
            }
        }
    }

    /// Lists, plans, publishes, and does what the plan says. Returns how long to wait at most.
    async fn turn(&mut self) -> Result<Duration, KeystoreError> {
        let begun = Instant::now();
        self.date_signal().await?;
        // A desired state that cannot be copied now is copied by the next turn, which a failure puts off.
        self.desired_states.mark_unchanged();
        let policy_is_known = self.policy.observe();
        let keys = self.lister.load(self.policy.effective().order_by).await?;
        let now = crate::clock::now();
        let usage = self.usage.report();
        let rotation = &self.policy.effective().rotation;
        let plan = plan(rotation, keys.records(), usage.as_ref(), now);
        self.publisher.publish_ring(keys.ring(plan.primary.as_deref()), begun);
        if !policy_is_known {
            return Ok(RETRY);
        }
        self.usage.follow(plan.follows_usage, usage.is_some());
        let clock_check = self.clock.check(&plan, rotation, keys.records(), now).await;
        let prefix = &self.policy.effective().generation_config.prefix;
        self.publisher.publish_view(self.view(&keys, &plan, now), prefix, now, begun).await;
        self.act(&keys, &plan, clock_check, now).await
    }

    /// Turns a signal into a request for a key that is not older than now, by the API server's clock as all requests are.
    async fn date_signal(&mut self) -> Result<(), KeystoreError> {
        if self.is_signalled {
            let date = self.clock.of_api_server().await?;
            self.policy.request(date.unwrap_or_else(crate::clock::now));
            self.is_signalled = false;
        }
        Ok(())
    }

    /// Changes key Secrets, and when there is nothing to change makes at most one key. What requires the time waits while the clock
    /// here is off. Returns how long to wait at most.
    async fn act(
        &mut self,
        keys: &Keys,
        plan: &Plan,
        clock_check: Result<(), KeystoreError>,
        now: Timestamp,
    ) -> Result<Duration, KeystoreError> {
        let trusts_clock = clock_check.is_ok() && !self.clock.is_off();
        let may_be_made = |change: &&Change| trusts_clock || !change.requires.clock;
        let changes = plan.changes.iter().filter(may_be_made);
        let desired_states = self.desired_states.borrow().clone();
        let policy = self.policy.effective();
        let deletions = DeletionCheck::new(&self.usage, self.publisher.ring(), &policy.rotation);
        let writes = self.writer.write(&desired_states, changes, keys, &deletions).await;
        if writes.made {
            return Ok(Duration::ZERO);
        }
        let mut wait = if writes.error_changed { Duration::ZERO } else { self.until_due(plan, now) };
        match plan.generate {
            Some(generation) if trusts_clock => {
                let config = &policy.generation_config;
                wait = wait.min(self.generator.attempt(config, keys.records(), generation).await);
            }
            Some(_) => {}
            None => self.generator.forget_failures(),
        }
        clock_check?;
        writes.failed.map_or(Ok(wait), Err)
    }

    /// The longest wait if nothing is done.
    fn until_due(&self, plan: &Plan, now: Timestamp) -> Duration {
        let due = plan.look_again_at.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok());
        due.into_iter().chain(self.clock.next_check(Instant::now())).fold(POLL, Duration::min)
    }

    fn view(&self, keys: &Keys, plan: &Plan, now: Timestamp) -> KeysView {
        let rotation = &self.policy.effective().rotation;
        KeysView {
            keys: keys.views(plan.primary.as_deref()),
            primary: plan.primary.clone(),
            wanted: plan.generate.map(|generation| generation.trigger).or_else(|| external_trigger(plan)),
            blocker: self.blocker(plan),
            blocked: plan.blocked.clone(),
            read_only: self.writer.is_read_only(),
            suspended: rotation.suspended,
            activation_delay: rotation.activation_delay,
            next: next_rotation(rotation, keys.records(), now),
            due_since: due_since(rotation, keys.records(), now),
            observed_policy: self.policy.observed(keys.records()),
        }
    }

    fn blocker(&self, plan: &Plan) -> Option<Blocker> {
        let generation = || plan.generate.and_then(|_| self.generator.blocker());
        self.clock.blocker().or_else(generation).or_else(|| self.writer.blocker())
    }
}
