//! State that all parts of the controller share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealingKeyPolicy;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use tokio::sync::watch;

use crate::api::optional_crd_watch::Watched;
use crate::keystore::list::refresh::KeyRefresh;
use crate::keystore::publish::RingReceiver;
use crate::metrics::Metrics;
use crate::sealed_secret::decrypt::diagnosis_limit::DiagnosisLimit;
use crate::sealed_secret::queue::priority_queue::PriorityQueue;
use crate::usage::KeyUsageIndex;
use crate::work::limits::WorkLimits;
use crate::work::object_memory::ObjectMemory;

/// State that all workers share.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// The controller's own namespace.
    pub(crate) namespace: String,
    /// The prefix set by the flag; the policy in force may set another one.
    pub(crate) key_prefix: String,
    pub(crate) policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    pub(crate) v1_data: V1Data,
    /// Types of Secrets that are never written.
    pub(crate) denied_types: BTreeSet<String>,
    pub(crate) update_status: bool,
    /// Retries of a failing object before it waits for a change; `None` for no limit.
    pub(crate) max_retries: Option<u32>,
    pub(crate) ring: RingReceiver,
    pub(crate) key_refresh: Arc<KeyRefresh>,
    pub(crate) metrics: Arc<Metrics>,
    /// The keys that the SealedSecrets need.
    pub(crate) usage: Arc<KeyUsageIndex>,
    pub(crate) work: WorkLimits,
    /// The work queue of all watched namespaces, so that its limits hold for the process and namespaces take turns.
    pub(crate) queue: Arc<PriorityQueue>,
    pub(crate) diagnosis_limit: DiagnosisLimit,
    pub(crate) object_memory: ObjectMemory,
    pub(crate) template_budget: Budget,
    /// True if the CRD is an older version that prunes fields of our status; learnt from the first answer.
    pub(crate) crd_prunes_status: AtomicBool,
}

impl Context {
    /// Returns the prefixes of the names of key Secrets: the flag's, and that of the policy in force.
    pub(crate) fn key_prefixes(&self) -> Vec<String> {
        let policies = self.policies.borrow();
        let generation_config =
            policies.get(DEFAULT_POLICY_NAME).and_then(|policy| policy.spec.generate.as_ref());
        let of_policy =
            generation_config.and_then(|generation_config| generation_config.secret_prefix.clone());
        of_policy.into_iter().chain([self.key_prefix.clone()]).collect()
    }

    /// Returns a context for unit tests, whose API server answers every request with an error.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        use kube::client::Body;

        use crate::leadership::Leadership;

        let unavailable = tower::service_fn(async |_: http::Request<Body>| {
            Err::<http::Response<Body>, _>(std::io::Error::other("there is no API server"))
        });
        Self {
            client: Client::new(unavailable, "default"),
            namespace: "kube-system".to_owned(),
            key_prefix: "sealed-secrets-key".to_owned(),
            policies: watch::channel(Watched::Absent).1,
            v1_data: V1Data::Accepted,
            denied_types: BTreeSet::new(),
            update_status: true,
            max_retries: None,
            ring: watch::channel(None).1,
            key_refresh: Arc::default(),
            metrics: Arc::new(Metrics::new(false, &Leadership::unelected())),
            usage: Arc::new(KeyUsageIndex::new(true)),
            work: WorkLimits::new(),
            queue: Arc::default(),
            diagnosis_limit: DiagnosisLimit::default(),
            object_memory: ObjectMemory::of(None),
            template_budget: Budget::default(),
            crd_prunes_status: AtomicBool::new(false),
        }
    }
}
