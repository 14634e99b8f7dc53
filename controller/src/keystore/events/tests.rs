use sealed_secrets_core::rotation::{Blocked, KeyLabel};

use super::*;
use crate::keystore::fixtures::{self, key};

use SealingKeyPhase::{Compromised, DecryptOnly, Primary, Retired};

const PREFIX: &str = "sealed-secrets-key";
/// A name of the form that the controller generates.
const OURS: &str = "sealed-secrets-keym4d7wabc";

fn view(keys: &[(&str, SealingKeyPhase)]) -> KeysView {
    fixtures::view(keys.iter().map(|(name, phase)| key(name, *phase)).collect())
}

/// Returns the reasons of the events an hour after all keys of these tests were generated.
fn reasons(before: Option<&KeysView>, now: &KeysView) -> Vec<&'static str> {
    reasons_at(before, now, 10 + 3_600)
}

fn reasons_at(before: Option<&KeysView>, now: &KeysView, second: i64) -> Vec<&'static str> {
    events_between(before, now, PREFIX, fixtures::time_at(second)).iter().map(|one| one.reason).collect()
}

#[test]
fn keys_that_were_there_at_the_start_make_no_event_and_nothing_is_reported_twice() {
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
fn a_key_made_shortly_before_the_start_makes_an_event_and_an_imported_one_does_not() {
    let now = view(&[("a", Primary), (OURS, DecryptOnly)]);
    assert_eq!(reasons_at(None, &now, 20), ["KeyGenerated"]);
    assert!(reasons(None, &now).is_empty());
}

#[test]
fn a_key_that_goes_or_changes_its_phase_makes_an_event() {
    let before = view(&[("a", Primary), ("b", DecryptOnly), ("c", DecryptOnly), ("d", DecryptOnly)]);
    let now = view(&[("a", Primary), ("b", Retired), ("c", Compromised)]);
    assert_eq!(reasons(Some(&before), &now), ["KeyRetired", "KeyCompromised", "KeyDeleted"]);
}

#[test]
fn a_defect_of_a_key_makes_an_event_also_at_the_start() {
    let mut now = view(&[("a", Primary), ("b", DecryptOnly)]);
    now.keys[1].problem = Some("its certificate is another key's".to_owned());
    assert_eq!(reasons(None, &now), ["KeyUnreadable"]);
    assert!(reasons(Some(&now), &now).is_empty());
}

#[test]
fn a_defect_of_a_key_that_is_put_on_the_ring_makes_an_event() {
    let mut off = view(&[("a", Primary), ("b", Retired)]);
    off.keys[1].record.label = KeyLabel::Retired;
    off.keys[1].problem = Some("no private key".to_owned());
    let mut on = off.clone();
    on.keys[1].record.label = KeyLabel::Active;
    assert!(reasons(None, &off).is_empty(), "nobody needs it");
    assert_eq!(reasons(Some(&off), &on), ["KeyUnreadable"]);
}

#[test]
fn an_expired_certificate_of_the_primary_makes_an_event_once_also_at_the_start_and_again_for_the_next_one() {
    let valid = view(&[("a", Primary)]);
    let expired = KeysView { expired_at: Some(fixtures::time_at(20)), ..valid.clone() };
    assert_eq!(reasons(None, &expired), ["KeyExpired"]);
    assert_eq!(reasons(Some(&valid), &expired), ["KeyExpired"]);
    assert!(reasons(Some(&expired), &expired).is_empty());
    assert!(reasons(Some(&expired), &valid).is_empty());
    let next = KeysView { primary: Some("b".to_owned()), ..expired.clone() };
    assert_eq!(reasons(Some(&expired), &next), ["KeyExpired"]);
}

#[test]
fn a_blocker_makes_one_event_whatever_its_numbers() {
    let free = view(&[("a", Primary)]);
    let mut blocked = free.clone();
    blocked.blocked = vec![Blocked::Pin("b".to_owned())];
    blocked.blocker = Some(Blocker::ClockSkew(400));
    assert_eq!(reasons(Some(&free), &blocked), ["RotationBlocked", "RotationBlocked"]);
    let mut later = blocked.clone();
    later.blocker = Some(Blocker::ClockSkew(500));
    assert!(reasons(Some(&blocked), &later).is_empty());
}

#[test]
fn a_follower_keeps_an_event_until_the_leader_must_have_written_it() {
    let (retention, start) = (Duration::from_secs(30), Instant::now());
    let events = || events_between(Some(&view(&[])), &view(&[("a", Primary)]), PREFIX, fixtures::time_at(20));
    assert_eq!(events().len(), 2);
    let mut pending = PendingEvents::new(retention);
    pending.add(events(), start);
    pending.add(events(), start + Duration::from_secs(20));
    assert_eq!(pending.take(start + Duration::from_secs(31)), events());
    assert_eq!(pending.take(start + Duration::from_secs(31)), []);
}
