//! The status of `SealingKeyPolicies`: the results of the policy in force; for the others, that they are not in force.

mod status;

use std::sync::Arc;

use kube::api::PostParams;
use kube::{Api, Client};
use sealed_secrets_crds::SealingKeyPolicy;
use tokio::sync::watch;

use crate::api::optional_crd_watch::Watched;
use crate::api::writer_pacing::WriterPacing;
use crate::clock;
use crate::keystore::KeysView;
use crate::usage::Usage;

/// Keeps the statuses up to date.
pub(crate) struct Reporter {
    api: Api<SealingKeyPolicy>,
    policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    keys: watch::Receiver<Option<Arc<KeysView>>>,
    usage: watch::Receiver<Usage>,
}

impl Reporter {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        policies: watch::Receiver<Watched<SealingKeyPolicy>>,
        keys: watch::Receiver<Option<Arc<KeysView>>>,
        usage: watch::Receiver<Usage>,
    ) -> Self {
        Self { api: Api::namespaced(client, namespace), policies, keys, usage }
    }

    /// Runs the loop. Never returns.
    pub(crate) async fn run(mut self) {
        let mut pacing = WriterPacing::new("the status of SealingKeyPolicies");
        loop {
            let written = self.turn().await;
            pacing.until_next_turn(written, &mut self.policies, &mut self.keys, &mut self.usage).await;
        }
    }

    /// Writes every status that differs from the desired one. Returns true if any was written.
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
            let updated = SealingKeyPolicy { status: Some(status), ..policy };
            match self.api.replace_status(&name, &PostParams::default(), &updated).await {
                Ok(_) => outcome = outcome.map(|_| true),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}
