use sealed_secrets_core::rotation::{Blocked, KeyLabel};

use super::super::fixtures::{self, key};
use super::*;

use SealingKeyPhase::{Compromised, DecryptOnly, Primary, Retired};

const PREFIX: &str = "sealed-secrets-key";
/// A name as the controller gives it.
const OURS: &str = "sealed-secrets-keym4d7wabc";

fn view(keys: &[(&str, SealingKeyPhase)]) -> KeysView {
    fixtures::view(keys.iter().map(|(name, phase)| key(name, *phase)).collect())
}

/// An hour after all keys of these tests were made.
fn reasons(before: Option<&KeysView>, now: &KeysView) -> Vec<&'static str> {
    reasons_at(before, now, 10 + 3_600)
}

fn reasons_at(before: Option<&KeysView>, now: &KeysView, second: i64) -> Vec<&'static str> {
    news(before, now, PREFIX, fixtures::moment(second)).iter().map(|one| one.reason).collect()
}

#[test]
fn keys_that_were_there_at_the_start_are_no_news_and_nothing_is_told_twice() {
    let now = view(&[("a", Primary), ("b", Retired), ("c", Compromised), (OURS, DecryptOnly)]);
    assert!(reasons(None, &now).is_empty());
    assert!(reasons_at(Some(&now), &now, 10).is_empty());
}

#[test]
fn a_key_is_generated_by_this_process_or_another_replica_or_it_is_imported() {
    let before = view(&[("a", Primary)]);
    let made = view(&[("a", DecryptOnly), (OURS, Primary)]);
    assert_eq!(reasons_at(Some(&before), &made, 20), ["KeyGenerated", "KeyActivated"]);
    let brought = view(&[("a", Primary), ("sealed-secrets-keyabc12", DecryptOnly)]);
    assert_eq!(reasons_at(Some(&before), &brought, 20), ["KeyImported"]);
    let mut ours = view(&[("a", Primary), (OURS, DecryptOnly)]);
    assert_eq!(reasons(Some(&before), &ours), ["KeyImported"], "ours, labelled again");
    ours.keys[1].record.created += SignedDuration::from_hours(1);
    assert_eq!(reasons(Some(&before), &ours), ["KeyImported"], "ours, from a backup");
}

#[test]
fn a_key_that_was_made_a_moment_before_the_start_is_told_of_and_what_was_brought_is_not() {
    let now = view(&[("a", Primary), (OURS, DecryptOnly)]);
    assert_eq!(reasons_at(None, &now, 20), ["KeyGenerated"]);
    assert!(reasons(None, &now).is_empty());
}

#[test]
fn a_key_that_goes_or_changes_its_phase_is_told() {
    let before = view(&[("a", Primary), ("b", DecryptOnly), ("c", DecryptOnly), ("d", DecryptOnly)]);
    let now = view(&[("a", Primary), ("b", Retired), ("c", Compromised)]);
    assert_eq!(reasons(Some(&before), &now), ["KeyRetired", "KeyCompromised", "KeyDeleted"]);
}

#[test]
fn what_is_wrong_with_a_key_is_told_also_at_the_start() {
    let mut now = view(&[("a", Primary), ("b", DecryptOnly)]);
    now.keys[1].problem = Some("its certificate is another key's".to_owned());
    assert_eq!(reasons(None, &now), ["KeyUnreadable"]);
    assert!(reasons(Some(&now), &now).is_empty());
}

#[test]
fn what_is_wrong_with_a_key_that_is_put_on_the_ring_is_told() {
    let mut off = view(&[("a", Primary), ("b", Retired)]);
    off.keys[1].record.label = KeyLabel::Retired;
    off.keys[1].problem = Some("no private key".to_owned());
    let mut on = off.clone();
    on.keys[1].record.label = KeyLabel::Active;
    assert!(reasons(None, &off).is_empty(), "nobody needs it");
    assert_eq!(reasons(Some(&off), &on), ["KeyUnreadable"]);
}

#[test]
fn an_expired_certificate_of_the_leader_is_told_once_also_at_the_start_and_of_the_next_one_again() {
    let valid = view(&[("a", Primary)]);
    let expired = KeysView { ended: Some(fixtures::moment(20)), ..valid.clone() };
    assert_eq!(reasons(None, &expired), ["KeyExpired"]);
    assert_eq!(reasons(Some(&valid), &expired), ["KeyExpired"]);
    assert!(reasons(Some(&expired), &expired).is_empty());
    assert!(reasons(Some(&expired), &valid).is_empty());
    let next = KeysView { primary: Some("b".to_owned()), ..expired.clone() };
    assert_eq!(reasons(Some(&expired), &next), ["KeyExpired"]);
}

#[test]
fn what_is_in_the_way_is_told_once_whatever_its_numbers() {
    let free = view(&[("a", Primary)]);
    let mut blocked = free.clone();
    blocked.blocked = vec![Blocked::Pin("b".to_owned())];
    blocked.hindrance = Some(Hindrance::ClockSkew(400));
    assert_eq!(reasons(Some(&free), &blocked), ["RotationBlocked", "RotationBlocked"]);
    let mut later = blocked.clone();
    later.hindrance = Some(Hindrance::ClockSkew(500));
    assert!(reasons(Some(&blocked), &later).is_empty());
}
