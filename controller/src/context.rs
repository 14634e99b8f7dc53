//! What every part of the controller shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kube::Client;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::V1Data;
use tokio::sync::{Semaphore, watch};

use crate::backoff::Failures;
use crate::key_list::KeyList;
use crate::metrics::Metrics;
use crate::usage::Ledger;

/// The latest key ring; `None` until key Secrets were read for the first time.
pub(crate) type RingReceiver = watch::Receiver<Option<Arc<KeyRing>>>;

/// Shared by all workers.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// The controller's own namespace.
    pub(crate) namespace: String,
    pub(crate) key_prefix: String,
    pub(crate) v1_data: V1Data,
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
    /// One permit per processor: decryption must not crowd out everything else.
    pub(crate) decryption: Semaphore,
    /// The same for objects with templates.
    pub(crate) rendering: Semaphore,
    pub(crate) template_budget: Budget,
    /// Whether the CRD is an older one, which drops what the status is to remember; learnt from the first answer.
    pub(crate) status_forgets: AtomicBool,
}
