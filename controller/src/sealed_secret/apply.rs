//! The only writer of Secrets.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::desired::refuse_sealing_key;
use super::ownership::{Relation, keeping, patched, relation, repaired, replaced, says_the_same};
use super::room::Room;
use super::versions::{Version, Versions};
use crate::error::Failure;

/// Our name in the managedFields of Secrets.
const MANAGER: &str = "sealed-secrets-controller";

/// A write that lost against another one is decided anew this often before the object has to wait.
const ATTEMPTS: usize = 5;

/// What an existing Secret is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The SealedSecret is new or has changed: labels and annotations are replaced too.
    Replace,
    /// It has opened before in this form: labels and annotations of others stay.
    Repair {
        /// Keys of items whose templates give another value each time: those of an existing Secret of ours stay.
        volatile: BTreeSet<String>,
    },
}

/// What had to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Created,
    Updated {
        /// What the Secret was before.
        from: Version,
        /// Whoever had changed it last, where that is recorded.
        changed_by: Option<String>,
    },
    Nothing,
}

/// Makes the Secret of `sealed` say what `desired` says: creates it, or replaces what is there if that is ours.
///
/// Returns what was done, and the metadata that the Secret now has. Decided on the very object that is written: the PUT
/// carries its uid and resourceVersion.
///
/// # Errors
/// When the existing Secret is not ours or the API server refuses.
pub(super) async fn apply(
    room: &Room,
    sealed: &SealedSecret,
    desired: Secret,
    mode: &Mode,
) -> Result<(Done, ObjectMeta), Failure> {
    let namespace = desired.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(room.context.client.clone(), &namespace);
    let mut attempt = 1;
    loop {
        match secrets.create(&written_by_us(), &desired).await {
            Ok(created) => return Ok((Done::Created, created.metadata)),
            Err(error) if is(&error, 409) => {}
            Err(error) => return Err(Failure::api(&error)),
        }
        match update(room, sealed, &desired, mode).await {
            Err(Attempt::Again(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(Attempt::Again(failure) | Attempt::Failed(failure)) => return Err(failure),
            Ok(done) => return Ok(done),
        }
    }
}

enum Attempt {
    /// The object changed or went away underneath.
    Again(Failure),
    Failed(Failure),
}

async fn update(
    room: &Room,
    sealed: &SealedSecret,
    desired: &Secret,
    mode: &Mode,
) -> Result<(Done, ObjectMeta), Attempt> {
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let secrets: Api<Secret> = Api::namespaced(room.context.client.clone(), &namespace);
    let existing = secrets.get(&name).await.map_err(|error| again_if(&error, 404))?;
    refuse_sealing_key(&existing, &room.context.namespace).map_err(Attempt::Failed)?;
    let was_ours = was_ours(&room.versions, &existing, desired);
    let target = match (relation(&existing, sealed, was_ours), mode) {
        (Relation::Ours, Mode::Repair { volatile }) => {
            keeping(&existing, volatile, repaired(&existing, desired.clone()))
        }
        (Relation::Ours, Mode::Replace) => replaced(&existing, desired.clone()),
        (Relation::Patched { owned }, _) => patched(&existing, desired.clone(), owned),
        (Relation::OursOutdated, _) if is_current(&room.context.client, sealed).await => {
            replaced(&existing, desired.clone())
        }
        // With skip-set-owner-references nothing marks the Secret as ours but its content.
        _ if says_the_same(&existing, desired) => {
            return Ok((Done::Nothing, existing.metadata));
        }
        (Relation::OursOutdated | Relation::Foreign, _) => {
            return Err(Attempt::Failed(Failure::NotOurs(name)));
        }
    };
    if says_the_same(&existing, &target) {
        return Ok((Done::Nothing, existing.metadata));
    }
    let updated = secrets.replace(&name, &written_by_us(), &target).await;
    let updated = updated.map_err(|error| again_if(&error, 409))?;
    let (from, changed_by) = (Version::of(&existing.metadata), last_manager(&existing));
    Ok((Done::Updated { from, changed_by }, updated.metadata))
}

/// Whether this process has seen the existing Secret controlled by the owner that it should have.
fn was_ours(versions: &Versions, existing: &Secret, desired: &Secret) -> bool {
    let key = (desired.namespace().unwrap_or_default(), desired.name_any());
    let secret = existing.uid().unwrap_or_default();
    desired.owner_references().iter().any(|owner| versions.has_been_owned(&key, &secret, &owner.uid))
}

fn written_by_us() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// Who else has changed the Secret last, in the words of its managedFields. Their times are whole seconds, so that our own
/// write may seem as late.
fn last_manager(secret: &Secret) -> Option<String> {
    let others = secret.managed_fields().iter().filter(|entry| entry.manager.as_deref() != Some(MANAGER));
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
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
