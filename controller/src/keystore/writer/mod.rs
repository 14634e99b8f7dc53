//! Writes to existing key Secrets: labels and annotations, and the deletion that a policy requests.

pub(crate) mod deletion;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams, Preconditions};
use sealed_secrets_core::rotation::{Change, DesiredState, Step};
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    SEALING_KEY_ACTIVE, SEALING_KEY_COMPROMISED, SEALING_KEY_LABEL, SEALING_KEY_RETIRED,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};

use super::error::KeystoreError;
use super::inputs::DesiredStates;
use super::list::lister::Keys;
use super::secrets::Secrets;
use super::view::Blocker;
use crate::api::client;
use crate::clock;
use deletion::DeletionCheck;

/// The outcome of the writes of one turn. A failed write does not prevent the others.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// True if any write succeeded.
    pub(crate) made: bool,
    /// True if writes have started or stopped failing in this turn.
    pub(crate) error_changed: bool,
    /// The first failure that delays the next turn.
    pub(crate) failed: Option<KeystoreError>,
    /// The first failure.
    error: Option<String>,
}

/// Changes and deletes key Secrets.
pub(crate) struct Writer {
    secrets: Secrets,
    /// The first failure of the last turn.
    error: Option<String>,
    /// True if the permission to change key Secrets is missing; logged once.
    read_only: bool,
}

impl Writer {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, error: None, read_only: false }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn blocker(&self) -> Option<Blocker> {
        self.error.clone().map(Blocker::WriteFailed)
    }

    /// Copies the desired states and, if there was nothing to copy, makes these changes.
    pub(crate) async fn write<'a>(
        &mut self,
        desired_states: &DesiredStates,
        changes: impl Iterator<Item = &'a Change>,
        keys: &Keys,
        deletions: &DeletionCheck<'_>,
    ) -> Writes {
        let mut writes = Writes::default();
        self.copy(desired_states, keys, &mut writes).await;
        if !writes.made {
            self.apply(changes, keys, deletions, &mut writes).await;
        }
        writes.error_changed = self.error.is_some() != writes.error.is_some();
        let still_unsolved = self.error.take().filter(|_| writes.made);
        self.error = writes.error.take().or(still_unsolved);
        writes
    }

    /// Makes these changes, with the resourceVersions of the plan as a precondition; a Secret that has changed since is
    /// planned again.
    async fn apply<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        keys: &Keys,
        deletions: &DeletionCheck<'_>,
        writes: &mut Writes,
    ) {
        for change in changes {
            let Some((secret, _)) = keys.get(&change.name) else { continue };
            let written = match change.step {
                Step::Delete => match deletions.verify(change, keys.records()).await {
                    Ok(()) => self.delete(secret).await,
                    Err(cause) => {
                        let (namespace, name) = (&self.secrets.namespace, &change.name);
                        tracing::info!(namespace, name, "the key Secret is not deleted yet: {cause}");
                        continue;
                    }
                },
                step => self.replace(changed(secret.clone(), step, clock::now())).await,
            };
            if self.note(written, &change.name, writes) {
                let (namespace, name) = (&self.secrets.namespace, &change.name);
                tracing::info!(namespace, name, "key Secret changed: {}", describe(change.step));
            }
        }
    }

    /// Copies the desired states of `SealingKeys` to the annotations of the key Secrets.
    async fn copy(&mut self, desired_states: &DesiredStates, keys: &Keys, writes: &mut Writes) {
        for (name, desired) in desired_states {
            let Some((secret, record)) = keys.get(name) else { continue };
            // For a restored key, the former annotations must be removed first.
            if record.is_restored() || record.desired == *desired {
                continue;
            }
            // A compromise must be dated first, so that retiring the key does not revoke it.
            if *desired == DesiredState::Retired && record.is_undated() {
                continue;
            }
            let written = self.replace(with_desired_state(secret.clone(), *desired)).await;
            if self.note(written, name, writes) {
                let namespace = &self.secrets.namespace;
                let state = state_name(*desired);
                tracing::info!(namespace, name, "the SealingKey requests the state {state}");
            }
        }
    }

    /// Records the outcome of a write, and returns true if it succeeded. After a conflict, or if the Secret does not
    /// exist, the next turn plans again.
    fn note(&mut self, written: Result<(), kube::Error>, name: &str, writes: &mut Writes) -> bool {
        let cause = match written {
            Ok(()) => {
                self.read_only = false;
                writes.made = true;
                return true;
            }
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => return false,
            Err(cause) => cause,
        };
        let lacks_permission =
            matches!(&cause, kube::Error::Api(status) if client::is_permission_missing(status));
        // An admission policy or webhook denies the change.
        let is_denied = matches!(&cause, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422));
        let failure = self.secrets.write_error(name, cause);
        let error = failure.to_string();
        if lacks_permission {
            self.warn_forbidden(&error);
        } else if is_denied {
            self.warn_refused(&error);
        } else {
            writes.failed = writes.failed.take().or(Some(failure));
        }
        writes.error = writes.error.take().or(Some(error));
        false
    }

    async fn replace(&self, secret: Secret) -> Result<(), kube::Error> {
        self.secrets.api.replace(&secret.name_any(), &PostParams::default(), &secret).await.map(drop)
    }

    async fn delete(&self, secret: &Secret) -> Result<(), kube::Error> {
        let preconditions = Preconditions { uid: secret.uid(), resource_version: secret.resource_version() };
        let parameters = DeleteParams::default().preconditions(preconditions);
        self.secrets.api.delete(&secret.name_any(), &parameters).await.map(drop)
    }

    fn warn_forbidden(&mut self, message: &str) {
        if !std::mem::replace(&mut self.read_only, true) {
            tracing::warn!(
                "the permission to update key Secrets is missing, so none is activated, retired or deleted: {message}"
            );
        }
    }

    fn warn_refused(&self, error: &str) {
        if self.error.is_none() {
            tracing::warn!("a change of a key Secret was refused, retrying every 30 seconds: {error}");
        }
    }
}

