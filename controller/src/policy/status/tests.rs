use sealed_secrets_core::rotation::Occasion;
use sealed_secrets_crds::SealingKeyPhase;
use serde_json::json;

use super::*;
use crate::keystore::KeyView;
use crate::keystore::fixtures::{self, key, moment};

fn heeded() -> Heeded {
    Heeded { uid: "policy".to_owned(), generation: Some(3), handled_request: None, malformed_request: None }
}

fn view(keys: Vec<KeyView>) -> KeysView {
    KeysView { heeded: Some(heeded()), ..fixtures::view(keys) }
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

fn told_at(view: &KeysView, before: Option<SealingKeyPolicyStatus>, second: i64) -> SealingKeyPolicyStatus {
    desired(&policy("default", before), view, &Usage::default(), moment(second)).unwrap()
}

fn reason(status: &SealingKeyPolicyStatus, type_: &str) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn what_was_told_is_told_again_word_for_word_at_any_later_time() {
    let view = view(vec![key("a", SealingKeyPhase::Primary)]);
    let first = told_at(&view, None, 100);
    assert_eq!(told_at(&view, Some(first.clone()), 5_000), first);
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
    let expired = KeysView { ended: Some(moment(20)), ..valid.clone() };
    let told = told_at(&expired, None, 100);
    assert_eq!(reason(&told, "Ready"), pair("False", "PrimaryExpired"));
    let message = &told.conditions[0].message;
    assert!(message.contains("that of a since 1970-01-01T00:00:20Z"), "{message}");
    assert_eq!(reason(&told_at(&valid, Some(told), 200), "Ready"), pair("True", "HasPrimary"));
}

#[test]
fn a_key_is_activated_when_it_is_told_first_and_an_only_one_since_it_was_made() {
    let one = told_at(&view(vec![key("a", SealingKeyPhase::Primary)]), None, 100);
    assert_eq!(one.primary.as_ref().unwrap().activated_at, Some(Time(moment(10))));
    let two = view(vec![key("a", SealingKeyPhase::DecryptOnly), key("b", SealingKeyPhase::Primary)]);
    let other = told_at(&two, Some(one), 200).primary.unwrap();
    assert_eq!((other.name.as_str(), other.activated_at), ("b", Some(Time(moment(200)))));
}

#[test]
fn replicas_do_not_contradict_each_other_about_failures() {
    let mut failing = view(vec![key("a", SealingKeyPhase::Primary)]);
    failing.wanted = Some(Occasion::Requested);
    let mut fresh = failing.clone();
    failing.hindrance = Some(Hindrance::Failed { attempts: 3, why: "no room".to_owned() });
    let told = told_at(&failing, None, 100);
    assert_eq!((told.failed_attempts, told.phase), (3, Some(RotationPhase::Failed)));
    assert_eq!(told_at(&fresh, Some(told.clone()), 200), told, "one that has not tried yet says the same");
    fresh.hindrance = Some(Hindrance::Failed { attempts: 1, why: "no room".to_owned() });
    assert_eq!(told_at(&fresh, Some(told.clone()), 200), told, "nor does one that has tried less often");
    fresh.wanted = None;
    fresh.hindrance = None;
    let healed = told_at(&fresh, Some(told), 300);
    assert_eq!((healed.failed_attempts, healed.phase), (0, Some(RotationPhase::Idle)));
}

#[test]
fn what_is_in_the_way_is_the_reason_and_whether_a_key_is_wanted_the_status() {
    let mut blocked = view(vec![key("a", SealingKeyPhase::Primary)]);
    blocked.blocked = vec![Blocked::Pin("b".to_owned())];
    assert_eq!(reason(&told_at(&blocked, None, 1), "Rotating"), pair("False", "RotationBlocked"));
    blocked.wanted = Some(Occasion::PeriodOver);
    blocked.hindrance = Some(Hindrance::ClockSkew(900));
    let told = told_at(&blocked, None, 1);
    assert_eq!(reason(&told, "Rotating"), pair("True", "RotationBlocked"));
    let message = &told.conditions[1].message;
    assert!(message.starts_with("ClockSkew") && message.contains("PinIgnored"), "{message}");
    assert_eq!((told.failed_attempts, told.phase), (0, Some(RotationPhase::Failed)));
}

#[test]
fn external_keys_are_waited_for_and_not_made() {
    let mut external = view(Vec::new());
    external.wanted = Some(Occasion::NoKey);
    external.blocked = vec![Blocked::ExternalKeys(Occasion::NoKey)];
    let told = told_at(&external, None, 1);
    assert_eq!((reason(&told, "Ready"), told.phase), (pair("False", "NoPrimary"), Some(RotationPhase::Idle)));
    assert_eq!(reason(&told, "Rotating"), pair("True", "RotationBlocked"));
}

#[test]
fn a_request_that_was_handled_stays_told_when_its_annotation_goes() {
    let mut view = view(vec![key("a", SealingKeyPhase::Primary)]);
    view.heeded = Some(Heeded { handled_request: Some("2026-11-21T09:00:00+00:00".to_owned()), ..heeded() });
    let told = told_at(&view, None, 1);
    assert_eq!(told.last_handled_rotate_request.as_deref(), Some("2026-11-21T09:00:00+00:00"));
    view.heeded = Some(heeded());
    assert_eq!(told_at(&view, Some(told.clone()), 2), told);
}

#[test]
fn numbers_are_kept_while_they_are_not_complete() {
    let view = view(vec![key("a", SealingKeyPhase::Primary)]);
    let told = told_at(&view, None, 1);
    assert_eq!(told.counts, Some(KeyCounts { keys: 1, ..KeyCounts::default() }));
    let usage = Usage { complete: true, objects: 2, items: 3, ..Usage::default() };
    let counted = desired(&policy("default", Some(told)), &view, &usage, moment(2)).unwrap();
    let counts = counted.counts.unwrap();
    assert_eq!((counts.objects, counts.items, counts.stale_items), (Some(2), Some(3), Some(0)));
    assert_eq!(told_at(&view, Some(counted.clone()), 3), counted);
}

#[test]
fn a_policy_that_the_plan_was_not_made_from_is_not_spoken_of() {
    let mut view = view(vec![key("a", SealingKeyPhase::Primary)]);
    view.heeded = Some(Heeded { uid: "former".to_owned(), ..heeded() });
    assert_eq!(desired(&policy("default", None), &view, &Usage::default(), moment(1)), None);
    let other = desired(&policy("other", None), &view, &Usage::default(), moment(1)).unwrap();
    assert_eq!(reason(&other, "Ready"), pair("False", "NotSelected"));
}
