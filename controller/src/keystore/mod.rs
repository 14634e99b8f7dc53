//! Key Secrets: the only module that reads and writes them, and the publisher of key rings.
//!
//! Each turn lists the key Secrets, publishes the ring of this list, plans from the same list, and generates at most
//! one key.
//! A replica that follows a leader lists, plans and publishes, and writes nothing.
//! A new key is served only after a later list contains it, so it is stored before anyone seals with it
//! (docs/rotation-rules.md, rule 6).

mod clock;
pub(crate) mod effective_policy;
mod error;
pub(crate) mod events;
#[cfg(test)]
pub(crate) mod fixtures;
mod generate;
mod inputs;
pub(crate) mod list;
pub(crate) mod publish;
mod secrets;
mod view;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Change, Plan, due_since, next_rotation, plan};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::args::Args;
use crate::keystore::list::refresh::KeyRefresh;
use crate::leadership::Leadership;
use clock::Clock;
use effective_policy::EffectivePolicy;
use error::KeystoreError;
use generate::generator::Generator;
pub(crate) use inputs::{DesiredStates, Inputs};
use inputs::{PolicyInput, UsageInput, changed};
use list::lister::{Keys, Lister};
use publish::Publisher;
use secrets::Secrets;
pub(crate) use view::{Blocker, KeyView, KeysView, ObservedPolicy, describe};
use view::{expired_at, external_trigger};
use writer::Writer;
use writer::deletion::DeletionCheck;

/// Longest time between two lists, for clusters in which watching is denied.
const POLL: Duration = Duration::from_secs(30);
/// Time until the next turn after a failure, or while the policy is unknown.
const RETRY: Duration = Duration::from_secs(2);
/// Time for the API server to report the policy in force, before the first turn.
const POLICY_TIMEOUT: Duration = Duration::from_secs(5);

/// The reconcile loop of key Secrets. Each of its parts owns the state that it changes.
pub(crate) struct Keystore {
    policy: PolicyInput,
    desired_states: watch::Receiver<DesiredStates>,
    usage: UsageInput,
    lister: Lister,
    publisher: Publisher,
    clock: Clock,
    writer: Writer,
    generator: Generator,
    leadership: Leadership,
    /// The term of this replica at the last turn, if it led.
    term: Option<u64>,
    /// True if SIGUSR1 requested a key, and the request was not dated by the API server's time yet.
    is_signalled: bool,
}

