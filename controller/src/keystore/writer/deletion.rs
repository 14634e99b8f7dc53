//! Deletion of a key: the last check before its key Secret is deleted, which is irreversible. The plan decides before
//! (`decide_deletion` and `keep_enough` in `core::rotation::plan`).

use std::sync::Arc;

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::{Change, KeyRecord, RotationPolicy, plan};

use crate::api::client;
use crate::clock;
use crate::keystore::inputs::UsageInput;

/// Repeats the planning of a deletion, from the SealedSecrets that the API server has now.
pub(crate) struct DeletionCheck<'a> {
    usage: &'a UsageInput,
    ring: Arc<KeyRing>,
    policy: &'a RotationPolicy,
}

impl<'a> DeletionCheck<'a> {
    pub(crate) fn new(usage: &'a UsageInput, ring: Arc<KeyRing>, policy: &'a RotationPolicy) -> Self {
        Self { usage, ring, policy }
    }

    /// Verifies that the deletion is still planned with the SealedSecrets that the API server has now.
    ///
    /// # Errors
    /// The reason why the key Secret must be kept for now. A later turn plans the deletion again.
    pub(crate) async fn verify(&self, deletion: &Change, records: &[KeyRecord]) -> Result<(), String> {
        let usage = self.usage.report_now(&self.ring).await.map_err(|error| client::describe(&error))?;
        let plan = plan(self.policy, records, usage.as_ref(), clock::now());
        if plan.changes.contains(deletion) {
            return Ok(());
        }
        Err("the API server has a SealedSecret that was not yet decrypted with the other keys".to_owned())
    }
}
