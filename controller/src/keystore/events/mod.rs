//! What there is to tell of keys: the differences between two views, as events.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use sealed_secrets_core::rotation::is_successor_name;
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;

use super::view::{Blocker, KeyView, KeysView, ObservedPolicy, describe};
use crate::api::event;

/// The certificate of a key that the controller has made begins within this time of the creation of its Secret. One that was
/// put back is further off.
const CREATION_LAG: SignedDuration = SignedDuration::from_mins(10);
/// A key that is younger was made and not labelled again, and is told of at the start, too: the process that made it may have
/// ended before it could. Events live longer, so what was told is not told twice.
const YOUNG: SignedDuration = SignedDuration::from_mins(30);

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyEvent {
    /// Name and UID of the key Secret that it is about.
    key: Option<(String, String)>,
    warns: bool,
    reason: &'static str,
    message: String,
}

/// What is new in `now`, at this `moment`. Where there is nothing `before`, all keys were there already.
pub(crate) fn events_between(
    before: Option<&KeysView>,
    after: &KeysView,
    prefix: &str,
    now: Timestamp,
) -> Vec<KeyEvent> {
    let added = after.keys.iter().filter_map(|key| added(before, key, prefix, now));
    let mut all: Vec<KeyEvent> = added.chain(after.keys.iter().flat_map(|key| of_key(before, key))).collect();
    all.extend(before.and_then(|before| activated(before, after)));
    let gone = before.into_iter().flat_map(|before| &before.keys);
    all.extend(gone.filter(|key| after.keys.iter().all(|other| other.uid != key.uid)).map(deleted));
    let known = before.map(blockers).unwrap_or_default();
    let new = blockers(after).into_iter().filter(|message| !known.contains(message));
    all.extend(new.map(|message| KeyEvent {
        key: after.primary().map(name_and_uid),
        warns: true,
        reason: "RotationBlocked",
        message,
    }));
    all
}

fn name_and_uid(key: &KeyView) -> (String, String) {
    (key.record.name.clone(), key.uid.clone())
}

/// What is to be told of a key that was not there before. All replicas tell the same, whichever has made it.
fn added(before: Option<&KeysView>, key: &KeyView, prefix: &str, now: Timestamp) -> Option<KeyEvent> {
    if before.is_some_and(|before| earlier(before, key).is_some()) {
        return None;
    }
    let name = &key.record.name;
    let is_ours = is_successor_name(prefix, name) && was_just_made(key, now);
    let (reason, what) = if is_ours { ("KeyGenerated", "made") } else { ("KeyImported", "added") };
    let message = format!("key {name} was {what}{}", fingerprint(key));
    let event = KeyEvent { key: Some(name_and_uid(key)), warns: false, reason, message };
    (before.is_some() || is_ours).then_some(event)
}

/// Whether its Secret is young, and its certificate not older.
fn was_just_made(key: &KeyView, now: Timestamp) -> bool {
    let Some(facts) = &key.record.facts else { return false };
    let created = key.record.created;
    now.duration_since(created).abs() < YOUNG && created.duration_since(facts.not_before).abs() < CREATION_LAG
}

/// The same key as it was before.
fn earlier<'a>(before: &'a KeysView, key: &KeyView) -> Option<&'a KeyView> {
    before.keys.iter().find(|other| other.uid == key.uid)
}

fn of_key(before: Option<&KeysView>, key: &KeyView) -> Vec<KeyEvent> {
    let name = &key.record.name;
    let earlier = before.and_then(|before| earlier(before, key));
    let new_phase = earlier.is_none_or(|earlier| earlier.phase != key.phase);
    let one = |warns, reason, message| KeyEvent { key: Some(name_and_uid(key)), warns, reason, message };
    let mut all = Vec::new();
    let known = earlier.and_then(defect);
    if let Some(defect) = defect(key).filter(|defect| known != Some(defect)) {
        all.push(one(true, "KeyUnreadable", format!("key {name}: {defect}")));
    }
    if new_phase && before.is_some() && key.phase == SealingKeyPhase::Retired {
        all.push(one(
            false,
            "KeyRetired",
            format!("key {name} is off the ring; label its Secret active to put it back"),
        ));
    }
    if new_phase && before.is_some() && key.phase == SealingKeyPhase::Compromised {
        let message = format!(
            "somebody else may have key {name}. Re-encryption does not undo that: change the values that were ever sealed to it"
        );
        all.push(one(true, "KeyCompromised", message));
    }
    all
}

/// What is wrong with a key that is meant to open.
fn defect(key: &KeyView) -> Option<&str> {
    key.problem.as_deref().filter(|_| key.record.is_meant_to_open())
}

fn fingerprint(key: &KeyView) -> String {
    key.record.facts.as_ref().map(|facts| format!(", fingerprint {}", facts.fingerprint)).unwrap_or_default()
}

fn activated(before: &KeysView, after: &KeysView) -> Option<KeyEvent> {
    let (primary, former) = (after.primary()?, before.primary());
    if former.is_some_and(|former| former.uid == primary.uid) {
        return None;
    }
    let instead = former.map(|former| format!(" instead of {}", former.record.name)).unwrap_or_default();
    let message = format!("key {} is offered for sealing{instead}", primary.record.name);
    Some(KeyEvent { key: Some(name_and_uid(primary)), warns: false, reason: "KeyActivated", message })
}

fn deleted(key: &KeyView) -> KeyEvent {
    let name = &key.record.name;
    KeyEvent {
        key: Some(name_and_uid(key)),
        warns: true,
        reason: "KeyDeleted",
        message: format!(
            "the Secret of key {name} was deleted or has lost its label; what was sealed to the key opens only if it is restored or labelled again"
        ),
    }
}

/// What is in the way, in words.
fn blockers(view: &KeysView) -> Vec<String> {
    let skew = match &view.blocker {
        Some(blocker @ Blocker::ClockSkew(_)) => Some(blocker.describe()),
        Some(Blocker::Failed { .. } | Blocker::WriteFailed(_)) | None => None,
    };
    let malformed = view.observed_policy.as_ref().and_then(ObservedPolicy::describe_request);
    view.blocked.iter().map(describe).chain(skew).chain(malformed).collect()
}

/// Writes events about keys.
pub(crate) struct EventWriter {
    client: Client,
    namespace: String,
}

impl EventWriter {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Writes the events, about the policy in force or, where there is none, about the key Secret.
    pub(crate) async fn write(&self, events: Vec<KeyEvent>, view: &KeysView) {
        for event in events {
            let about = match (&view.observed_policy, &event.key) {
                (Some(policy), _) => self.reference(
                    "sealedsecrets.rs/v1alpha1",
                    "SealingKeyPolicy",
                    DEFAULT_POLICY_NAME,
                    &policy.uid,
                ),
                (None, Some((name, uid))) => self.reference("v1", "Secret", name, uid),
                (None, None) => continue,
            };
            let kind = if event.warns { "Warning" } else { "Normal" };
            event::write_once(&self.client, about, kind, event.reason, &event.message).await;
        }
    }

    fn reference(&self, api_version: &str, kind: &str, name: &str, uid: &str) -> ObjectReference {
        ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }
    }
}

#[cfg(test)]
mod tests;
