//! The status of `SealingKeyPolicies`: what the one in force has led to, and that the others are not in force.

mod status;

use std::sync::Arc;

use kube::api::PostParams;
use kube::{Api, Client};
use sealed_secrets_crds::SealingKeyPolicy;
use tokio::sync::watch;

use crate::clock;
use crate::keystore::KeysView;
use crate::own_kinds::Followed;
use crate::usage::Usage;
use crate::writing::Pauses;

/// Keeps the statuses true.
pub(crate) struct Reporter {
    api: Api<SealingKeyPolicy>,
    policies: watch::Receiver<Followed<SealingKeyPolicy>>,
    keys: watch::Receiver<Option<Arc<KeysView>>>,
    usage: watch::Receiver<Usage>,
}

impl Reporter {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        policies: watch::Receiver<Followed<SealingKeyPolicy>>,
        keys: watch::Receiver<Option<Arc<KeysView>>>,
        usage: watch::Receiver<Usage>,
    ) -> Self {
        Self { api: Api::namespaced(client, namespace), policies, keys, usage }
    }

    /// Never ends.
    pub(crate) async fn run(mut self) {
        let mut pauses = Pauses::new("the status of SealingKeyPolicies");
        loop {
            let written = self.turn().await;
            pauses.until_next_turn(written, &mut self.policies, &mut self.keys, &mut self.usage).await;
        }
    }

    /// Writes every status that does not say what there is to say. Returns whether any was written.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let policies = self.policies.borrow_and_update().clone();
        let view = self.keys.borrow_and_update().clone();
        let Some((view, policies)) = view.zip(policies.present()) else { return Ok(false) };
        let usage = self.usage.borrow().clone();
        let mut outcome = Ok(false);
        for (name, policy) in policies {
            let Some(status) = status::desired(&policy, &view, &usage, clock::now()) else { continue };
            if policy.status.as_ref() == Some(&status) {
                continue;
            }
            let told = SealingKeyPolicy { status: Some(status), ..policy };
            match self.api.replace_status(&name, &PostParams::default(), &told).await {
                Ok(_) => outcome = outcome.map(|_| true),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}
