//! Compares the SealedSecrets that the API server has now with those that the watch has delivered.

use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::UsageReport;
use sealed_secrets_crds::SealedSecret;

use super::KeyUsageIndex;
use crate::sealed_secret::object::{ObjectKey, ObjectVersion};

/// Objects per page, which contains only their metadata.
const PAGE: u32 = 500;

/// Returns the key usage of the SealedSecrets of the whole cluster. `None` if this process itself has not tried every
/// one that the API server has, in its current version: the watch may be behind, or stalled without an error.
///
/// # Errors
/// If they cannot be listed.
pub(crate) async fn usage_report_now(
    client: &Client,
    key_usage: &KeyUsageIndex,
    ring: &KeyRing,
) -> Result<Option<UsageReport>, kube::Error> {
    let objects: Api<SealedSecret> = Api::all(client.clone());
    let is_tried = |object: &PartialObjectMeta<SealedSecret>| {
        let (metadata, key) = (&object.metadata, ObjectKey::of(object));
        metadata.deletion_timestamp.is_some() || key_usage.get(&key, ObjectVersion::of(metadata)).is_some()
    };
    let mut which = ListParams::default().limit(PAGE);
    loop {
        let page = objects.list_metadata(&which).await?;
        if !page.items.iter().all(is_tried) {
            return Ok(None);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => which = which.continue_token(&token),
            None => return Ok(key_usage.report(ring)),
        }
    }
}
