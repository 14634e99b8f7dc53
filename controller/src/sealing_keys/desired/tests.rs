use sealed_secrets_crds::SealingKeyPhase;
use serde_json::json;

use super::*;
use crate::keystore::fixtures::{self, moment};
use crate::usage::KeyUsage;

const NAMESPACE: &str = "kube-system";

fn key(wish: Wish) -> KeyView {
    let mut key = fixtures::key("k", SealingKeyPhase::Primary);
    key.record.wish = wish;
    key
}

fn view(key: &KeyView) -> KeysView {
    fixtures::view(vec![key.clone()])
}

fn step_of(key: &KeyView, existing: Option<&SealingKey>) -> Step {
    step(&view(key), key, existing, &Usage::default(), NAMESPACE)
}

/// What the API server stores when this is created, and its status was written.
fn stored(key: &KeyView) -> SealingKey {
    let Step::Create(created) = step_of(key, None) else { panic!("created") };
    let mut stored = *created;
    stored.metadata.generation = Some(1);
    let Step::Status(told) = step_of(key, Some(&stored)) else { panic!("told") };
    *told
}

fn changed(mut existing: SealingKey, state: SealingKeyState) -> SealingKey {
    existing.spec.state = state;
    existing.metadata.generation = existing.metadata.generation.map(|generation| generation + 1);
    existing
}

const COMPROMISED: Wish = Wish::Compromised { decrypt_until: None };

#[test]
fn what_was_made_and_told_is_left_alone() {
    for wish in [Wish::Active, Wish::Retired, COMPROMISED] {
        let key = key(wish);
        let existing = stored(&key);
        assert_eq!((step_of(&key, Some(&existing)), unheeded_wish(&key, &existing)), (Step::Nothing, None));
        assert_eq!(wish_of(&existing.spec), wish);
    }
}

#[test]
fn what_a_person_changes_is_a_wish_until_the_secret_says_so_and_is_not_put_back_meanwhile() {
    let active = key(Wish::Active);
    let existing = changed(stored(&active), SealingKeyState::Compromised);
    assert_eq!(unheeded_wish(&active, &existing), Some(COMPROMISED));
    assert_eq!(step_of(&active, Some(&existing)), Step::Nothing);

    let copied = key(COMPROMISED);
    assert_eq!(unheeded_wish(&copied, &existing), None);
    let Step::Status(told) = step_of(&copied, Some(&existing)) else { panic!("heeded") };
    assert_eq!(told.status.unwrap().observed_generation, Some(2));
}

#[test]
fn what_the_secret_says_later_wins_over_what_was_heeded() {
    let compromised = key(COMPROMISED);
    let existing = stored(&compromised);
    let restored = key(Wish::Active);
    assert_eq!(unheeded_wish(&restored, &existing), None);
    let Step::Replace(put_back) = step_of(&restored, Some(&existing)) else { panic!("put back") };
    assert_eq!(put_back.spec, SealingKeySpec::default());
}

#[test]
fn a_new_object_that_is_not_ours_says_nothing() {
    let active = key(Wish::Active);
    let mut foreign = stored(&active);
    foreign.spec.state = SealingKeyState::Compromised;
    foreign.status = None;
    assert_eq!(unheeded_wish(&active, &foreign), None);
    assert!(matches!(step_of(&active, Some(&foreign)), Step::Replace(_)));
}

#[test]
fn a_key_that_was_put_back_by_hand_forgets_before_anything_new_is_heeded() {
    let mut restored = key(COMPROMISED);
    restored.record.off_ring_since = Some(moment(20));
    let existing = changed(stored(&restored), SealingKeyState::Retired);
    assert_eq!(unheeded_wish(&restored, &existing), None);
}

#[test]
fn an_end_within_a_second_is_the_same_end() {
    let until = |text: &str| Wish::Compromised { decrypt_until: Some(text.parse().unwrap()) };
    let key = key(until("2026-11-21T09:00:00.75Z"));
    assert!(same(key.record.wish, until("2026-11-21T09:00:00Z")));
    assert!(!same(key.record.wish, until("2026-11-21T09:00:01Z")));
    assert!(!same(key.record.wish, COMPROMISED));
}

#[test]
fn the_sealing_key_of_a_former_secret_goes() {
    let existing = stored(&key(Wish::Active));
    let anew = KeyView { uid: "another".to_owned(), ..key(Wish::Active) };
    assert_eq!(step_of(&anew, Some(&existing)), Step::Delete);
    let person = changed(existing, SealingKeyState::Retired);
    assert_eq!(unheeded_wish(&anew, &person), None, "it was said of another key");
}

#[test]
fn only_what_is_surely_left_behind_is_deleted() {
    let existing = stored(&key(Wish::Active));
    let seen = |uids: &[&str]| uids.iter().map(|&uid| uid.to_owned()).collect();
    assert!(is_left_behind(&existing, &seen(&["uid of k"])), "its Secret was there");
    assert!(!is_left_behind(&existing, &seen(&["another"])), "its Secret may be newer than what we know");
    let mut orphan = existing;
    orphan.metadata.owner_references = None;
    assert!(is_left_behind(&orphan, &seen(&[])), "nobody else makes such objects");
}

#[test]
fn numbers_are_kept_while_they_are_not_complete() {
    let key = key(Wish::Active);
    let fingerprint = key.record.facts.clone().unwrap().fingerprint;
    let mut usage = Usage { complete: true, ..Usage::default() };
    usage.by_key.insert(fingerprint, KeyUsage { objects: 2, items: 5 });
    let Step::Status(told) = step(&view(&key), &key, Some(&stored(&key)), &usage, NAMESPACE) else {
        panic!("told")
    };
    let shown = told.status.clone().unwrap().usage;
    assert_eq!(shown, Some(SealingKeyUsage { objects: 2, items: 5 }));
    assert_eq!(step_of(&key, Some(&told)), Step::Nothing);
}

#[test]
fn a_key_says_which_other_secret_calls_it_compromised() {
    let (own, mut twin, other) =
        (key(Wish::Active), key(COMPROMISED), fixtures::key("x", SealingKeyPhase::Primary));
    twin.record.name = "k2".to_owned();
    let view = fixtures::view(vec![own.clone(), twin.clone(), other.clone()]);
    assert!(message(&view, &own).unwrap().starts_with("Secret k2 holds the same key"));
    assert_eq!((message(&view, &twin), message(&view, &other)), (None, None));
}

#[test]
fn a_key_says_what_is_in_its_way_and_nothing_of_others() {
    let key = key(Wish::Retired);
    let mut view = view(&key);
    view.blocked = vec![Blocked::RetiresWhileUsed("k".to_owned()), Blocked::ViewNotWhole("other".to_owned())];
    let told = message(&view, &key).unwrap();
    assert!(told.starts_with("RetiresWhileUsed") && !told.contains("other"), "{told}");
    view.blocked.clear();
    assert_eq!(message(&view, &key), None);
    assert_eq!(serde_json::to_value(spec_of(Wish::Active)).unwrap(), json!({"state": "Active"}));
}