impl Keystore {
    pub(crate) fn new(
        client: &Client,
        args: &Args,
        namespace: &str,
        inputs: Inputs,
        leadership: Leadership,
    ) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        let secrets = Secrets { api, namespace: namespace.to_owned() };
        // A policy with another prefix does not change the name of the legacy Secret, whose key would otherwise no
        // longer decrypt.
        let legacy_name = args.key_prefix.clone();
        Self {
            policy: PolicyInput::new(EffectivePolicy::of_flags(args), inputs.policies),
            desired_states: inputs.desired_states,
            usage: UsageInput::new(client.clone(), inputs.key_usage),
            lister: Lister::new(client.clone(), secrets.clone(), legacy_name),
            publisher: Publisher::new(client.clone(), namespace, args.lease_duration() * 2),
            clock: Clock::new(client.clone()),
            writer: Writer::new(secrets.clone()),
            generator: Generator::new(client.clone(), secrets, args),
            leadership,
            term: None,
            is_signalled: false,
        }
    }

    /// Returns a receiver of the latest ring.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<KeyRing>>> {
        self.publisher.rings()
    }

    /// Returns a receiver of the public view of the keys.
    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<KeysView>>> {
        self.publisher.views()
    }

    /// Returns the handle that requests a list of the key Secrets and records the last one.
    pub(crate) fn key_refresh(&self) -> Arc<KeyRefresh> {
        Arc::clone(self.publisher.refresh())
    }

    /// Runs the loop. Never returns. A turn follows each change of a key Secret, of the policy, of a desired state, of
    /// the usage and of the leadership, each due time of the plan, each request for a list, and the polling interval. A
    /// `signal` requests a key that is not older than the signal.
    pub(crate) async fn run(mut self, mut signal: Signal) {
        let key_changes = self.lister.changes();
        futures::pin_mut!(key_changes);
        let refresh = self.key_refresh();
        // If the policy remains unknown, keys are at least served.
        let _ = tokio::time::timeout(POLICY_TIMEOUT, self.policy.until_known()).await;
        let mut last_error = None;
        loop {
            let outcome = self.turn().await;
            // A write that was not sent because the term has ended is not an error: the next leader makes it.
            let has_same_term = self.leadership.active_term(Instant::now()) == self.term;
            let error = outcome.as_ref().err().filter(|_| has_same_term).map(ToString::to_string);
            if let Some(error) = error.as_ref().filter(|error| last_error.as_ref() != Some(*error)) {
                tracing::error!("{error}");
            }
            last_error = error;
            let wait = outcome.unwrap_or(RETRY);
            // A change and the end of the wait lead to the same turn.
            tokio::select! {
                _ = key_changes.next() => {}
                () = tokio::time::sleep(wait) => {}
                () = refresh.requested() => {}
                () = self.policy.changed() => {}
                () = changed(&mut self.desired_states) => {}
                () = self.usage.changed() => {}
                () = self.leadership.active_term_changed(self.term) => {}
                _ = signal.recv() => self.take_signal(),
            }
        }
    }

    /// Takes SIGUSR1. Only the leader generates keys, so that signalling every Pod requests one.
    fn take_signal(&mut self) {
        self.is_signalled = self.leadership.active_term(Instant::now()).is_some();
        if self.is_signalled {
            tracing::info!("SIGUSR1: a new key is requested");
        } else {
            let leader = self.leadership.leader().unwrap_or_else(|| "no replica".to_owned());
            tracing::info!(
                "SIGUSR1: no key is requested, because this replica does not lead: the leader is {leader}"
            );
        }
    }

    /// Lists, plans and publishes; the leader also executes the plan. Returns the longest wait before the next turn.
    async fn turn(&mut self) -> Result<Duration, KeystoreError> {
        let begun = Instant::now();
        self.term = self.leadership.active_term(begun);
        self.request_signalled_key().await?;
        // A desired state that cannot be copied now is copied by the next turn, which a failure delays.
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
        let view = self.view(&keys, &plan, now);
        self.publisher.publish_view(view, prefix, now, begun, self.term.is_some()).await;
        if self.term.is_none() {
            self.generator.forget_failures();
            return clock_check.map(|()| self.until_due(&plan, now));
        }
        self.execute(&keys, &plan, clock_check, now).await
    }

    /// Turns a signal into a request for a key that is not older than now, by the API server's clock like all requests.
    async fn request_signalled_key(&mut self) -> Result<(), KeystoreError> {
        if self.is_signalled {
            let date = self.clock.of_api_server().await?;
            self.policy.request(date.unwrap_or_else(crate::clock::now));
            self.is_signalled = false;
        }
        Ok(())
    }

    /// Changes key Secrets and, if nothing is to be changed, generates at most one key. Changes that require the clock
    /// wait while the clock here is off. Returns the longest wait before the next turn.
    async fn execute(
        &mut self,
        keys: &Keys,
        plan: &Plan,
        clock_check: Result<(), KeystoreError>,
        now: Timestamp,
    ) -> Result<Duration, KeystoreError> {
        let trusts_clock = clock_check.is_ok() && !self.clock.skew.is_off();
        let may_be_made = |change: &&Change| trusts_clock || !change.requires.clock;
        let changes = plan.changes.iter().filter(may_be_made);
        let desired_states = self.desired_states.borrow().clone();
        let policy = self.policy.effective();
        let deletion_check = DeletionCheck::new(&self.usage, self.publisher.ring(), &policy.rotation);
        let writes = self.writer.write(&desired_states, changes, keys, &deletion_check).await;
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

    /// Returns the longest wait if the plan is unchanged.
    fn until_due(&self, plan: &Plan, now: Timestamp) -> Duration {
        let due = plan.next_change.and_then(|time| Duration::try_from(time.duration_since(now)).ok());
        due.into_iter().chain(self.clock.skew.next_check(Instant::now())).fold(POLL, Duration::min)
    }

    fn view(&self, keys: &Keys, plan: &Plan, now: Timestamp) -> KeysView {
        let rotation = &self.policy.effective().rotation;
        let views = keys.views(plan.primary.as_deref());
        KeysView {
            expired_at: expired_at(&views, plan.primary.as_deref(), self.clock.skew.time_of_api_server(now)),
            keys: views,
            primary: plan.primary.clone(),
            due_trigger: plan
                .generate
                .map(|generation| generation.trigger)
                .or_else(|| external_trigger(plan)),
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
        self.clock.skew.blocker().or_else(generation).or_else(|| self.writer.blocker())
    }
}
