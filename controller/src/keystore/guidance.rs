//! What the keystore heeds beside flags and key Secrets: the policy in force, what people say on `SealingKeys`, and what is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{Resource as _, ResourceExt as _};
use sealed_secrets_core::rotation::{KeyRecord, Wish, is_met};
use sealed_secrets_crds::SealingKeyPolicy;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use tokio::sync::watch;

use super::rules::Request;
use super::view::Heeded;
use crate::own_kinds::Followed;
use crate::usage::{Ledger, Usage};

/// What people say on `SealingKeys` and is not yet on their key Secrets, by name.
pub(crate) type Wishes = BTreeMap<String, Wish>;

/// What the keystore heeds beside flags and key Secrets.
pub(crate) struct Guidance {
    pub(crate) policies: watch::Receiver<Followed<SealingKeyPolicy>>,
    pub(crate) wishes: watch::Receiver<Wishes>,
    pub(crate) ledger: Arc<Ledger>,
}

/// The policy that is in force, without its status.
pub(super) fn in_force(policies: &Followed<SealingKeyPolicy>) -> Option<SealingKeyPolicy> {
    let mut policy = policies.get(DEFAULT_POLICY_NAME)?.clone();
    policy.status = None;
    Some(policy)
}

/// Returns when the policy in force is another one, or says something else.
pub(super) async fn policy_changed(
    policies: &mut watch::Receiver<Followed<SealingKeyPolicy>>,
    heeded: Option<&SealingKeyPolicy>,
) {
    let words = |policy: &SealingKeyPolicy| (policy.uid(), policy.meta().generation, Request::of(policy));
    let heeded = heeded.map(words);
    let other =
        |policies: &Followed<SealingKeyPolicy>| policies.get(DEFAULT_POLICY_NAME).map(words) != heeded;
    if policies.wait_for(other).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns when people want something else.
pub(super) async fn wished(wishes: &mut watch::Receiver<Wishes>) {
    if wishes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns when what needs each key has changed, if that matters.
pub(super) async fn need_changed(usage: &mut watch::Receiver<Usage>, matters: bool) {
    let before = usage.borrow().need.clone();
    if !matters || usage.wait_for(|usage| usage.need != before).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) fn heeded(policy: &SealingKeyPolicy, records: &[KeyRecord]) -> Heeded {
    let request = Request::of(policy);
    let is_handled = |request: &Request| request.moment.is_some_and(|moment| is_met(records, moment));
    let is_malformed = |request: &Request| request.moment.is_none();
    let text = |request: Request| request.text;
    Heeded {
        uid: policy.uid().unwrap_or_default(),
        generation: policy.meta().generation,
        handled_request: request.clone().filter(is_handled).map(text),
        malformed_request: request.filter(is_malformed).map(text),
    }
}
