use sealed_secrets_crds::SealingKeyPhase;
use serde_json::json;

use super::*;
use crate::keystore::fixtures::{self, time_at};
use crate::usage::sum::KeyUsage;

const NAMESPACE: &str = "kube-system";

fn key(desired: DesiredState) -> KeyView {
    let mut key = fixtures::key("k", SealingKeyPhase::Primary);
    key.record.desired = desired;
    key
}

fn view(key: &KeyView) -> KeysView {
    fixtures::view(vec![key.clone()])
}

fn step_of(key: &KeyView, existing: Option<&SealingKey>) -> Step {
    step(&view(key), key, existing, &Usage::default(), NAMESPACE)
}

/// Returns the object that the API server stores after it was created, and its status was written.
fn stored(key: &KeyView) -> SealingKey {
    let Step::Create(created) = step_of(key, None) else { panic!("created") };
    let mut stored = *created;
    stored.metadata.generation = Some(1);
    let Step::Status(updated) = step_of(key, Some(&stored)) else { panic!("a status is written") };
    *updated
}

fn changed(mut existing: SealingKey, state: SealingKeyState) -> SealingKey {
    existing.spec.state = state;
    existing.metadata.generation = existing.metadata.generation.map(|generation| generation + 1);
    existing
}

const COMPROMISED: DesiredState = DesiredState::Compromised { decrypt_until: None };

#[test]
fn a_sealing_key_that_is_up_to_date_is_left_alone() {
    for desired in [DesiredState::Active, DesiredState::Retired, COMPROMISED] {
        let key = key(desired);
        let existing = stored(&key);
        assert_eq!((step_of(&key, Some(&existing)), requested_state(&key, &existing)), (Step::Nothing, None));
        assert_eq!(state_of(&existing.spec), desired);
    }
}

#[test]
fn a_change_by_a_user_is_requested_until_the_secret_has_it_and_is_not_reverted_meanwhile() {
    let active = key(DesiredState::Active);
    let existing = changed(stored(&active), SealingKeyState::Compromised);
    assert_eq!(requested_state(&active, &existing), Some(COMPROMISED));
    assert_eq!(step_of(&active, Some(&existing)), Step::Nothing);

    let copied = key(COMPROMISED);
    assert_eq!(requested_state(&copied, &existing), None);
    let Step::Status(updated) = step_of(&copied, Some(&existing)) else { panic!("a status is written") };
    assert_eq!(updated.status.unwrap().observed_generation, Some(2));
}

#[test]
fn a_later_change_of_the_secret_wins_over_an_observed_request() {
    let compromised = key(COMPROMISED);
    let existing = stored(&compromised);
    let restored = key(DesiredState::Active);
    assert_eq!(requested_state(&restored, &existing), None);
    let Step::Replace(put_back) = step_of(&restored, Some(&existing)) else { panic!("put back") };
    assert_eq!(put_back.spec, SealingKeySpec::default());
}

#[test]
fn a_new_foreign_object_requests_nothing() {
    let active = key(DesiredState::Active);
    let mut foreign = stored(&active);
    foreign.spec.state = SealingKeyState::Compromised;
    foreign.status = None;
    assert_eq!(requested_state(&active, &foreign), None);
    assert!(matches!(step_of(&active, Some(&foreign)), Step::Replace(_)));
}

#[test]
fn a_key_that_was_put_back_by_hand_is_restored_before_a_new_request_counts() {
    let mut restored = key(COMPROMISED);
    restored.record.off_ring_since = Some(time_at(20));
    let existing = changed(stored(&restored), SealingKeyState::Retired);
    assert_eq!(requested_state(&restored, &existing), None);
}

#[test]
fn an_end_within_a_second_is_the_same_end() {
    let until = |text: &str| DesiredState::Compromised { decrypt_until: Some(text.parse().unwrap()) };
    let key = key(until("2026-11-21T09:00:00.75Z"));
    assert!(same(key.record.desired, until("2026-11-21T09:00:00Z")));
    assert!(!same(key.record.desired, until("2026-11-21T09:00:01Z")));
    assert!(!same(key.record.desired, COMPROMISED));
}

#[test]
fn the_sealing_key_of_a_former_secret_goes() {
    let existing = stored(&key(DesiredState::Active));
    let anew = KeyView { uid: "another".to_owned(), ..key(DesiredState::Active) };
    assert_eq!(step_of(&anew, Some(&existing)), Step::Delete);
    let by_user = changed(existing, SealingKeyState::Retired);
    assert_eq!(requested_state(&anew, &by_user), None, "it was said of another key");
}

#[test]
fn only_sealing_keys_that_are_certainly_orphaned_are_deleted() {
    let existing = stored(&key(DesiredState::Active));
    let seen = |uids: &[&str]| uids.iter().map(|&uid| uid.to_owned()).collect();
    assert!(is_orphaned(&existing, &seen(&["uid of k"])), "its Secret was there");
    assert!(!is_orphaned(&existing, &seen(&["another"])), "its Secret may be newer than what we know");
    let mut orphan = existing;
    orphan.metadata.owner_references = None;
    assert!(is_orphaned(&orphan, &seen(&[])), "nobody else makes such objects");
}

#[test]
fn numbers_are_kept_while_they_are_not_complete() {
    let key = key(DesiredState::Active);
    let fingerprint = key.record.facts.clone().unwrap().fingerprint;
    let mut usage = Usage { complete: true, ..Usage::default() };
    usage.by_key.insert(fingerprint, KeyUsage { objects: 2, items: 5 });
    let Step::Status(updated) = step(&view(&key), &key, Some(&stored(&key)), &usage, NAMESPACE) else {
        panic!("a status is written")
    };
    let usage = updated.status.clone().unwrap().usage;
    assert_eq!(usage, Some(SealingKeyUsage { objects: 2, items: 5 }));
    assert_eq!(step_of(&key, Some(&updated)), Step::Nothing);
}

#[test]
fn a_sealing_key_names_the_other_secret_that_marks_it_compromised() {
    let (own, mut duplicate, other) =
        (key(DesiredState::Active), key(COMPROMISED), fixtures::key("x", SealingKeyPhase::Primary));
    duplicate.record.name = "k2".to_owned();
    let view = fixtures::view(vec![own.clone(), duplicate.clone(), other.clone()]);
    assert!(message(&view, &own).unwrap().starts_with("Secret k2 holds the same key"));
    assert_eq!((message(&view, &duplicate), message(&view, &other)), (None, None));
}

#[test]
fn a_sealing_key_names_its_own_blocker_and_no_others() {
    let key = key(DesiredState::Retired);
    let mut view = view(&key);
    view.blocked =
        vec![Blocked::RetiresWhileUsed("k".to_owned()), Blocked::UsageIncomplete("other".to_owned())];
    let found = message(&view, &key).unwrap();
    assert!(found.starts_with("RetiresWhileUsed") && !found.contains("other"), "{found}");
    view.blocked.clear();
    assert_eq!(message(&view, &key), None);
    assert_eq!(serde_json::to_value(spec_of(DesiredState::Active)).unwrap(), json!({"state": "Active"}));
}
