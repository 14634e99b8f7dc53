//! The live SealedSecret: the watch may be behind the API server.

use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use crate::error::Failure;
use crate::sealed_secret::object::ObjectVersion;

/// Returns true if the API server still has the very object that was decrypted, in the same generation and scope, and not being
/// deleted.
///
/// # Errors
/// When the API server does not answer.
pub(crate) async fn is_current(client: Client, sealed: &SealedSecret) -> Result<bool, Failure> {
    let api: Api<SealedSecret> = Api::namespaced(client, &sealed.namespace().unwrap_or_default());
    match api.get_metadata(&sealed.name_any()).await {
        Ok(live) => Ok(ObjectVersion::of(&live.metadata) == ObjectVersion::of(&sealed.metadata)),
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(false),
        Err(error) => Err(Failure::api(&error)),
    }
}
