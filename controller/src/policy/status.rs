//! Computes the desired status of a SealingKeyPolicy. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{Resource as _, ResourceExt as _};
use sealed_secrets_core::rotation::Blocked;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use sealed_secrets_crds::{
    KeyCounts, PendingKey, PrimaryKey, RotationPhase, SealingKeyPolicy, SealingKeyPolicyStatus,
};

use crate::condition::transition;
use crate::keystore::{Blocker, KeysView, ObservedPolicy, describe};
use crate::usage::Usage;

/// Returns the status of this policy; `None` while the plan was not made from it.
pub(super) fn desired(
    policy: &SealingKeyPolicy,
    view: &KeysView,
    usage: &Usage,
    now: Timestamp,
) -> Option<SealingKeyPolicyStatus> {
    let conditions = Conditions { policy, generation: policy.meta().generation, now };
    if policy.name_any() != DEFAULT_POLICY_NAME {
        let message = format!(
            "only the policy named {DEFAULT_POLICY_NAME} is in force; move the settings of this one there"
        );
        return Some(SealingKeyPolicyStatus {
            observed_generation: policy.meta().generation,
            conditions: vec![conditions.condition("Ready", false, "NotSelected", message)],
            ..SealingKeyPolicyStatus::default()
        });
    }
    let observed_policy = view
        .observed_policy
        .as_ref()
        .filter(|observed_policy| policy.uid().as_deref() == Some(&observed_policy.uid))?;
    let before = policy.status.clone().unwrap_or_default();
    let conditions = Conditions { generation: observed_policy.generation, ..conditions };
    let failed = failed_attempts(view, before.failed_attempts);
    Some(SealingKeyPolicyStatus {
        observed_generation: observed_policy.generation,
        last_handled_rotate_request: observed_policy
            .handled_request
            .clone()
            .or(before.last_handled_rotate_request),
        phase: Some(phase(view, failed)),
        primary: primary(view, before.primary, now),
        pending: pending(view),
        next_rotation_time: view.next.map(text),
        failed_attempts: failed,
        counts: Some(counts(view, usage, before.counts)),
        conditions: vec![conditions.ready(view), conditions.rotating(view, observed_policy, failed)],
    })
}

/// Formats a time in whole seconds, like all times in a status.
fn text(time: Timestamp) -> String {
    seconds(time).to_string()
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn phase(view: &KeysView, failed: u32) -> RotationPhase {
    if view.blocker.is_some() || failed > 0 {
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

/// Returns the number of failed attempts, never less than another replica has written: otherwise both would overwrite
/// each other forever.
fn failed_attempts(view: &KeysView, before: u32) -> u32 {
    let own = match &view.blocker {
        Some(Blocker::Failed { attempts, .. }) => *attempts,
        Some(Blocker::ClockSkew(_) | Blocker::WriteFailed(_)) | None => 0,
    };
    if is_being_made(view) { own.max(before) } else { 0 }
}

/// Returns true if a key is due and may be generated.
fn is_being_made(view: &KeysView) -> bool {
    let is_external = |blocked: &Blocked| matches!(blocked, Blocked::ExternalKeys(_));
    view.due_trigger.is_some() && !view.blocked.iter().any(is_external)
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
    // After a restart, keep the last counts until new ones are complete.
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

/// Returns the messages about requested steps that are blocked.
fn blockers(view: &KeysView, observed_policy: &ObservedPolicy) -> Vec<String> {
    let skew = match &view.blocker {
        Some(blocker @ Blocker::ClockSkew(_)) => Some(blocker.describe()),
        Some(Blocker::Failed { .. } | Blocker::WriteFailed(_)) | None => None,
    };
    skew.into_iter()
        .chain(view.blocked.iter().map(describe))
        .chain(observed_policy.describe_request())
        .collect()
}

struct Conditions<'a> {
    policy: &'a SealingKeyPolicy,
    /// The observed generation.
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    fn ready(&self, view: &KeysView) -> Condition {
        let Some(name) = &view.primary else {
            let message = "no key can be the primary key; restore one, or have one generated";
            return self.condition("Ready", false, "NoPrimary", message.to_owned());
        };
        match view.describe_expiry() {
            Some(message) => self.condition("Ready", false, "PrimaryExpired", message),
            None => self.condition("Ready", true, "HasPrimary", format!("{name} is the primary key")),
        }
    }

    fn rotating(&self, view: &KeysView, observed_policy: &ObservedPolicy, failed: u32) -> Condition {
        let is_rotating = view.due_trigger.is_some() || view.pending().is_some();
        let blockers = blockers(view, observed_policy);
        if !blockers.is_empty() {
            return self.condition("Rotating", is_rotating, "RotationBlocked", blockers.join("; "));
        }
        let (reason, message) = match (phase(view, failed), view.pending()) {
            (RotationPhase::Failed, _) => {
                let message = view
                    .blocker
                    .as_ref()
                    .map(Blocker::describe)
                    .or_else(|| self.previous_message("Rotating"));
                ("Failed", message.unwrap_or_default())
            }
            (RotationPhase::Generating, _) => ("Generating", "a key is being generated".to_owned()),
            (RotationPhase::ActivationDelay, Some((key, activation))) => (
                "ActivationDelay",
                format!("{} becomes the primary key at {}", key.record.name, text(activation)),
            ),
            (RotationPhase::Suspended, _) => ("Suspended", "no key is generated by schedule".to_owned()),
            _ => ("NothingDue", String::new()),
        };
        self.condition("Rotating", is_rotating, reason, message)
    }

    fn previous_message(&self, type_: &str) -> Option<String> {
        let conditions = &self.policy.status.as_ref()?.conditions;
        Some(conditions.iter().find(|condition| condition.type_ == type_)?.message.clone())
    }

    /// Returns a condition with the time of its last transition.
    fn condition(&self, type_: &str, holds: bool, reason: &str, message: String) -> Condition {
        let mut conditions = self.policy.status.iter().flat_map(|status| &status.conditions);
        let stored = conditions.find(|stored| stored.type_ == type_);
        let stored = stored.map(|stored| (stored.status.as_str(), Some(&stored.last_transition_time)));
        let (status, since) = transition(holds, stored, seconds(self.now));
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