fn describe(step: Step) -> &'static str {
    match step {
        Step::Activate => "its activation delay has passed, so it can become the primary key",
        Step::Retire => "retired, because no SealedSecret needs it",
        Step::RemoveCompromised => {
            "compromised, and past decryptUntil or no longer needed, so it no longer decrypts"
        }
        Step::Delete => "deleted, as the policy requires",
        Step::Restore => "restored by hand, so its former desired state is removed",
        Step::RecordRequest => "recorded the time of its desired state",
        Step::RecordRemoval => "recorded the time of its removal from the ring",
        Step::RecordUnused => "recorded that no SealedSecret needs it",
        Step::RecordUsed => "recorded that it is needed, or may be needed",
    }
}

/// Returns the value of a SealingKey's `spec.state`.
fn state_name(desired: DesiredState) -> &'static str {
    match desired {
        DesiredState::Active => "Active",
        DesiredState::Compromised { .. } => "Compromised",
        DesiredState::Retired => "Retired",
    }
}

/// Returns the Secret with the desired state of its key. A later step dates the state; the date is kept if the state is
/// unchanged. The compromise of a key is revoked only by the state Active: retiring it removes neither the compromise
/// nor its end.
fn with_desired_state(mut secret: Secret, desired: DesiredState) -> Secret {
    let annotations = secret.annotations_mut();
    if desired == DesiredState::Active {
        forget_state(annotations);
        return secret;
    }
    if let DesiredState::Compromised { decrypt_until } = desired {
        annotations.remove(DECRYPT_UNTIL_ANNOTATION);
        let end = decrypt_until.map(|until| (DECRYPT_UNTIL_ANNOTATION.to_owned(), until.to_string()));
        annotations.extend(end);
    }
    let before = annotations.insert(KEY_STATE_ANNOTATION.to_owned(), state_name(desired).to_owned());
    if before.as_deref() != Some(state_name(desired)) {
        annotations.remove(STATE_SINCE_ANNOTATION);
    }
    secret
}

/// Dates the desired state, and the compromise if that is the state.
fn date_state(annotations: &mut BTreeMap<String, String>, now: Timestamp) {
    let since = timestamp(annotations, STATE_SINCE_ANNOTATION).unwrap_or(now);
    annotations.insert(STATE_SINCE_ANNOTATION.to_owned(), since.to_string());
    let is_compromised = annotations.get(KEY_STATE_ANNOTATION).is_some_and(|state| state == "Compromised");
    if is_compromised && timestamp(annotations, COMPROMISED_SINCE_ANNOTATION).is_none() {
        annotations.insert(COMPROMISED_SINCE_ANNOTATION.to_owned(), since.to_string());
    }
}

/// Removes the desired state of a key.
fn forget_state(annotations: &mut BTreeMap<String, String>) {
    for name in
        [KEY_STATE_ANNOTATION, STATE_SINCE_ANNOTATION, COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION]
    {
        annotations.remove(name);
    }
}

fn timestamp(annotations: &BTreeMap<String, String>, name: &str) -> Option<Timestamp> {
    annotations.get(name)?.parse().ok()
}

/// Returns the Secret after this step. Each step changes labels and annotations only, in one write.
fn changed(mut secret: Secret, step: Step, now: Timestamp) -> Secret {
    let label = |secret: &mut Secret, value: &str| {
        secret.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), value.to_owned());
    };
    let annotations = secret.annotations_mut();
    let note = |annotations: &mut BTreeMap<String, String>, name: &str| {
        annotations.insert(name.to_owned(), now.to_string());
    };
    match step {
        Step::Activate => label(&mut secret, SEALING_KEY_ACTIVE),
        Step::Retire => {
            note(annotations, OFF_RING_SINCE_ANNOTATION);
            label(&mut secret, SEALING_KEY_RETIRED);
        }
        Step::RemoveCompromised => {
            note(annotations, OFF_RING_SINCE_ANNOTATION);
            label(&mut secret, SEALING_KEY_COMPROMISED);
        }
        Step::Restore => {
            forget_state(annotations);
            annotations.remove(OFF_RING_SINCE_ANNOTATION);
            annotations.remove(UNUSED_SINCE_ANNOTATION);
        }
        Step::RecordRequest => date_state(annotations, now),
        Step::RecordRemoval => note(annotations, OFF_RING_SINCE_ANNOTATION),
        Step::RecordUnused => note(annotations, UNUSED_SINCE_ANNOTATION),
        Step::RecordUsed => drop(annotations.remove(UNUSED_SINCE_ANNOTATION)),
        Step::Delete => {}
    }
    secret
}

#[cfg(test)]
mod tests;
