//! Events about keys, computed from the difference between two views.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use sealed_secrets_core::rotation::is_successor_name;
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;

use super::view::{Blocker, KeyView, KeysView, ObservedPolicy, describe};
use crate::api::event;

/// Longest time between the start of validity of a generated certificate and the creation of its Secret. For a restored
/// key the difference is larger.
const CREATION_LAG: SignedDuration = SignedDuration::from_mins(10);
/// Age below which a key was generated and not merely relabelled. Its event is also written at the start: the process
/// that generated it may have ended before it could write one. Events live longer than this, so none is written twice.
const YOUNG: SignedDuration = SignedDuration::from_mins(30);

/// An event about a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyEvent {
    /// Name and UID of the key Secret concerned.
    key: Option<(String, String)>,
    warns: bool,
    reason: &'static str,
    message: String,
}

/// Returns the events about the differences between `before` and `after`, at the time `now`. Without `before`, all
/// keys count as known.
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
    all.extend(expired(before, after));
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

/// Returns the event about a key that was not in the last view. All replicas write the same event, whichever of them
/// has generated the key.
fn added(before: Option<&KeysView>, key: &KeyView, prefix: &str, now: Timestamp) -> Option<KeyEvent> {
    if before.is_some_and(|before| earlier(before, key).is_some()) {
        return None;
    }
    let name = &key.record.name;
    let is_ours = is_successor_name(prefix, name) && was_just_made(key, now);
    let (reason, what) = if is_ours { ("KeyGenerated", "generated") } else { ("KeyImported", "added") };
    let message = format!("key {name} was {what}{}", fingerprint(key));
    let event = KeyEvent { key: Some(name_and_uid(key)), warns: false, reason, message };
    (before.is_some() || is_ours).then_some(event)
}

/// Returns true if the Secret is young, and its certificate not older.
fn was_just_made(key: &KeyView, now: Timestamp) -> bool {
    let Some(facts) = &key.record.facts else { return false };
    let created = key.record.created;
    now.duration_since(created).abs() < YOUNG && created.duration_since(facts.not_before).abs() < CREATION_LAG
}

/// Returns the same key in the previous view.
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
            format!("key {name} is retired and no longer decrypts; label its Secret active to restore it"),
        ));
    }
    if new_phase && before.is_some() && key.phase == SealingKeyPhase::Compromised {
        let message = format!(
            "key {name} is compromised. Re-encryption is not sufficient: change the values that were ever sealed with it"
        );
        all.push(one(true, "KeyCompromised", message));
    }
    all
}

/// Returns the defect of a key that should decrypt.
fn defect(key: &KeyView) -> Option<&str> {
    key.problem.as_deref().filter(|_| key.record.is_meant_to_decrypt())
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
    let message = format!("key {} is now the primary key{instead}", primary.record.name);
    Some(KeyEvent { key: Some(name_and_uid(primary)), warns: false, reason: "KeyActivated", message })
}

/// Returns the event that the certificate of the primary key has expired; also at the start, because users cannot seal.
fn expired(before: Option<&KeysView>, after: &KeysView) -> Option<KeyEvent> {
    let known = before.and_then(KeysView::describe_expiry);
    let message = after.describe_expiry().filter(|message| known.as_ref() != Some(message))?;
    Some(KeyEvent { key: after.primary().map(name_and_uid), warns: true, reason: "KeyExpired", message })
}

fn deleted(key: &KeyView) -> KeyEvent {
    let name = &key.record.name;
    KeyEvent {
        key: Some(name_and_uid(key)),
        warns: true,
        reason: "KeyDeleted",
        message: format!(
            "the Secret of key {name} was deleted or has lost its label; items sealed with this key decrypt only if the Secret is restored or labelled again"
        ),
    }
}

/// Returns the messages about blocked rotation.
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
    pending: PendingEvents,
}

/// Events that are not yet written. A follower has them until they are old: then the leader has written them.
#[derive(Debug)]
struct PendingEvents {
    events: Vec<(Instant, KeyEvent)>,
    retention: Duration,
}

impl PendingEvents {
    fn new(retention: Duration) -> Self {
        Self { events: Vec::new(), retention }
    }

    fn add(&mut self, events: Vec<KeyEvent>, now: Instant) {
        self.forget_old(now);
        self.events.extend(events.into_iter().map(|event| (now, event)));
    }

    fn take(&mut self, now: Instant) -> Vec<KeyEvent> {
        self.forget_old(now);
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    fn forget_old(&mut self, now: Instant) {
        self.events.retain(|(since, _)| now.duration_since(*since) <= self.retention);
    }
}

impl EventWriter {
    pub(crate) fn new(client: Client, namespace: &str, retention: Duration) -> Self {
        Self { client, namespace: namespace.to_owned(), pending: PendingEvents::new(retention) }
    }

    /// Adds events, to be written by [`Self::write`].
    pub(crate) fn add(&mut self, events: Vec<KeyEvent>, now: Instant) {
        self.pending.add(events, now);
    }

    /// Writes the events. They refer to the policy in force or, if there is none, to the key Secret. One that a former
    /// leader has written is not written again: its name is computed.
    pub(crate) async fn write(&mut self, view: &KeysView, now: Instant) {
        for event in self.pending.take(now) {
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
