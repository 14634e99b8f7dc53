//! Writes on key Secrets that exist: labels and annotations, and the deletion that a policy asks for.

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

use super::list::lister::Keys;
use super::{Blocker, DesiredStates, KeystoreError, Secrets};
use crate::api::client;
use crate::clock;
use deletion::DeletionCheck;

/// The outcome of the writes of one turn. One that is not made does not keep the others from being made.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Whether any was made.
    pub(crate) made: bool,
    /// Whether this turn has begun to fail, or ended to.
    pub(crate) error_changed: bool,
    /// The first failure that the next turn may not have.
    pub(crate) failed: Option<KeystoreError>,
    /// The first failure.
    error: Option<String>,
}

/// Changes and deletes key Secrets.
pub(crate) struct Writer {
    secrets: Secrets,
    /// The first failure of the last turn.
    error: Option<String>,
    /// Whether the right to change key Secrets is missing; logged once.
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

    /// Copies the desired states, and makes these changes if there was nothing to copy.
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

    /// Makes these changes on the very versions that were planned from; a Secret that has changed since is planned for again.
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
                    Err(why) => {
                        let namespace = &self.secrets.namespace;
                        tracing::info!("key Secret {namespace}/{} is not deleted yet: {why}", change.name);
                        continue;
                    }
                },
                step => self.replace(changed(secret.clone(), step, clock::now())).await,
            };
            if self.note(written, &change.name, writes) {
                tracing::info!(
                    "key Secret {}/{}: {}",
                    self.secrets.namespace,
                    change.name,
                    describe(change.step)
                );
            }
        }
    }

    /// Copies the states that people ask for on `SealingKeys` to the annotations of the key Secrets.
    async fn copy(&mut self, desired_states: &DesiredStates, keys: &Keys, writes: &mut Writes) {
        for (name, desired) in desired_states {
            let Some((secret, record)) = keys.get(name) else { continue };
            // One that was put back by hand forgets what was said before, first of all.
            if record.is_restored() || record.desired == *desired {
                continue;
            }
            // And what is compromised is dated first, so that to retire it does not take that back.
            if *desired == DesiredState::Retired && record.is_undated() {
                continue;
            }
            let written = self.replace(with_desired_state(secret.clone(), *desired)).await;
            if self.note(written, name, writes) {
                let namespace = &self.secrets.namespace;
                tracing::info!("key Secret {namespace}/{name}: its SealingKey says {}", state_name(*desired));
            }
        }
    }

    /// Notes what became of a write, and returns whether it was made. One that was not because the Secret has changed or gone is
    /// planned again with the next turn.
    fn note(&mut self, written: Result<(), kube::Error>, name: &str, writes: &mut Writes) -> bool {
        let cause = match written {
            Ok(()) => {
                self.read_only = false;
                writes.made = true;
                return true;
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return false,
            Err(cause) => cause,
        };
        let error = format!("{}/{name}: {}", self.secrets.namespace, client::in_words(&cause));
        match &cause {
            kube::Error::Api(status) if status.code == 403 => self.warn_forbidden(&status.message),
            // An admission policy or webhook protects it.
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => self.warn_refused(&error),
            _ => writes.failed = writes.failed.take().or(Some(self.secrets.error(cause))),
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
                "key Secrets cannot be updated, so none is activated, retired or deleted: {message}"
            );
        }
    }

    fn warn_refused(&self, error: &str) {
        if self.error.is_none() {
            tracing::warn!(
                "a key Secret may not be changed, and it is tried again every 30 seconds: {error}"
            );
        }
    }
}

fn describe(step: Step) -> &'static str {
    match step {
        Step::Activate => "its activation delay is over; it may be offered for sealing",
        Step::Retire => "retired, nothing needs it",
        Step::RemoveCompromised => "compromised, and past its end or needed by nothing; it decrypts no more",
        Step::Delete => "deleted, as the policy says",
        Step::Restore => "put back on the ring by hand; what was said of it before is void",
        Step::RecordRequest => "noted since when its state is wanted",
        Step::RecordRemoval => "noted since when it is off the ring",
        Step::RecordUnused => "noted that nothing needs it",
        Step::RecordUsed => "noted that something needs it, or that nobody knows",
    }
}

/// The word of a SealingKey's spec for this.
fn state_name(desired: DesiredState) -> &'static str {
    match desired {
        DesiredState::Active => "Active",
        DesiredState::Compromised { .. } => "Compromised",
        DesiredState::Retired => "Retired",
    }
}

/// The Secret with what a person wants of its key. Since when is noted by a later step; it stays if the state is the same. That
/// the key is compromised is void only when it is wanted active: to retire it takes back neither that nor its end.
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

/// Notes since when the state is wanted, and since when the key is compromised where the state says so.
fn date_state(annotations: &mut BTreeMap<String, String>, now: Timestamp) {
    let since = timestamp(annotations, STATE_SINCE_ANNOTATION).unwrap_or(now);
    annotations.insert(STATE_SINCE_ANNOTATION.to_owned(), since.to_string());
    let is_compromised = annotations.get(KEY_STATE_ANNOTATION).is_some_and(|state| state == "Compromised");
    if is_compromised && timestamp(annotations, COMPROMISED_SINCE_ANNOTATION).is_none() {
        annotations.insert(COMPROMISED_SINCE_ANNOTATION.to_owned(), since.to_string());
    }
}

/// Forgets what was wanted of a key.
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

/// The Secret after this step: labels and annotations only, all of one step in one write.
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
