//! The only writer of Secrets.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::unseal::Unsealed;
use sealed_secrets_crds::SealedSecret;

use super::desired::refuse_sealing_key;
use super::live;
use super::ownership::{MANAGER, Mode, relation, says_the_same, target};
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

/// What is known of a SealedSecret from before this attempt.
#[derive(Debug)]
pub(super) struct Before {
    /// It has opened as it is now: what is to be done is a repair.
    pub(super) has_opened: bool,
    /// It was tried before, in whatever form, so that its Secret may have been there.
    pub(super) is_known: bool,
    /// How the last success has left its Secret.
    pub(super) left_as: Option<Version>,
}

/// What to try next.
enum Step {
    Create,
    /// With the reason why it may not be created: quotas and webhooks are asked before anybody looks whether it exists.
    Update(Option<Failure>),
}

/// Makes the Secret of `sealed` what it opened to: creates it, or replaces what is there if that is ours. What exists as far as we
/// know is not offered as new, since a quota would count it.
///
/// Returns what was done, and the metadata that the Secret now has; `None` where nothing was done, because the SealedSecret is not
/// what was opened any more. Decided on the very object that is written: the PUT carries its uid and resourceVersion, and between
/// reading it and writing it the SealedSecret is looked at. So a Secret of a later generation was either there when it was read, which
/// the look shows, or has come since, and the PUT is a conflict: no content takes the place of a later one.
///
/// # Errors
/// When the existing Secret is not ours or the API server refuses.
pub(super) async fn apply(
    room: &Room,
    sealed: &SealedSecret,
    unsealed: Unsealed,
    before: Before,
) -> Result<Option<(Done, ObjectMeta)>, Failure> {
    let Unsealed { secret: desired, volatile } = unsealed;
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let secrets = Api::namespaced(room.context.client.clone(), &namespace);
    let repair = Mode::Repair { volatile };
    let wish = Wish { room, sealed, desired, repair, before, key: (namespace, name), secrets };
    let should_exist = room.versions.get(&wish.key).is_some() || wish.before.has_opened;
    let mut step = if should_exist { Step::Update(None) } else { Step::Create };
    for _ in 0..ATTEMPTS {
        let attempt = match &step {
            Step::Create => wish.create().await,
            Step::Update(_) => wish.update().await,
        };
        step = match (attempt, step) {
            (Ok(done), _) => return Ok(Some(done)),
            (Err(Attempt::Overtaken), _) => return Ok(None),
            (Err(Attempt::Failed(failure)), _) => return Err(failure),
            (Err(Attempt::Refused(error)), _) => wish.update_after(&error)?,
            (Err(Attempt::Changed), step) => step,
            (Err(Attempt::Absent), Step::Update(Some(refusal))) => return Err(refusal),
            (Err(Attempt::Absent), _) => Step::Create,
        };
    }
    Err(Failure::temporary("the Secret changed underneath each time it was to be written".to_owned()))
}

/// Why an attempt has not succeeded.
enum Attempt {
    /// There is no such Secret.
    Absent,
    /// Another write came first.
    Changed,
    /// It may not be created.
    Refused(kube::Error),
    /// The SealedSecret is not what was opened any more: the event of that queues it.
    Overtaken,
    Failed(Failure),
}

/// What is to become of one Secret.
struct Wish<'a> {
    room: &'a Room,
    sealed: &'a SealedSecret,
    desired: Secret,
    /// How it is repaired.
    repair: Mode,
    before: Before,
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

    /// Creates the Secret. The first one of a SealedSecret needs no look at that: it takes the place of none, and goes with its owner.
    async fn create(&self) -> Result<(Done, ObjectMeta), Attempt> {
        if self.before.is_known || self.desired.owner_references().is_empty() {
            self.look().await?;
        }
        let created = self.secrets.create(&written_by_us(), &self.desired).await.map_err(Attempt::Refused)?;
        Ok((Done::Created, created.metadata))
    }

    async fn update(&self) -> Result<(Done, ObjectMeta), Attempt> {
        let name = &self.key.1;
        let existing = self.secrets.get(name).await.map_err(|error| match code(&error) {
            Some(404) => Attempt::Absent,
            _ => Attempt::Failed(self.written(&self.desired, None).failure(&error)),
        })?;
        refuse_sealing_key(&existing, &self.room.context.namespace).map_err(Attempt::Failed)?;
        let relation = relation(&existing, self.sealed, self.was_ours(&existing));
        let target = |mode: &Mode| target(&existing, &self.desired, relation, mode);
        let mut mode = if self.before.has_opened { &self.repair } else { &Mode::Replace };
        let is_so =
            |target: &Option<Secret>| target.as_ref().is_some_and(|target| says_the_same(&existing, target));
        let mut wanted = target(mode);
        // A random value fits every generation, and may be of a later one than was opened.
        if self.has_random_values() || !is_so(&wanted) {
            let live = self.look().await?;
            if self.is_made_of(&existing.metadata, &live) {
                mode = &self.repair;
            }
            wanted = target(mode);
        }
        if is_so(&wanted) {
            return Ok((Done::Nothing, existing.metadata));
        }
        let wanted = wanted.ok_or_else(|| Attempt::Failed(Failure::NotOurs(name.clone())))?;
        let updated = self.secrets.replace(name, &written_by_us(), &wanted).await;
        let updated = updated.map_err(|error| match code(&error) {
            Some(409) => Attempt::Changed,
            _ => Attempt::Failed(self.written(&wanted, Some(&existing)).failure(&error)),
        })?;
        let (from, changed_by) = (Version::of(&existing.metadata), last_manager(&existing));
        Ok((Done::Updated { from, changed_by }, updated.metadata))
    }

    /// The metadata of the SealedSecret, which is still the one that was opened.
    async fn look(&self) -> Result<ObjectMeta, Attempt> {
        let live = live::look(self.room.context.client.clone(), self.sealed).await;
        live.map_err(Attempt::Failed)?.ok_or(Attempt::Overtaken)
    }

    /// Whether the Secret was made of what the SealedSecret says now, although this process does not know of it: by another replica,
    /// or before a restart. Then its random values are those of this generation.
    fn is_made_of(&self, existing: &ObjectMeta, live: &ObjectMeta) -> bool {
        let is_of_before = self.before.left_as.as_ref() == Some(&Version::of(existing));
        !is_of_before && live::was_written_since(MANAGER, existing, live)
    }

    fn has_random_values(&self) -> bool {
        matches!(&self.repair, Mode::Repair { volatile } if !volatile.is_empty())
    }

    /// Whether this process has seen the existing Secret controlled by the owner that it should have.
    fn was_ours(&self, existing: &Secret) -> bool {
        let (versions, secret) = (&self.room.versions, existing.uid().unwrap_or_default());
        let owners = self.desired.owner_references();
        owners.iter().any(|owner| versions.has_been_owned(&self.key, &secret, &owner.uid))
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
