//! The only writer of Secrets.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::desired::refuse_sealing_key;
use super::ownership::{Mode, Relation, relation, says_the_same, target};
use super::room::Room;
use super::versions::{Version, Versions};
use crate::error::Failure;

/// Our name in the managedFields of Secrets.
const MANAGER: &str = "sealed-secrets-controller";

/// Writes that are tried, each decided anew, before the object has to wait: another one may win every time.
const ATTEMPTS: usize = 8;

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

/// What to try next.
enum Step {
    Create,
    /// With the reason why it may not be created: quotas and webhooks are asked before anybody looks whether it exists.
    Update(Option<Failure>),
}

/// Makes the Secret of `sealed` say what `desired` says: creates it, or replaces what is there if that is ours. What exists as
/// far as we know is not offered as new, since a quota would count it.
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
    let key = (desired.namespace().unwrap_or_default(), desired.name_any());
    let secrets: Api<Secret> = Api::namespaced(room.context.client.clone(), &key.0);
    let should_exist = room.versions.get(&key).is_some() || matches!(mode, Mode::Repair { .. });
    let mut step = if should_exist { Step::Update(None) } else { Step::Create };
    for _ in 0..ATTEMPTS {
        step = match step {
            Step::Create => match secrets.create(&written_by_us(), &desired).await {
                Ok(created) => return Ok((Done::Created, created.metadata)),
                Err(error) => update_after(&error)?,
            },
            Step::Update(refusal) => match update(room, sealed, &desired, mode).await {
                Ok(done) => return Ok(done),
                Err(Attempt::Changed) => Step::Update(refusal),
                Err(Attempt::Absent) => refusal.map_or(Ok(Step::Create), Err)?,
                Err(Attempt::Failed(failure)) => return Err(failure),
            },
        };
    }
    Err(Failure::temporary("the Secret changed underneath each time it was to be written".to_owned()))
}

/// Goes on after a Secret could not be created, where it may exist.
fn update_after(error: &kube::Error) -> Result<Step, Failure> {
    match code(error) {
        Some(409) => Ok(Step::Update(None)),
        Some(400 | 403 | 422) => Ok(Step::Update(Some(Failure::api(error)))),
        _ => Err(Failure::api(error)),
    }
}

enum Attempt {
    /// There is no such Secret.
    Absent,
    /// Another write came first.
    Changed,
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
    let existing = secrets.get(&name).await.map_err(|error| unless(&error, 404, Attempt::Absent))?;
    refuse_sealing_key(&existing, &room.context.namespace).map_err(Attempt::Failed)?;
    let relation = match relation(&existing, sealed, was_ours(&room.versions, &existing, desired)) {
        Relation::OursOutdated if !is_current(&room.context.client, sealed).await? => Relation::Foreign,
        relation => relation,
    };
    let Some(target) = target(&existing, desired, relation, mode) else {
        return Err(Attempt::Failed(Failure::NotOurs(name)));
    };
    if says_the_same(&existing, &target) {
        return Ok((Done::Nothing, existing.metadata));
    }
    let updated = secrets.replace(&name, &written_by_us(), &target).await;
    let updated = updated.map_err(|error| unless(&error, 409, Attempt::Changed))?;
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
async fn is_current(client: &Client, sealed: &SealedSecret) -> Result<bool, Attempt> {
    let namespace = sealed.namespace().unwrap_or_default();
    let api: Api<SealedSecret> = Api::namespaced(client.clone(), &namespace);
    match api.get_metadata(&sealed.name_any()).await {
        Ok(current) => Ok(current.metadata.uid == sealed.metadata.uid),
        Err(error) if code(&error) == Some(404) => Ok(false),
        Err(error) => Err(Attempt::Failed(Failure::api(&error))),
    }
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn unless(error: &kube::Error, expected: u16, attempt: Attempt) -> Attempt {
    if code(error) == Some(expected) { attempt } else { Attempt::Failed(Failure::api(error)) }
}
