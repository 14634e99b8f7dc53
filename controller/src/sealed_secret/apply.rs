//! The only writer of Secrets.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::desired::refuse_sealing_key;
use super::ownership::{MANAGER, Mode, Relation, relation, says_the_same, target};
use super::refusal::Written;
use super::room::Room;
use super::versions::{Key, Version};
use crate::error::Failure;

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
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let secrets = Api::namespaced(room.context.client.clone(), &namespace);
    let wish = Wish { room, sealed, desired, mode, key: (namespace, name), secrets };
    let should_exist = room.versions.get(&wish.key).is_some() || matches!(mode, Mode::Repair { .. });
    let mut step = if should_exist { Step::Update(None) } else { Step::Create };
    for _ in 0..ATTEMPTS {
        step = match step {
            Step::Create => match wish.secrets.create(&written_by_us(), &wish.desired).await {
                Ok(created) => return Ok((Done::Created, created.metadata)),
                Err(error) => wish.update_after(&error)?,
            },
            Step::Update(refusal) => match wish.update().await {
                Ok(done) => return Ok(done),
                Err(Attempt::Changed) => Step::Update(refusal),
                Err(Attempt::Absent) => refusal.map_or(Ok(Step::Create), Err)?,
                Err(Attempt::Failed(failure)) => return Err(failure),
            },
        };
    }
    Err(Failure::temporary("the Secret changed underneath each time it was to be written".to_owned()))
}

enum Attempt {
    /// There is no such Secret.
    Absent,
    /// Another write came first.
    Changed,
    Failed(Failure),
}

/// What is to become of one Secret.
struct Wish<'a> {
    room: &'a Room,
    sealed: &'a SealedSecret,
    desired: Secret,
    mode: &'a Mode,
    /// Namespace and name of the Secret.
    key: Key,
    /// Those of its namespace.
    secrets: Api<Secret>,
}

impl Wish<'_> {
    /// Goes on after the Secret could not be created, where it may exist.
    fn update_after(&self, error: &kube::Error) -> Result<Step, Failure> {
        let refused = || self.written(&self.desired, None).failure(error);
        match code(error) {
            Some(409) => Ok(Step::Update(None)),
            Some(400 | 403 | 422) => Ok(Step::Update(Some(refused()))),
            _ => Err(refused()),
        }
    }

    fn written<'a>(&'a self, secret: &'a Secret, existing: Option<&'a Secret>) -> Written<'a> {
        Written { sealed: self.sealed, secret, existing }
    }

    async fn update(&self) -> Result<(Done, ObjectMeta), Attempt> {
        let name = &self.key.1;
        let existing = self.secrets.get(name).await.map_err(|error| match code(&error) {
            Some(404) => Attempt::Absent,
            _ => Attempt::Failed(self.written(&self.desired, None).failure(&error)),
        })?;
        refuse_sealing_key(&existing, &self.room.context.namespace).map_err(Attempt::Failed)?;
        let relation = match relation(&existing, self.sealed, self.was_ours(&existing)) {
            Relation::OursOutdated | Relation::Restored if !self.is_current().await? => Relation::Foreign,
            relation => relation,
        };
        let Some(target) = target(&existing, &self.desired, relation, self.mode) else {
            return Err(Attempt::Failed(Failure::NotOurs(name.clone())));
        };
        if says_the_same(&existing, &target) {
            return Ok((Done::Nothing, existing.metadata));
        }
        let updated = self.secrets.replace(name, &written_by_us(), &target).await;
        let updated = updated.map_err(|error| match code(&error) {
            Some(409) => Attempt::Changed,
            _ => Attempt::Failed(self.written(&target, Some(&existing)).failure(&error)),
        })?;
        let (from, changed_by) = (Version::of(&existing.metadata), last_manager(&existing));
        Ok((Done::Updated { from, changed_by }, updated.metadata))
    }

    /// Whether this process has seen the existing Secret controlled by the owner that it should have.
    fn was_ours(&self, existing: &Secret) -> bool {
        let (versions, secret) = (&self.room.versions, existing.uid().unwrap_or_default());
        let owners = self.desired.owner_references();
        owners.iter().any(|owner| versions.has_been_owned(&self.key, &secret, &owner.uid))
    }

    /// Whether the API server still knows this very SealedSecret, and not only our cache.
    async fn is_current(&self) -> Result<bool, Attempt> {
        let client = self.room.context.client.clone();
        let api: Api<SealedSecret> = Api::namespaced(client, &self.sealed.namespace().unwrap_or_default());
        match api.get_metadata(&self.sealed.name_any()).await {
            Ok(current) => Ok(current.metadata.uid == self.sealed.metadata.uid),
            Err(error) if code(&error) == Some(404) => Ok(false),
            Err(error) => Err(Attempt::Failed(Failure::api(&error))),
        }
    }
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

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
