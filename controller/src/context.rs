//! What every part of the controller shares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealingKeyPolicy;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use tokio::sync::watch;

use crate::backoff::Failures;
use crate::key_list::KeyList;
use crate::metrics::Metrics;
use crate::own_kinds::Followed;
use crate::usage::Ledger;
use crate::work_limits::WorkLimits;

/// The latest key ring; `None` until key Secrets were read for the first time.
pub(crate) type RingReceiver = watch::Receiver<Option<Arc<KeyRing>>>;

/// Shared by all workers.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// The controller's own namespace.
    pub(crate) namespace: String,
    /// The flag; the policy in force may name another one.
    pub(crate) key_prefix: String,
    pub(crate) policies: watch::Receiver<Followed<SealingKeyPolicy>>,
    pub(crate) v1_data: V1Data,
    /// Types of Secrets that are never written.
    pub(crate) denied_types: BTreeSet<String>,
    pub(crate) update_status: bool,
    /// Tries of a failing object before it waits for a change; `None` for no limit.
    pub(crate) max_retries: Option<u32>,
    pub(crate) ring: RingReceiver,
    pub(crate) key_list: Arc<KeyList>,
    pub(crate) metrics: Arc<Metrics>,
    /// Which keys the SealedSecrets need.
    pub(crate) usage: Arc<Ledger>,
    /// Failures by namespace and name of the SealedSecret.
    pub(crate) backoff: Failures<(String, String)>,
    pub(crate) work: WorkLimits,
    pub(crate) template_budget: Budget,
    /// Whether the CRD is an older one, which drops what the status is to remember; learnt from the first answer.
    pub(crate) status_forgets: AtomicBool,
}

impl Context {
    /// What names of key Secrets begin with: by the flag, and by the policy in force.
    pub(crate) fn key_prefixes(&self) -> Vec<String> {
        let policies = self.policies.borrow();
        let making = policies.get(DEFAULT_POLICY_NAME).and_then(|policy| policy.spec.generate.as_ref());
        let of_policy = making.and_then(|making| making.secret_prefix.clone());
        of_policy.into_iter().chain([self.key_prefix.clone()]).collect()
    }
}
