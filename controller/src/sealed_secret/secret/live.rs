//! The live SealedSecret: the watch may be behind the API server.

use kube::api::{GetParams, Request};
use kube::{Client, Resource as _, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::sent::SentMetadata;
use crate::error::Failure;
use crate::sealed_secret::object::ObjectVersion;

/// Returns true if the API server still has the very object that was decrypted, in the same generation and scope, and not being
/// deleted.
///
/// # Errors
/// When the API server does not answer.
pub(crate) async fn is_current(client: Client, sealed: &SealedSecret) -> Result<bool, Failure> {
    let path = SealedSecret::url_path(&(), sealed.namespace().as_deref());
    let request = Request::new(path).get_metadata(&sealed.name_any(), &GetParams::default());
    let request = request.map_err(|error| Failure::temporary(error.to_string()))?;
    match client.request::<SentMetadata>(request).await {
        Ok(live) => Ok(ObjectVersion::of(&live.metadata) == ObjectVersion::of(&sealed.metadata)),
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(false),
        Err(error) => Err(Failure::api(&error)),
    }
}
