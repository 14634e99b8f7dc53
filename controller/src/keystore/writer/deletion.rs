//! The last check before a key Secret is deleted, which cannot be taken back.

use std::sync::Arc;

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Change, KeyRecord, RotationPolicy, plan};

use crate::api::client;
use crate::clock;
use crate::keystore::inputs::UsageInput;

/// Plans a deletion again, from the SealedSecrets that the API server has at this very moment.
pub(crate) struct DeletionCheck<'a> {
    usage: &'a UsageInput,
    ring: Arc<KeyRing>,
    policy: &'a RotationPolicy,
}

impl<'a> DeletionCheck<'a> {
    pub(crate) fn new(usage: &'a UsageInput, ring: Arc<KeyRing>, policy: &'a RotationPolicy) -> Self {
        Self { usage, ring, policy }
    }

    /// # Errors
    /// Why the key Secret must stay for now. A later turn plans the deletion again.
    pub(crate) async fn verify(&self, deletion: &Change, records: &[KeyRecord]) -> Result<(), String> {
        let usage = self.usage.report_now(&self.ring).await.map_err(|error| client::in_words(&error))?;
        let plan = plan(self.policy, records, usage.as_ref(), clock::now());
        if plan.changes.contains(deletion) {
            return Ok(());
        }
        Err("the API server has a SealedSecret that was not opened with the other keys yet".to_owned())
    }
}
