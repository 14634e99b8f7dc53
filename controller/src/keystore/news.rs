//! What there is to tell of keys: the differences between two views, as events.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use sealed_secrets_core::rotation::is_successor_name;
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;

use super::Keystore;
use super::view::{Heeded, Hindrance, KeyView, KeysView, told};
use crate::event;

/// The certificate of a key that the controller has made begins within this time of the creation of its Secret. One that was
/// put back is further off.
const MAKING: SignedDuration = SignedDuration::from_mins(10);
/// A key that is younger was made and not labelled again, and is told of at the start, too: the process that made it may have
/// ended before it could. Events live longer, so what was told is not told twice.
const YOUNG: SignedDuration = SignedDuration::from_mins(30);

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    /// Name and UID of the key Secret that it is about.
    key: Option<(String, String)>,
    warns: bool,
    reason: &'static str,
    message: String,
}

/// What is new in `now`, at this `moment`. Where there is nothing `before`, all keys were there already.
pub(super) fn news(before: Option<&KeysView>, now: &KeysView, prefix: &str, moment: Timestamp) -> Vec<News> {
    let added = now.keys.iter().filter_map(|key| added(before, key, prefix, moment));
    let mut all: Vec<News> = added.chain(now.keys.iter().flat_map(|key| of_key(before, key))).collect();
    all.extend(before.and_then(|before| activated(before, now)));
    let gone = before.into_iter().flat_map(|before| &before.keys);
    all.extend(gone.filter(|key| now.keys.iter().all(|other| other.uid != key.uid)).map(deleted));
    all.extend(expired(before, now));
    let known = before.map(hindrances).unwrap_or_default();
    let new = hindrances(now).into_iter().filter(|message| !known.contains(message));
    all.extend(new.map(|message| News {
        key: now.primary().map(name_and_uid),
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
fn added(before: Option<&KeysView>, key: &KeyView, prefix: &str, moment: Timestamp) -> Option<News> {
    if before.is_some_and(|before| earlier(before, key).is_some()) {
        return None;
    }
    let name = &key.record.name;
    let is_ours = is_successor_name(prefix, name) && was_just_made(key, moment);
    let (reason, what) = if is_ours { ("KeyGenerated", "made") } else { ("KeyImported", "added") };
    let message = format!("key {name} was {what}{}", fingerprint(key));
    let news = News { key: Some(name_and_uid(key)), warns: false, reason, message };
    (before.is_some() || is_ours).then_some(news)
}

/// Whether its Secret is young, and its certificate not older.
fn was_just_made(key: &KeyView, moment: Timestamp) -> bool {
    let Some(facts) = &key.record.facts else { return false };
    let created = key.record.created;
    moment.duration_since(created).abs() < YOUNG && created.duration_since(facts.not_before).abs() < MAKING
}

/// The same key as it was before.
fn earlier<'a>(before: &'a KeysView, key: &KeyView) -> Option<&'a KeyView> {
    before.keys.iter().find(|other| other.uid == key.uid)
}

fn of_key(before: Option<&KeysView>, key: &KeyView) -> Vec<News> {
    let name = &key.record.name;
    let earlier = before.and_then(|before| earlier(before, key));
    let new_phase = earlier.is_none_or(|earlier| earlier.phase != key.phase);
    let one = |warns, reason, message| News { key: Some(name_and_uid(key)), warns, reason, message };
    let mut all = Vec::new();
    let told = earlier.and_then(defect);
    if let Some(defect) = defect(key).filter(|defect| told != Some(defect)) {
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

fn activated(before: &KeysView, now: &KeysView) -> Option<News> {
    let (primary, former) = (now.primary()?, before.primary());
    if former.is_some_and(|former| former.uid == primary.uid) {
        return None;
    }
    let instead = former.map(|former| format!(" instead of {}", former.record.name)).unwrap_or_default();
    let message = format!("key {} is offered for sealing{instead}", primary.record.name);
    Some(News { key: Some(name_and_uid(primary)), warns: false, reason: "KeyActivated", message })
}

/// Also at the start: nobody can seal, whoever was told before.
fn expired(before: Option<&KeysView>, now: &KeysView) -> Option<News> {
    let message =
        now.told_of_end().filter(|told| before.and_then(KeysView::told_of_end).as_ref() != Some(told))?;
    Some(News { key: now.primary().map(name_and_uid), warns: true, reason: "KeyExpired", message })
}

fn deleted(key: &KeyView) -> News {
    let name = &key.record.name;
    News {
        key: Some(name_and_uid(key)),
        warns: true,
        reason: "KeyDeleted",
        message: format!(
            "the Secret of key {name} was deleted or has lost its label; what was sealed to the key opens only if it is restored or labelled again"
        ),
    }
}

/// What is in the way, in words.
fn hindrances(view: &KeysView) -> Vec<String> {
    let skew = match &view.hindrance {
        Some(hindrance @ Hindrance::ClockSkew(_)) => Some(hindrance.told()),
        Some(Hindrance::Failed { .. } | Hindrance::Undone(_)) | None => None,
    };
    let malformed = view.heeded.as_ref().and_then(Heeded::told_of_request);
    view.blocked.iter().map(told).chain(skew).chain(malformed).collect()
}

impl Keystore {
    /// Writes the events, about the policy in force or, where there is none, about the key Secret.
    pub(super) async fn tell(&self, news: Vec<News>, view: &KeysView) {
        for one in news {
            let about = match (&view.heeded, &one.key) {
                (Some(heeded), _) => self.reference(
                    "sealedsecrets.rs/v1alpha1",
                    "SealingKeyPolicy",
                    DEFAULT_POLICY_NAME,
                    &heeded.uid,
                ),
                (None, Some((name, uid))) => self.reference("v1", "Secret", name, uid),
                (None, None) => continue,
            };
            let kind = if one.warns { "Warning" } else { "Normal" };
            event::write_once(&self.client, about, kind, one.reason, &one.message).await;
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
