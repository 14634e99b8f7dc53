//! The SealedSecret as the API server has it at this moment: what a watch has shown may be behind that.

use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::seen::version_of;
use crate::error::Failure;

/// Whether the API server still has the very object that was opened, in the same generation and scope, and not being deleted.
///
/// # Errors
/// When the API server does not tell.
pub(super) async fn is_current(client: Client, opened: &SealedSecret) -> Result<bool, Failure> {
    let api: Api<SealedSecret> = Api::namespaced(client, &opened.namespace().unwrap_or_default());
    match api.get_metadata(&opened.name_any()).await {
        Ok(live) => Ok(version_of(&live.metadata) == version_of(&opened.metadata)),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(false),
        Err(error) => Err(Failure::api(&error)),
    }
}
