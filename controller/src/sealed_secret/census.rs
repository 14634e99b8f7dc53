//! The SealedSecrets that the API server has at this moment, beside those that the watch has shown.

use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::Need;
use sealed_secrets_crds::SealedSecret;

use super::seen::version_of;
use crate::usage::Ledger;

/// Objects in an answer, of which there is no more than their metadata.
const PAGE: u32 = 500;

/// What the SealedSecrets of the whole cluster need. `None` where this process has not itself tried every one that the API
/// server has, as it is there: the watch may be behind, or silent, and nobody has noticed yet.
///
/// # Errors
/// When they cannot be listed.
pub(crate) async fn need_now(
    client: &Client,
    ledger: &Ledger,
    ring: &KeyRing,
) -> Result<Option<Need>, kube::Error> {
    let objects: Api<SealedSecret> = Api::all(client.clone());
    let is_tried = |object: &PartialObjectMeta<SealedSecret>| {
        let (metadata, key) = (&object.metadata, (object.namespace().unwrap_or_default(), object.name_any()));
        metadata.deletion_timestamp.is_some() || ledger.tally(&key, version_of(metadata)).is_some()
    };
    let mut which = ListParams::default().limit(PAGE);
    loop {
        let page = objects.list_metadata(&which).await?;
        if !page.items.iter().all(is_tried) {
            return Ok(None);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => which = which.continue_token(&token),
            None => return Ok(ledger.need(ring)),
        }
    }
}
