//! What the SealingKey of a key Secret should be: pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use sealed_secrets_core::rotation::{Blocked, KeyLabel, Wish};
use sealed_secrets_crds::{SealingKey, SealingKeySpec, SealingKeyState, SealingKeyStatus, SealingKeyUsage};

use crate::keystore::{KeyView, KeysView, told};
use crate::usage::Usage;

/// What is to be done about the SealingKey of a key.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Nothing,
    Create(Box<SealingKey>),
    Delete,
    /// Back to what the Secret says.
    Replace(Box<SealingKey>),
    Status(Box<SealingKey>),
}

/// What a person wants of the key and its Secret does not say yet; the keystore is to write it there.
pub(super) fn unheeded_wish(key: &KeyView, existing: &SealingKey) -> Option<Wish> {
    let wish = wish_of(&existing.spec);
    let is_new = is_changed_by_person(existing) && !same(wish, key.record.wish);
    // What is put back by hand forgets what was said before, first of all.
    (is_new && !key.record.is_restored() && !is_of_former_secret(existing, key)).then_some(wish)
}

/// What is to be done about the SealingKey of one key.
pub(super) fn step(
    view: &KeysView,
    key: &KeyView,
    existing: Option<&SealingKey>,
    usage: &Usage,
    namespace: &str,
) -> Step {
    let Some(existing) = existing else { return Step::Create(Box::new(created(key, namespace))) };
    if existing.metadata.deletion_timestamp.is_some() {
        return Step::Nothing;
    }
    if is_of_former_secret(existing, key) {
        return Step::Delete;
    }
    let is_heeded = unheeded_wish(key, existing).is_none();
    let mut put_back = existing.clone();
    put_back.metadata.owner_references = Some(vec![owner(key)]);
    if is_heeded && !same(wish_of(&existing.spec), key.record.wish) {
        put_back.spec = spec_of(key.record.wish);
    }
    if put_back != *existing {
        return Step::Replace(Box::new(put_back));
    }
    let before = existing.status.as_ref().and_then(|status| status.observed_generation);
    let heeded = if is_heeded { existing.metadata.generation } else { before };
    let status = SealingKeyStatus { observed_generation: heeded, ..status(view, key, existing, usage) };
    let told = SealingKey { status: Some(status), ..existing.clone() };
    if told == *existing { Step::Nothing } else { Step::Status(Box::new(told)) }
}

/// Whether a SealingKey whose key Secret is not there is ours to delete. One with an owner that we have not seen may belong to
/// a Secret that is newer than what we know; the garbage collector knows better.
pub(super) fn is_left_behind(existing: &SealingKey, seen: &BTreeSet<String>) -> bool {
    let owner = existing.owner_references().iter().find(|owner| owner.kind == "Secret");
    owner.is_none_or(|owner| seen.contains(&owner.uid))
}

fn created(key: &KeyView, namespace: &str) -> SealingKey {
    let mut created = SealingKey::new(&key.record.name, spec_of(key.record.wish));
    created.metadata = ObjectMeta {
        namespace: Some(namespace.to_owned()),
        owner_references: Some(vec![owner(key)]),
        ..created.metadata
    };
    created
}

/// The cluster's garbage collector deletes the SealingKey with its Secret. Nobody reconciles the one from the other, so the
/// Secret is no controller.
fn owner(key: &KeyView) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        name: key.record.name.clone(),
        uid: key.uid.clone(),
        ..OwnerReference::default()
    }
}

fn is_of_former_secret(existing: &SealingKey, key: &KeyView) -> bool {
    let is_secret = |owner: &&OwnerReference| owner.kind == "Secret" && owner.name == key.record.name;
    existing.owner_references().iter().find(is_secret).is_some_and(|owner| owner.uid != key.uid)
}

/// Whether somebody has changed the spec since it was heeded. That of a new object is ours.
fn is_changed_by_person(existing: &SealingKey) -> bool {
    let heeded = existing.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(1);
    existing.metadata.generation.unwrap_or(1) != heeded
}

