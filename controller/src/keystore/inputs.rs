//! Inputs of the keystore besides key Secrets: the policy in force, the desired states of `SealingKeys`, and the usage
//! of keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::{Client, Resource as _, ResourceExt as _};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{DesiredState, KeyRecord, UsageReport, is_met};
use sealed_secrets_crds::SealingKeyPolicy;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use tokio::sync::watch;

use super::effective_policy::{EffectivePolicy, Request};
use super::view::ObservedPolicy;
use crate::api::optional_crd_watch::Watched;
use crate::usage::live::usage_report_now;
use crate::usage::{KeyUsageIndex, Usage};

/// Desired states of `SealingKeys`, by name of the key Secret, that are not yet copied to it.
pub(crate) type DesiredStates = BTreeMap<String, DesiredState>;

/// The sources of these inputs.
pub(crate) struct Inputs {
    pub(crate) policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    pub(crate) desired_states: watch::Receiver<DesiredStates>,
    pub(crate) key_usage: Arc<KeyUsageIndex>,
}

/// The flags, overridden by the policy in force.
pub(super) struct PolicyInput {
    policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    flags: EffectivePolicy,
    effective: EffectivePolicy,
    /// The policy at the last turn.
    policy: Option<SealingKeyPolicy>,
}

impl PolicyInput {
    pub(super) fn new(flags: EffectivePolicy, policies: watch::Receiver<Watched<SealingKeyPolicy>>) -> Self {
        Self { policies, effective: flags.clone(), flags, policy: None }
    }

    pub(super) fn effective(&self) -> &EffectivePolicy {
        &self.effective
    }

    /// Waits until the policy in force is known.
    pub(super) async fn until_known(&mut self) {
        // Fails only if the watch of policies has ended, which ends the process.
        let _ = self.policies.wait_for(|policies| *policies != Watched::Unknown).await;
    }

    /// Reads the policy in force. Returns true if it is known, or known not to exist.
    pub(super) fn observe(&mut self) -> bool {
        let policies = self.policies.borrow_and_update();
        let is_known = !matches!(*policies, Watched::Unknown | Watched::Denied);
        self.policy = policies.get(DEFAULT_POLICY_NAME).cloned();
        drop(policies);
        let under = |policy: &SealingKeyPolicy| self.flags.under(policy);
        self.effective = self.policy.as_ref().map_or_else(|| self.flags.clone(), under);
        is_known
    }

    /// Waits until another policy is in force, or the content of the current one has changed.
    pub(super) async fn changed(&mut self) {
        let content =
            |policy: &SealingKeyPolicy| (policy.uid(), policy.meta().generation, Request::of(policy));
        let observed = self.policy.as_ref().map(content);
        let is_other =
            |policies: &Watched<SealingKeyPolicy>| policies.get(DEFAULT_POLICY_NAME).map(content) != observed;
        if self.policies.wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Requests a key that is not older than this, independently of the policy.
    pub(super) fn request(&mut self, time: Timestamp) {
        self.flags.rotation.requests.push(time);
    }

    /// Returns the version of the policy in force, and the state of its request with these keys.
    pub(super) fn observed(&self, records: &[KeyRecord]) -> Option<ObservedPolicy> {
        let policy = self.policy.as_ref()?;
        let request = Request::of(policy);
        let is_handled = |request: &Request| request.time.is_some_and(|time| is_met(records, time));
        let is_malformed = |request: &Request| request.time.is_none();
        let text = |request: Request| request.text;
        Some(ObservedPolicy {
            uid: policy.uid().unwrap_or_default(),
            generation: policy.meta().generation,
            handled_request: request.clone().filter(is_handled).map(text),
            malformed_request: request.filter(is_malformed).map(text),
        })
    }
}

/// The usage of keys, if the plan depends on it.
pub(super) struct UsageInput {
    client: Client,
    index: Arc<KeyUsageIndex>,
    usage: watch::Receiver<Usage>,
    is_followed: bool,
}

impl UsageInput {
    pub(super) fn new(client: Client, index: Arc<KeyUsageIndex>) -> Self {
        Self { client, usage: index.subscribe(), index, is_followed: false }
    }

    /// Returns the latest report; `None` while there is none.
    pub(super) fn report(&mut self) -> Option<UsageReport> {
        self.usage.borrow_and_update().report.clone()
    }

    /// Computes the report from the SealedSecrets that the API server has now.
    pub(super) async fn report_now(&self, ring: &KeyRing) -> Result<Option<UsageReport>, kube::Error> {
        usage_report_now(&self.client, &self.index, ring).await
    }

    /// Follows the usage if the plan depends on it, and requests a report if there is none.
    pub(super) fn follow(&mut self, matters: bool, is_known: bool) {
        self.is_followed = matters;
        if matters && !is_known {
            self.index.request_report();
        }
    }

    /// Waits until the report has changed, if it is followed.
    pub(super) async fn changed(&mut self) {
        let before = self.usage.borrow().report.clone();
        if !self.is_followed || self.usage.wait_for(|usage| usage.report != before).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for a new value. Never returns once the sender is gone.
pub(super) async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
