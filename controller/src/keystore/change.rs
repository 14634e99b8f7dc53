//! Writes on key Secrets that exist: labels and annotations, and the deletion that a policy asks for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams, Preconditions};
use sealed_secrets_core::rotation::{Change, Step, Wish};
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    SEALING_KEY_ACTIVE, SEALING_KEY_COMPROMISED, SEALING_KEY_LABEL, SEALING_KEY_RETIRED,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};

use super::load::Keys;
use super::{Keystore, KeystoreError};
use crate::{client, clock};

/// What became of the writes of one turn. One that is not made does not keep the others from being made.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Whether any was made.
    pub(super) made: bool,
    /// The first that was not, and why.
    pub(super) undone: Option<String>,
    /// The first that may be made by the next turn.
    pub(super) failed: Option<KeystoreError>,
}

impl Keystore {
    /// Makes these changes on the very versions that were planned from; a Secret that has changed since is planned for again.
    pub(super) async fn apply(&mut self, changes: &[Change], keys: &Keys, writes: &mut Writes) {
        for change in changes {
            let Some(secret) = keys.secret(&change.name) else { continue };
            let written = match change.step {
                Step::Delete if !self.is_planned_still(change, keys).await => continue,
                Step::Delete => self.delete(secret).await,
                step => self.replace(changed(secret.clone(), step, clock::now())).await,
            };
            if self.note(written, &change.name, writes) {
                tracing::info!("key Secret {}/{}: {}", self.namespace, change.name, told(change.step));
            }
        }
    }

    /// Copies what people say on `SealingKeys` to the annotations of the key Secrets, before anything else is made of it.
    pub(super) async fn copy_wishes(&mut self, keys: &Keys, writes: &mut Writes) {
        let wishes = self.wishes.borrow().clone();
        for (name, wish) in wishes {
            let Some((secret, record)) = keys.secret(&name).zip(keys.record(&name)) else { continue };
            // One that was put back by hand forgets what was said before, first of all.
            if record.is_restored() || record.wish == wish {
                continue;
            }
            // And what is compromised is dated first, so that to retire it does not take that back.
            if wish == Wish::Retired && record.is_undated() {
                continue;
            }
            let written = self.replace(wished(secret.clone(), wish)).await;
            if self.note(written, &name, writes) {
                tracing::info!("key Secret {}/{name}: its SealingKey says {}", self.namespace, word(wish));
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
        let words = format!("{}/{name}: {}", self.namespace, client::in_words(&cause));
        match &cause {
            kube::Error::Api(status) if status.code == 403 => self.tell_forbidden(&status.message),
            // An admission policy or webhook protects it.
            kube::Error::Api(status) if matches!(status.code, 400 | 422) => self.tell_refused(&words),
            _ => writes.failed = writes.failed.take().or(Some(self.api_error(cause))),
        }
        writes.undone = writes.undone.take().or(Some(words));
        false
    }

    async fn replace(&self, secret: Secret) -> Result<(), kube::Error> {
        self.secrets.replace(&secret.name_any(), &PostParams::default(), &secret).await.map(drop)
    }

    async fn delete(&self, secret: &Secret) -> Result<(), kube::Error> {
        let preconditions = Preconditions { uid: secret.uid(), resource_version: secret.resource_version() };
        let parameters = DeleteParams::default().preconditions(preconditions);
        self.secrets.delete(&secret.name_any(), &parameters).await.map(drop)
    }

    fn tell_forbidden(&mut self, message: &str) {
        if !std::mem::replace(&mut self.read_only, true) {
            tracing::warn!(
                "key Secrets cannot be updated, so none is activated, retired or deleted: {message}"
            );
        }
    }

    fn tell_refused(&self, words: &str) {
        if self.undone.is_none() {
            tracing::warn!(
                "a key Secret may not be changed, and it is tried again every 30 seconds: {words}"
            );
        }
    }
}

fn told(step: Step) -> &'static str {
    match step {
        Step::Activate => "its activation delay is over; it may be offered for sealing",
        Step::Retire => "retired, nothing needs it",
        Step::Expel => "compromised, and past its end or needed by nothing; it decrypts no more",
        Step::Delete => "deleted, as the policy says",
        Step::Restore => "put back on the ring by hand; what was said of it before is void",
        Step::NoteWish => "noted since when its state is wanted",
        Step::NoteOffRing => "noted since when it is off the ring",
        Step::NoteUnused => "noted that nothing needs it",
        Step::NoteUsed => "noted that something needs it, or that nobody knows",
    }
}

/// The word of a SealingKey's spec for this.
fn word(wish: Wish) -> &'static str {
    match wish {
        Wish::Active => "Active",
        Wish::Compromised { .. } => "Compromised",
        Wish::Retired => "Retired",
    }
}

/// The Secret with what a person wants of its key. Since when is noted by a later step; it stays if the state is the same. That
/// the key is compromised is void only when it is wanted active: to retire it takes back neither that nor its end.
fn wished(mut secret: Secret, wish: Wish) -> Secret {
    let annotations = secret.annotations_mut();
    if wish == Wish::Active {
        forget_wish(annotations);
        return secret;
    }
    if let Wish::Compromised { decrypt_until } = wish {
        annotations.remove(DECRYPT_UNTIL_ANNOTATION);
        let end = decrypt_until.map(|until| (DECRYPT_UNTIL_ANNOTATION.to_owned(), until.to_string()));
        annotations.extend(end);
    }
    let before = annotations.insert(KEY_STATE_ANNOTATION.to_owned(), word(wish).to_owned());
    if before.as_deref() != Some(word(wish)) {
        annotations.remove(STATE_SINCE_ANNOTATION);
    }
    secret
}

/// Notes since when the state is wanted, and since when the key is compromised where the state says so.
fn date_wish(annotations: &mut BTreeMap<String, String>, now: Timestamp) {
    let since = moment(annotations, STATE_SINCE_ANNOTATION).unwrap_or(now);
    annotations.insert(STATE_SINCE_ANNOTATION.to_owned(), since.to_string());
    let is_compromised = annotations.get(KEY_STATE_ANNOTATION).is_some_and(|state| state == "Compromised");
    if is_compromised && moment(annotations, COMPROMISED_SINCE_ANNOTATION).is_none() {
        annotations.insert(COMPROMISED_SINCE_ANNOTATION.to_owned(), since.to_string());
    }
}

/// Forgets what was wanted of a key.
fn forget_wish(annotations: &mut BTreeMap<String, String>) {
    for name in
        [KEY_STATE_ANNOTATION, STATE_SINCE_ANNOTATION, COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION]
    {
        annotations.remove(name);
    }
}

fn moment(annotations: &BTreeMap<String, String>, name: &str) -> Option<Timestamp> {
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
        Step::Expel => {
            note(annotations, OFF_RING_SINCE_ANNOTATION);
            label(&mut secret, SEALING_KEY_COMPROMISED);
        }
        Step::Restore => {
            forget_wish(annotations);
            annotations.remove(OFF_RING_SINCE_ANNOTATION);
            annotations.remove(UNUSED_SINCE_ANNOTATION);
        }
        Step::NoteWish => date_wish(annotations, now),
        Step::NoteOffRing => note(annotations, OFF_RING_SINCE_ANNOTATION),
        Step::NoteUnused => note(annotations, UNUSED_SINCE_ANNOTATION),
        Step::NoteUsed => drop(annotations.remove(UNUSED_SINCE_ANNOTATION)),
        Step::Delete => {}
    }
    secret
}

#[cfg(test)]
mod tests;