fn wish_of(spec: &SealingKeySpec) -> Wish {
    match spec.state {
        SealingKeyState::Active => Wish::Active,
        SealingKeyState::Retired => Wish::Retired,
        SealingKeyState::Compromised => {
            Wish::Compromised { decrypt_until: spec.decrypt_until.as_ref().map(|time| time.0) }
        }
    }
}

fn spec_of(wish: Wish) -> SealingKeySpec {
    let (state, until) = match wish {
        Wish::Active => (SealingKeyState::Active, None),
        Wish::Retired => (SealingKeyState::Retired, None),
        Wish::Compromised { decrypt_until } => (SealingKeyState::Compromised, decrypt_until),
    };
    SealingKeySpec { state, decrypt_until: until.map(Time) }
}

/// Whether they are the same as far as a SealingKey can say, which knows whole seconds.
fn same(one: Wish, other: Wish) -> bool {
    let seconds = |until: Option<Timestamp>| until.map(Timestamp::as_second);
    match (one, other) {
        (Wish::Compromised { decrypt_until: one }, Wish::Compromised { decrypt_until: other }) => {
            seconds(one) == seconds(other)
        }
        _ => one == other,
    }
}

fn status(view: &KeysView, key: &KeyView, existing: &SealingKey, usage: &Usage) -> SealingKeyStatus {
    let facts = key.record.facts.as_ref();
    let certificate = key.certificate.as_ref();
    let before = existing.status.as_ref().and_then(|status| status.usage);
    let counted = usage.complete.then(|| {
        let used = facts.and_then(|facts| usage.by_key.get(&facts.fingerprint)).copied().unwrap_or_default();
        SealingKeyUsage { objects: used.objects, items: used.items }
    });
    SealingKeyStatus {
        observed_generation: None,
        phase: Some(key.phase),
        fingerprint: facts.map(|facts| facts.fingerprint.to_string()),
        certificate: certificate.map(|certificate| certificate.pem().to_owned()),
        not_before: certificate.map(|certificate| Time(certificate.not_before())),
        not_after: certificate.map(|certificate| Time(certificate.not_after())),
        // What was counted before a restart is better than nothing.
        usage: counted.or(before),
        message: message(view, key),
    }
}

/// What is wrong with the key, or in the way of what is wanted of it.
fn message(view: &KeysView, key: &KeyView) -> Option<String> {
    let name = &key.record.name;
    let concerns = |blocked: &&Blocked| match blocked {
        Blocked::RetiresWhileLeading(other)
        | Blocked::RetiresWhileUsed(other)
        | Blocked::ViewNotWhole(other)
        | Blocked::Pin(other) => other == name,
        Blocked::ExternalKeys(_) | Blocked::Retention => false,
    };
    let off_ring = match key.record.label {
        KeyLabel::Other => Some(
            "its Secret has the key label with another value than active, so the key is not used".to_owned(),
        ),
        KeyLabel::Active | KeyLabel::Pending | KeyLabel::Compromised | KeyLabel::Retired => None,
    };
    let read_only = (view.read_only && key.record.wish != Wish::Active)
        .then(|| "key Secrets may not be changed; grant the controller update on them".to_owned());
    let blocked = view.blocked.iter().filter(concerns).map(told);
    let of_twin = compromised_twin(view, key).map(|twin| {
        format!("Secret {twin} holds the same key and says that it is compromised, so this one is not offered; say the same of this one")
    });
    let all: Vec<String> = key
        .problem
        .clone()
        .into_iter()
        .chain(off_ring)
        .chain(of_twin)
        .chain(read_only)
        .chain(blocked)
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Name of another Secret with the same key that calls it compromised, which this one does not.
fn compromised_twin<'a>(view: &'a KeysView, key: &KeyView) -> Option<&'a str> {
    let fingerprint = |key: &KeyView| Some(key.record.facts.as_ref()?.fingerprint.clone());
    let own = fingerprint(key).filter(|_| !key.record.is_compromised());
    let is_twin =
        |other: &&KeyView| other.record.is_compromised() && own.is_some() && fingerprint(other) == own;
    view.keys.iter().find(is_twin).map(|twin| twin.record.name.as_str())
}

#[cfg(test)]
mod tests;
