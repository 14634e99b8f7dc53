//! A last look before a key Secret is deleted, which cannot be taken back.

use sealed_secrets_core::rotation::{Change, plan};

use super::Keystore;
use super::load::Keys;
use crate::sealed_secret::need_now;
use crate::{client, clock};

impl Keystore {
    /// Whether this deletion is planned also from what the API server has of SealedSecrets at this very moment. If not, it is
    /// planned again with a later turn.
    pub(super) async fn is_planned_still(&self, deletion: &Change, keys: &Keys) -> bool {
        let ring = self.publisher.borrow().clone().unwrap_or_default();
        let why = match need_now(&self.client, &self.ledger, &ring).await {
            Ok(need) => {
                let plan = plan(&self.rules.rotation, &keys.records(), need.as_ref(), clock::now());
                if plan.changes.contains(deletion) {
                    return true;
                }
                "the API server has a SealedSecret that was not opened with the other keys yet".to_owned()
            }
            Err(error) => client::in_words(&error),
        };
        tracing::info!("key Secret {}/{} is not deleted yet: {why}", self.namespace, deletion.name);
        false
    }
}
