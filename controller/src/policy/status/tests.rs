use sealed_secrets_core::rotation::Trigger;
use sealed_secrets_crds::SealingKeyPhase;
use serde_json::json;

use super::*;
use crate::keystore::KeyView;
use crate::keystore::fixtures::{self, key, time_at};

fn observed_policy() -> ObservedPolicy {
    ObservedPolicy {
        uid: "policy".to_owned(),
        generation: Some(3),
        handled_request: None,
        malformed_request: None,
    }
}

fn view(keys: Vec<KeyView>) -> KeysView {
    KeysView { observed_policy: Some(observed_policy()), ..fixtures::view(keys) }
}

fn policy(name: &str, status: Option<SealingKeyPolicyStatus>) -> SealingKeyPolicy {
    let mut policy: SealingKeyPolicy = serde_json::from_value(json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
        "metadata": {"name": name, "uid": "policy", "generation": 3}, "spec": {}
    }))
    .unwrap();
    policy.status = status;
    policy
}

fn status_at(view: &KeysView, before: Option<SealingKeyPolicyStatus>, second: i64) -> SealingKeyPolicyStatus {
    desired(&policy("default", before), view, &Usage::default(), time_at(second)).unwrap()
}

fn reason(status: &SealingKeyPolicyStatus, type_: &str) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_status_stays_the_same_at_any_later_time() {
    let view = view(vec![key("a", SealingKeyPhase::Primary)]);
    let first = status_at(&view, None, 100);
    assert_eq!(status_at(&view, Some(first.clone()), 5_000), first);
    assert_eq!(first.observed_generation, Some(3));
    assert_eq!(first.phase, Some(RotationPhase::Idle));
    assert_eq!(
        (reason(&first, "Ready"), reason(&first, "Rotating")),
        (pair("True", "HasPrimary"), pair("False", "NothingDue"))
    );
}

#[test]
fn a_policy_is_not_ready_while_the_certificate_of_its_primary_is_expired() {
    let valid = view(vec![key("a", SealingKeyPhase::Primary)]);
    let expired = KeysView { expired_at: Some(time_at(20)), ..valid.clone() };
    let status = status_at(&expired, None, 100);
    assert_eq!(reason(&status, "Ready"), pair("False", "PrimaryExpired"));
    let message = &status.conditions[0].message;
    assert!(message.contains("that of a since 1970-01-01T00:00:20Z"), "{message}");
    assert_eq!(reason(&status_at(&valid, Some(status), 200), "Ready"), pair("True", "HasPrimary"));
}

#[test]
fn a_key_is_activated_when_a_status_first_names_it_and_an_only_one_since_it_was_made() {
    let one = status_at(&view(vec![key("a", SealingKeyPhase::Primary)]), None, 100);
    assert_eq!(one.primary.as_ref().unwrap().activated_at, Some(Time(time_at(10))));
    let two = view(vec![key("a", SealingKeyPhase::DecryptOnly), key("b", SealingKeyPhase::Primary)]);
    let other = status_at(&two, Some(one), 200).primary.unwrap();
    assert_eq!((other.name.as_str(), other.activated_at), ("b", Some(Time(time_at(200)))));
}

#[test]
fn replicas_do_not_contradict_each_other_about_failures() {
    let mut failing = view(vec![key("a", SealingKeyPhase::Primary)]);
    failing.due_trigger = Some(Trigger::Requested);
    let mut fresh = failing.clone();
    failing.blocker = Some(Blocker::Failed { attempts: 3, cause: "no room".to_owned() });
    let status = status_at(&failing, None, 100);
    assert_eq!((status.failed_attempts, status.phase), (3, Some(RotationPhase::Failed)));
    assert_eq!(
        status_at(&fresh, Some(status.clone()), 200),
        status,
        "one that has not tried yet says the same"
    );
    fresh.blocker = Some(Blocker::Failed { attempts: 1, cause: "no room".to_owned() });
    assert_eq!(
        status_at(&fresh, Some(status.clone()), 200),
        status,
        "nor does one that has tried less often"
    );
    fresh.due_trigger = None;
    fresh.blocker = None;
    let healed = status_at(&fresh, Some(status), 300);
    assert_eq!((healed.failed_attempts, healed.phase), (0, Some(RotationPhase::Idle)));
}

#[test]
fn the_blocker_is_the_reason_and_a_due_key_decides_the_status() {
    let mut blocked = view(vec![key("a", SealingKeyPhase::Primary)]);
    blocked.blocked = vec![Blocked::Pin("b".to_owned())];
    assert_eq!(reason(&status_at(&blocked, None, 1), "Rotating"), pair("False", "RotationBlocked"));
    blocked.due_trigger = Some(Trigger::PeriodOver);
    blocked.blocker = Some(Blocker::ClockSkew(900));
    let status = status_at(&blocked, None, 1);
    assert_eq!(reason(&status, "Rotating"), pair("True", "RotationBlocked"));
    let message = &status.conditions[1].message;
    assert!(message.starts_with("ClockSkew") && message.contains("PinIgnored"), "{message}");
    assert_eq!((status.failed_attempts, status.phase), (0, Some(RotationPhase::Failed)));
}

#[test]
fn external_keys_are_waited_for_and_not_made() {
    let mut external = view(Vec::new());
    external.due_trigger = Some(Trigger::NoKey);
    external.blocked = vec![Blocked::ExternalKeys(Trigger::NoKey)];
    let status = status_at(&external, None, 1);
    assert_eq!(
        (reason(&status, "Ready"), status.phase),
        (pair("False", "NoPrimary"), Some(RotationPhase::Idle))
    );
    assert_eq!(reason(&status, "Rotating"), pair("True", "RotationBlocked"));
}

#[test]
fn a_handled_request_stays_in_the_status_when_its_annotation_goes() {
    let mut view = view(vec![key("a", SealingKeyPhase::Primary)]);
    view.observed_policy = Some(ObservedPolicy {
        handled_request: Some("2026-11-21T09:00:00+00:00".to_owned()),
        ..observed_policy()
    });
    let status = status_at(&view, None, 1);
    assert_eq!(status.last_handled_rotate_request.as_deref(), Some("2026-11-21T09:00:00+00:00"));
    view.observed_policy = Some(observed_policy());
    assert_eq!(status_at(&view, Some(status.clone()), 2), status);
}

#[test]
fn numbers_are_kept_while_they_are_not_complete() {
    let view = view(vec![key("a", SealingKeyPhase::Primary)]);
    let status = status_at(&view, None, 1);
    assert_eq!(status.counts, Some(KeyCounts { keys: 1, ..KeyCounts::default() }));
    let usage = Usage { complete: true, objects: 2, items: 3, ..Usage::default() };
    let with_counts = desired(&policy("default", Some(status)), &view, &usage, time_at(2)).unwrap();
    let counts = with_counts.counts.unwrap();
    assert_eq!((counts.objects, counts.items, counts.stale_items), (Some(2), Some(3), Some(0)));
    assert_eq!(status_at(&view, Some(with_counts.clone()), 3), with_counts);
}

#[test]
fn a_policy_that_the_plan_was_not_made_from_gets_no_status() {
    let mut view = view(vec![key("a", SealingKeyPhase::Primary)]);
    view.observed_policy = Some(ObservedPolicy { uid: "former".to_owned(), ..observed_policy() });
    assert_eq!(desired(&policy("default", None), &view, &Usage::default(), time_at(1)), None);
    let other = desired(&policy("other", None), &view, &Usage::default(), time_at(1)).unwrap();
    assert_eq!(reason(&other, "Ready"), pair("False", "NotSelected"));
}
