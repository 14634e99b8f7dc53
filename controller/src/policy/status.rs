//! What the status of a SealingKeyPolicy should be: pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource as _, ResourceExt as _};
use sealed_secrets_core::rotation::Blocked;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use sealed_secrets_crds::{
    KeyCounts, PendingKey, PrimaryKey, RotationPhase, SealingKeyPolicy, SealingKeyPolicyStatus,
};

use crate::keystore::{Heeded, Hindrance, KeysView, told};
use crate::usage::Usage;

/// The status of this policy; `None` while what was planned is not planned from it.
pub(super) fn desired(
    policy: &SealingKeyPolicy,
    view: &KeysView,
    usage: &Usage,
    now: Timestamp,
) -> Option<SealingKeyPolicyStatus> {
    let teller = Teller { policy, generation: policy.meta().generation, now };
    if policy.name_any() != DEFAULT_POLICY_NAME {
        let message = format!(
            "the policy in force is the one named {DEFAULT_POLICY_NAME}; move what this one says there"
        );
        return Some(SealingKeyPolicyStatus {
            observed_generation: policy.meta().generation,
            conditions: vec![teller.condition("Ready", false, "NotSelected", message)],
            ..SealingKeyPolicyStatus::default()
        });
    }
    let heeded = view.heeded.as_ref().filter(|heeded| policy.uid().as_deref() == Some(&heeded.uid))?;
    let before = policy.status.clone().unwrap_or_default();
    let teller = Teller { generation: heeded.generation, ..teller };
    let failed = failed_attempts(view, before.failed_attempts);
    Some(SealingKeyPolicyStatus {
        observed_generation: heeded.generation,
        last_handled_rotate_request: heeded.handled_request.clone().or(before.last_handled_rotate_request),
        phase: Some(phase(view, failed)),
        primary: primary(view, before.primary, now),
        pending: pending(view),
        next_rotation_time: view.next.map(text),
        failed_attempts: failed,
        counts: Some(counts(view, usage, before.counts)),
        conditions: vec![teller.ready(view), teller.rotating(view, heeded, failed)],
    })
}

/// In whole seconds, as everything else in a status.
fn text(moment: Timestamp) -> String {
    seconds(moment).to_string()
}

fn seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

fn phase(view: &KeysView, failed: u32) -> RotationPhase {
    if view.hindrance.is_some() || failed > 0 {
        RotationPhase::Failed
    } else if is_being_made(view) {
        RotationPhase::Generating
    } else if view.pending().is_some() {
        RotationPhase::ActivationDelay
    } else if view.suspended {
        RotationPhase::Suspended
    } else {
        RotationPhase::Idle
    }
}

/// Never less than another replica has told, or both would contradict each other for ever.
fn failed_attempts(view: &KeysView, before: u32) -> u32 {
    let own = match &view.hindrance {
        Some(Hindrance::Failed { attempts, .. }) => *attempts,
        Some(Hindrance::ClockSkew(_) | Hindrance::Undone(_)) | None => 0,
    };
    if is_being_made(view) { own.max(before) } else { 0 }
}

/// Whether a key is wanted and may be made.
fn is_being_made(view: &KeysView) -> bool {
    let is_external = |blocked: &Blocked| matches!(blocked, Blocked::ExternalKeys(_));
    view.wanted.is_some() && !view.blocked.iter().any(is_external)
}

fn primary(view: &KeysView, before: Option<PrimaryKey>, now: Timestamp) -> Option<PrimaryKey> {
    let key = view.primary()?;
    let fingerprint = key.record.facts.as_ref()?.fingerprint.to_string();
    let activated_at = match before {
        Some(before) if before.fingerprint == fingerprint => before.activated_at,
        Some(_) => Some(Time(seconds(now))),
        None => Some(Time(key.record.created)),
    };
    Some(PrimaryKey { name: key.record.name.clone(), fingerprint, activated_at })
}

