//! The only writer of Secrets.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::ownership::{Relation, keeping, patched, relation, replaced, says_the_same};
use crate::error::Failure;

/// A write that lost against another one is decided anew this often before the object has to wait.
const ATTEMPTS: usize = 5;

/// Makes the Secret of `sealed` say what `desired` says: creates it, or replaces what is there if that is ours.
///
/// Decided on the very object that is written: the PUT carries its uid and resourceVersion.
///
/// Of an existing Secret of ours the items named in `kept` stay as they are.
///
/// # Errors
/// When the existing Secret is not ours or the API server refuses.
pub(super) async fn apply(
    client: &Client,
    sealed: &SealedSecret,
    desired: Secret,
    kept: &BTreeSet<String>,
) -> Result<(), Failure> {
    let namespace = desired.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    for attempt in 1.. {
        match secrets.create(&PostParams::default(), &desired).await {
            Ok(_) => return Ok(()),
            Err(error) if is(&error, 409) => {}
            Err(error) => return Err(Failure::api(&error)),
        }
        match update(client, &secrets, sealed, &desired, kept).await {
            Err(Attempt::Again(_)) if attempt < ATTEMPTS => {}
            Err(Attempt::Again(failure) | Attempt::Failed(failure)) => return Err(failure),
            Ok(()) => return Ok(()),
        }
    }
    Ok(())
}

enum Attempt {
    /// The object changed or went away underneath.
    Again(Failure),
    Failed(Failure),
}

async fn update(
    client: &Client,
    secrets: &Api<Secret>,
    sealed: &SealedSecret,
    desired: &Secret,
    kept: &BTreeSet<String>,
) -> Result<(), Attempt> {
    let name = desired.name_any();
    let existing = secrets.get(&name).await.map_err(|error| again_if(&error, 404))?;
    let target = match relation(&existing, sealed) {
        Relation::Ours => keeping(&existing, kept, replaced(&existing, desired.clone())),
        Relation::Patched { owned } => patched(&existing, desired.clone(), owned),
        Relation::OursOutdated if is_current(client, sealed).await => replaced(&existing, desired.clone()),
        // With skip-set-owner-references nothing marks the Secret as ours but its content.
        _ if says_the_same(&existing, desired) => return Ok(()),
        Relation::OursOutdated | Relation::Foreign => return Err(Attempt::Failed(Failure::NotOurs(name))),
    };
    if says_the_same(&existing, &target) {
        return Ok(());
    }
    secrets.replace(&name, &PostParams::default(), &target).await.map_err(|error| again_if(&error, 409))?;
    Ok(())
}

/// Whether the API server still knows this very SealedSecret, and not only our cache.
async fn is_current(client: &Client, sealed: &SealedSecret) -> bool {
    let namespace = sealed.namespace().unwrap_or_default();
    let api: Api<SealedSecret> = Api::namespaced(client.clone(), &namespace);
    let current = api.get_metadata(&sealed.name_any()).await;
    current.is_ok_and(|current| current.metadata.uid == sealed.metadata.uid)
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn again_if(error: &kube::Error, code: u16) -> Attempt {
    let failure = Failure::api(error);
    if is(error, code) { Attempt::Again(failure) } else { Attempt::Failed(failure) }
}
