//! Computes the next step for the SealingKey of a key Secret. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use sealed_secrets_core::rotation::{Blocked, DesiredState, KeyLabel};
use sealed_secrets_crds::{SealingKey, SealingKeySpec, SealingKeyState, SealingKeyStatus, SealingKeyUsage};

use crate::keystore::{KeyView, KeysView, describe};
use crate::usage::Usage;

/// A step for the SealingKey of a key.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Nothing,
    Create(Box<SealingKey>),
    Delete,
    /// Reverts it to the state of the Secret.
    Replace(Box<SealingKey>),
    Status(Box<SealingKey>),
}

/// Returns the state that a user has requested and that the Secret does not have yet; the keystore writes it there.
pub(super) fn requested_state(key: &KeyView, existing: &SealingKey) -> Option<DesiredState> {
    let desired = state_of(&existing.spec);
    let is_new = is_changed_by_user(existing) && !same(desired, key.record.desired);
    // For a restored key, the former annotations must be removed first.
    (is_new && !key.record.is_restored() && !is_of_former_secret(existing, key)).then_some(desired)
}

/// Returns the next step for the SealingKey of one key.
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
    let is_observed = requested_state(key, existing).is_none();
    let mut put_back = existing.clone();
    put_back.metadata.owner_references = Some(vec![owner(key)]);
    if is_observed && !same(state_of(&existing.spec), key.record.desired) {
        put_back.spec = spec_of(key.record.desired);
    }
    if put_back != *existing {
        return Step::Replace(Box::new(put_back));
    }
    let before = existing.status.as_ref().and_then(|status| status.observed_generation);
    let observed = if is_observed { existing.metadata.generation } else { before };
    let status = SealingKeyStatus { observed_generation: observed, ..status(view, key, existing, usage) };
    let updated = SealingKey { status: Some(status), ..existing.clone() };
    if updated == *existing { Step::Nothing } else { Step::Status(Box::new(updated)) }
}

/// Returns true if we must delete a SealingKey whose key Secret does not exist. An owner that we have not seen may be a
/// Secret that is newer than our list; that case is left to the garbage collector.
pub(super) fn is_orphaned(existing: &SealingKey, seen: &BTreeSet<String>) -> bool {
    let owner = existing.owner_references().iter().find(|owner| owner.kind == "Secret");
    owner.is_none_or(|owner| seen.contains(&owner.uid))
}

fn created(key: &KeyView, namespace: &str) -> SealingKey {
    let mut created = SealingKey::new(&key.record.name, spec_of(key.record.desired));
    created.metadata = ObjectMeta {
        namespace: Some(namespace.to_owned()),
        owner_references: Some(vec![owner(key)]),
        ..created.metadata
    };
    created
}

/// Returns the owner reference, by which the garbage collector deletes the SealingKey with its Secret. The Secret is
/// not its controller, because neither is reconciled from the other.
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

/// Returns true if a user has changed the spec after the observed generation. The spec of a new object is ours.
fn is_changed_by_user(existing: &SealingKey) -> bool {
    let observed = existing.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(1);
    existing.metadata.generation.unwrap_or(1) != observed
}

fn state_of(spec: &SealingKeySpec) -> DesiredState {
    match spec.state {
        SealingKeyState::Active => DesiredState::Active,
        SealingKeyState::Retired => DesiredState::Retired,
        SealingKeyState::Compromised => {
            DesiredState::Compromised { decrypt_until: spec.decrypt_until.as_ref().map(|time| time.0) }
        }
    }
}

fn spec_of(desired: DesiredState) -> SealingKeySpec {
    let (state, until) = match desired {
        DesiredState::Active => (SealingKeyState::Active, None),
        DesiredState::Retired => (SealingKeyState::Retired, None),
        DesiredState::Compromised { decrypt_until } => (SealingKeyState::Compromised, decrypt_until),
    };
    SealingKeySpec { state, decrypt_until: until.map(Time) }
}

/// Returns true if the states are equal at the precision of a SealingKey, which is whole seconds.
fn same(one: DesiredState, other: DesiredState) -> bool {
    let seconds = |until: Option<Timestamp>| until.map(Timestamp::as_second);
    match (one, other) {
        (
            DesiredState::Compromised { decrypt_until: one },
            DesiredState::Compromised { decrypt_until: other },
        ) => seconds(one) == seconds(other),
        _ => one == other,
    }
}

fn status(view: &KeysView, key: &KeyView, existing: &SealingKey, usage: &Usage) -> SealingKeyStatus {
    let facts = key.record.facts.as_ref();
    let certificate = key.certificate.as_ref();
    let before = existing.status.as_ref().and_then(|status| status.usage);
    let current = usage.complete.then(|| {
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
        // After a restart, keep the last counts until new ones are complete.
        usage: current.or(before),
        message: message(view, key),
    }
}

/// Returns the defect of the key, or the obstacles to its desired state.
fn message(view: &KeysView, key: &KeyView) -> Option<String> {
    let name = &key.record.name;
    let concerns = |blocked: &&Blocked| match blocked {
        Blocked::RetiresWhilePrimary(other)
        | Blocked::RetiresWhileUsed(other)
        | Blocked::UsageIncomplete(other)
        | Blocked::Pin(other) => other == name,
        Blocked::ExternalKeys(_) | Blocked::Retention => false,
    };
    let off_ring = match key.record.label {
        KeyLabel::Other => Some(
            "the key label of its Secret has another value than active, so the key is not used".to_owned(),
        ),
        KeyLabel::Active | KeyLabel::Pending | KeyLabel::Compromised | KeyLabel::Retired => None,
    };
    let read_only = (view.read_only && key.record.desired != DesiredState::Active).then(|| {
        "the controller may not change key Secrets; grant it the permission to update them".to_owned()
    });
    let blocked = view.blocked.iter().filter(concerns).map(describe);
    let of_duplicate = compromised_duplicate(view, key).map(|duplicate| {
        format!("Secret {duplicate} holds the same key and is marked compromised, so this key cannot be the primary key; mark it compromised, too")
    });
    let all: Vec<String> = key
        .problem
        .clone()
        .into_iter()
        .chain(off_ring)
        .chain(of_duplicate)
        .chain(read_only)
        .chain(blocked)
        .collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Returns the name of another Secret with the same key that is marked compromised while this one is not.
fn compromised_duplicate<'a>(view: &'a KeysView, key: &KeyView) -> Option<&'a str> {
    let fingerprint = |key: &KeyView| Some(key.record.facts.as_ref()?.fingerprint.clone());
    let own = fingerprint(key).filter(|_| !key.record.is_compromised());
    let is_duplicate =
        |other: &&KeyView| other.record.is_compromised() && own.is_some() && fingerprint(other) == own;
    view.keys.iter().find(is_duplicate).map(|duplicate| duplicate.record.name.as_str())
}

#[cfg(test)]
mod tests;