fn pending(view: &KeysView) -> Option<PendingKey> {
    let (key, activation) = view.pending()?;
    Some(PendingKey {
        name: key.record.name.clone(),
        created_at: Time(key.record.created),
        earliest_activation: text(activation),
    })
}

fn counts(view: &KeysView, usage: &Usage, before: Option<KeyCounts>) -> KeyCounts {
    let keys = view.keys.len().try_into().unwrap_or(u64::MAX);
    // What was counted before a restart is better than nothing.
    if !usage.complete {
        return KeyCounts { keys, ..before.unwrap_or_default() };
    }
    let primary = view.primary().and_then(|key| key.record.facts.as_ref()).map(|facts| &facts.fingerprint);
    KeyCounts {
        keys,
        objects: Some(usage.objects),
        items: Some(usage.items),
        stale_items: Some(usage.stale_items(primary)),
        undecryptable_items: Some(usage.undecryptable_items),
    }
}

/// What was asked for and is not done, in words.
fn in_the_way(view: &KeysView, heeded: &Heeded) -> Vec<String> {
    let skew = match &view.hindrance {
        Some(hindrance @ Hindrance::ClockSkew(_)) => Some(hindrance.told()),
        Some(Hindrance::Failed { .. } | Hindrance::Undone(_)) | None => None,
    };
    skew.into_iter().chain(view.blocked.iter().map(told)).chain(heeded.told_of_request()).collect()
}

struct Teller<'a> {
    policy: &'a SealingKeyPolicy,
    /// That was heeded.
    generation: Option<i64>,
    now: Timestamp,
}

impl Teller<'_> {
    fn ready(&self, view: &KeysView) -> Condition {
        let Some(name) = &view.primary else {
            let message = "no key can be offered for sealing; restore one, or let one be made";
            return self.condition("Ready", false, "NoPrimary", message.to_owned());
        };
        match view.told_of_end() {
            Some(message) => self.condition("Ready", false, "PrimaryExpired", message),
            None => self.condition("Ready", true, "HasPrimary", format!("{name} is offered for sealing")),
        }
    }

    fn rotating(&self, view: &KeysView, heeded: &Heeded, failed: u32) -> Condition {
        let is_rotating = view.wanted.is_some() || view.pending().is_some();
        let in_the_way = in_the_way(view, heeded);
        if !in_the_way.is_empty() {
            return self.condition("Rotating", is_rotating, "RotationBlocked", in_the_way.join("; "));
        }
        let (reason, message) = match (phase(view, failed), view.pending()) {
            (RotationPhase::Failed, _) => {
                let told =
                    view.hindrance.as_ref().map(Hindrance::told).or_else(|| self.told_before("Rotating"));
                ("Failed", told.unwrap_or_default())
            }
            (RotationPhase::Generating, _) => ("Generating", "a key is being made".to_owned()),
            (RotationPhase::ActivationDelay, Some((key, activation))) => {
                ("ActivationDelay", format!("{} leads from {} on", key.record.name, text(activation)))
            }
            (RotationPhase::Suspended, _) => ("Suspended", "no key is made by schedule".to_owned()),
            _ => ("NothingDue", String::new()),
        };
        self.condition("Rotating", is_rotating, reason, message)
    }

    fn told_before(&self, type_: &str) -> Option<String> {
        let conditions = &self.policy.status.as_ref()?.conditions;
        Some(conditions.iter().find(|condition| condition.type_ == type_)?.message.clone())
    }

    /// A condition with the time of its last transition.
    fn condition(&self, type_: &str, holds: bool, reason: &str, message: String) -> Condition {
        let status = if holds { "True" } else { "False" };
        let conditions = self.policy.status.iter().flat_map(|status| &status.conditions);
        let since = conditions
            .clone()
            .find(|before| before.type_ == type_ && before.status == status)
            .map_or_else(|| Time(seconds(self.now)), |before| before.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            observed_generation: self.generation,
            last_transition_time: since,
            reason: reason.to_owned(),
            message,
        }
    }
}

#[cfg(test)]
mod tests;
