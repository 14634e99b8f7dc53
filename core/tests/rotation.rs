//! Rotation of keys with a manual clock.

#![cfg(test)]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::{Fingerprint, KeyPair};
use sealed_secrets_core::rotation::{
    Blocked, Change, DesiredState, Evidence, Generation, KeyFacts, KeyLabel, KeyRecord, Plan, RotationPolicy,
    Step, Trigger, UsageReport, is_successor, next_rotation, plan, predecessor, successor_name,
};

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + day * DAY).unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_secs(days * DAY)
}

fn fingerprint(name: &str) -> Fingerprint {
    let mut digest = [0; 32];
    digest[..name.len()].copy_from_slice(name.as_bytes());
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)).parse().unwrap()
}

/// Returns an active key created on this day.
fn key(name: &str, day: i64) -> KeyRecord {
    let facts = KeyFacts {
        fingerprint: fingerprint(name),
        not_before: at(day),
        order_time: at(day),
        has_certificate: true,
    };
    KeyRecord {
        name: name.to_owned(),
        facts: Some(facts),
        label: KeyLabel::Active,
        created: at(day),
        desired: DesiredState::Active,
        state_since: None,
        compromised_since: None,
        decrypt_until: None,
        off_ring_since: None,
        unused_since: None,
    }
}

fn pending(name: &str, day: i64) -> KeyRecord {
    KeyRecord { label: KeyLabel::Pending, ..key(name, day) }
}

/// Returns a key that was marked as compromised on `since`.
fn compromised(name: &str, day: i64, since: i64) -> KeyRecord {
    let desired = DesiredState::Compromised { decrypt_until: None };
    KeyRecord { desired, state_since: Some(at(since)), compromised_since: Some(at(since)), ..key(name, day) }
}

/// Returns a compromised key with an end of decryption.
fn ending(name: &str, day: i64, since: i64, end: i64) -> KeyRecord {
    let decrypt_until = Some(at(end));
    KeyRecord {
        desired: DesiredState::Compromised { decrypt_until },
        decrypt_until,
        ..compromised(name, day, since)
    }
}

/// Requests retirement of a key that had another requested state before.
fn to_retire(key: KeyRecord) -> KeyRecord {
    KeyRecord { desired: DesiredState::Retired, state_since: Some(at(9)), ..key }
}

fn retired(name: &str, day: i64, since: i64) -> KeyRecord {
    KeyRecord { label: KeyLabel::Retired, off_ring_since: Some(at(since)), ..key(name, day) }
}

fn every_30_days() -> RotationPolicy {
    RotationPolicy { every: Some(days(30)), ..RotationPolicy::default() }
}

fn asking(requests: &[i64]) -> RotationPolicy {
    RotationPolicy { requests: requests.iter().map(|day| at(*day)).collect(), ..RotationPolicy::default() }
}

fn with_delay(delay: i64) -> RotationPolicy {
    RotationPolicy { activation_delay: days(delay), ..every_30_days() }
}

/// Policy: keys retire after 10 days without use and are deleted 20 days later; two remain.
fn retiring() -> RotationPolicy {
    RotationPolicy {
        keep_at_least: 2,
        retire_when_unused_for: Some(days(10)),
        delete_after_retired: Some(days(20)),
        ..RotationPolicy::default()
    }
}

fn need(used: &[&str]) -> UsageReport {
    UsageReport { used: used.iter().map(|name| fingerprint(name)).collect(), ..UsageReport::default() }
}

/// Report with an item that no key decrypts.
fn undecryptable() -> UsageReport {
    UsageReport { undecryptable: true, ..need(&[]) }
}

/// Report of a process that does not watch all namespaces.
fn partial() -> UsageReport {
    UsageReport { partial: true, ..need(&[]) }
}

fn trigger(policy: &RotationPolicy, keys: &[KeyRecord], day: i64) -> Option<Trigger> {
    plan(policy, keys, None, at(day)).generate.map(|generation| generation.trigger)
}

fn primary(policy: &RotationPolicy, keys: &[KeyRecord]) -> Option<String> {
    plan(policy, keys, None, at(100)).primary
}

/// Returns a change that requires the usual inputs of such a step.
fn change(name: &str, step: Step) -> Change {
    let requires = match step {
        Step::Restore => Evidence::NONE,
        Step::Activate | Step::RemoveCompromised | Step::RecordRequest | Step::RecordRemoval => {
            Evidence::CLOCK
        }
        Step::RecordUsed => Evidence::USAGE,
        Step::Retire | Step::Delete | Step::RecordUnused => Evidence::BOTH,
    };
    Change { name: name.to_owned(), step, requires }
}

/// Returns the activation of a pending key that becomes primary at once, at any time.
fn urgent(name: &str) -> Change {
    Change { requires: Evidence::NONE, ..change(name, Step::Activate) }
}

#[test]
fn without_any_key_one_is_made_whatever_the_policy() {
    for policy in [RotationPolicy::default(), RotationPolicy { suspended: true, ..with_delay(2) }] {
        let expected = Some(Generation { trigger: Trigger::NoKey, pending: false });
        assert_eq!(plan(&policy, &[], None, at(0)).generate, expected);
    }
}

#[test]
fn without_a_key_that_could_ever_be_offered_one_is_made() {
    let mut mismatched = key("a", 0);
    mismatched.facts.as_mut().unwrap().has_certificate = false;
    let unreadable = KeyRecord { facts: None, ..key("b", 0) };
    assert_eq!(
        trigger(&every_30_days(), &[mismatched, unreadable, retired("c", 0, 1)], 1),
        Some(Trigger::NoKey)
    );
}

#[test]
fn a_young_key_is_left_alone_until_its_period_is_over() {
    let young = plan(&every_30_days(), &[key("a", 0)], None, at(29));
    let expected = Plan { primary: Some("a".to_owned()), next_change: Some(at(30)), ..Plan::default() };
    assert_eq!(young, expected);
    assert_eq!(trigger(&every_30_days(), &[key("a", 0)], 30), Some(Trigger::PeriodOver));
}

#[test]
fn without_a_period_nothing_is_ever_due() {
    assert_eq!(trigger(&RotationPolicy::default(), &[key("a", 0)], 9_999), None);
    assert_eq!(next_rotation(&RotationPolicy::default(), &[key("a", 0)], at(0)), None);
}

#[test]
fn a_request_is_met_by_a_key_that_began_at_that_very_second() {
    assert_eq!(trigger(&asking(&[5]), &[key("a", 4)], 6), Some(Trigger::Requested));
    assert_eq!(trigger(&asking(&[5]), &[key("a", 5)], 6), None);
    let mut later_in_that_second = asking(&[5]);
    later_in_that_second.requests[0] += SignedDuration::from_millis(999);
    assert_eq!(trigger(&later_in_that_second, &[key("a", 5)], 6), None);
}

#[test]
fn many_requests_are_met_by_one_key_that_is_younger_than_all() {
    assert_eq!(trigger(&asking(&[3, 5, 4]), &[key("a", 0)], 6), Some(Trigger::Requested));
    assert_eq!(trigger(&asking(&[3, 5, 4]), &[key("a", 0), key("b", 6)], 6), None);
}

#[test]
fn a_request_for_the_future_waits_for_its_moment_without_hiding_one_of_the_past() {
    assert_eq!(plan(&asking(&[9]), &[key("a", 0)], None, at(4)).generate, None);
    assert_eq!(plan(&asking(&[9]), &[key("a", 0)], None, at(4)).next_change, Some(at(9)));
    assert_eq!(trigger(&asking(&[9, 3]), &[key("a", 0)], 4), Some(Trigger::Requested));
    assert_eq!(
        next_rotation(&RotationPolicy { requests: vec![at(9)], ..every_30_days() }, &[key("a", 0)], at(4)),
        Some(at(9))
    );
}

#[test]
fn a_key_dated_in_the_future_counts_as_made() {
    let policy = RotationPolicy { requests: vec![at(0)], ..every_30_days() };
    assert_eq!(trigger(&policy, &[key("a", 1)], 0), None);
}

#[test]
fn a_suspended_schedule_still_answers_requests() {
    let suspended = RotationPolicy { suspended: true, ..every_30_days() };
    assert_eq!(trigger(&suspended, &[key("a", 0)], 99), None);
    assert_eq!(next_rotation(&suspended, &[key("a", 0)], at(1)), None);
    let asked = RotationPolicy { requests: vec![at(5)], ..suspended };
    assert_eq!(trigger(&asked, &[key("a", 0)], 99), Some(Trigger::Requested));
}

#[test]
fn external_keys_are_waited_for_and_a_request_for_one_is_reported() {
    let external = RotationPolicy { external: true, ..every_30_days() };
    assert_eq!(plan(&external, &[key("a", 0)], None, at(99)).blocked, []);
    let none = plan(&external, &[], None, at(0));
    assert_eq!((none.generate, none.blocked), (None, vec![Blocked::ExternalKeys(Trigger::NoKey)]));
    let asked = RotationPolicy { external: true, ..asking(&[5]) };
    let planned = plan(&asked, &[key("a", 0)], None, at(9));
    assert_eq!(planned.blocked, [Blocked::ExternalKeys(Trigger::Requested)]);
    let leaked = plan(&external, &[key("a", 0), compromised("b", 1, 2)], None, at(3));
    assert_eq!((leaked.primary.as_deref(), leaked.generate), (Some("a"), None));
}

#[test]
fn the_newest_active_key_is_primary_and_equal_ages_are_decided_alike_everywhere() {
    let (a, b) = (key("a", 1), key("b", 1));
    let one = primary(&every_30_days(), &[a.clone(), b.clone()]);
    assert_eq!(one, primary(&every_30_days(), &[b, a]));
    assert_eq!(primary(&every_30_days(), &[key("a", 2), key("b", 1), pending("c", 3)]).as_deref(), Some("a"));
}

#[test]
fn a_pinned_key_is_primary_and_the_newest_is_still_judged_for_rotation() {
    let pinned = |name: &str| RotationPolicy { pin: Some(name.to_owned()), ..every_30_days() };
    let keys = [key("a", 0), key("b", 50)];
    assert_eq!(primary(&pinned("a"), &keys).as_deref(), Some("a"));
    assert_eq!(trigger(&pinned("a"), &keys, 60), None);
    assert_eq!(trigger(&pinned("a"), &keys, 80), Some(Trigger::PeriodOver));
}

#[test]
fn a_pin_on_a_key_that_cannot_be_primary_is_reported_and_the_newest_is_primary() {
    let pinned = RotationPolicy { pin: Some("x".to_owned()), ..RotationPolicy::default() };
    let wishes_retired =
        KeyRecord { desired: DesiredState::Retired, state_since: Some(at(1)), ..key("x", 0) };
    assert_eq!(
        primary(&pinned, &[key("a", 1), wishes_retired]).as_deref(),
        Some("x"),
        "it may lead while it is waiting"
    );
    for unusable in [compromised("x", 0, 1), retired("x", 0, 1), pending("x", 0)] {
        let planned = plan(&pinned, &[key("a", 1), unusable], None, at(2));
        assert_eq!(planned.primary.as_deref(), Some("a"));
        assert_eq!(planned.blocked, [Blocked::Pin("x".to_owned())]);
    }
    assert_eq!(plan(&pinned, &[key("a", 1)], None, at(2)).blocked, [Blocked::Pin("x".to_owned())]);
}

#[test]
fn with_a_delay_the_successor_waits_and_then_is_activated() {
    let made = plan(&with_delay(2), &[key("a", 0)], None, at(30)).generate;
    assert_eq!(made, Some(Generation { trigger: Trigger::PeriodOver, pending: true }));
    let keys = [key("a", 0), pending("b", 30)];
    let waiting = plan(&with_delay(2), &keys, None, at(31));
    assert_eq!((waiting.primary.as_deref(), waiting.generate, waiting.changes), (Some("a"), None, vec![]));
    assert_eq!(waiting.next_change, Some(at(32)));
    assert_eq!(plan(&with_delay(2), &keys, None, at(32)).changes, [change("b", Step::Activate)]);
}

#[test]
fn a_pending_key_dated_in_the_future_is_activated_at_the_earlier_of_both_times() {
    let dated = |not_before: i64| {
        let mut key = pending("b", 30);
        key.facts.as_mut().unwrap().not_before = at(not_before);
        [self::key("a", 0), key]
    };
    let activates = |keys: &[KeyRecord], day| !plan(&with_delay(4), keys, None, at(day)).changes.is_empty();
    assert!(!activates(&dated(31), 30) && activates(&dated(31), 31));
    assert!(!activates(&dated(99), 33) && activates(&dated(99), 34));
}

#[test]
fn a_pending_key_is_activated_at_once_when_no_other_can_be_primary() {
    assert_eq!(plan(&with_delay(9), &[pending("b", 0)], None, at(0)).changes, [urgent("b")]);
}

#[test]
fn a_compromised_primary_is_not_offered_and_gets_a_successor_that_is_primary_at_once() {
    let planned = plan(&with_delay(2), &[key("a", 0), compromised("b", 1, 5)], None, at(5));
    assert_eq!(planned.primary.as_deref(), Some("a"));
    assert_eq!(planned.generate, Some(Generation { trigger: Trigger::Compromised, pending: false }));
    assert_eq!(trigger(&with_delay(2), &[key("a", 0), compromised("b", 1, 5), key("c", 5)], 6), None);
}

#[test]
fn an_old_compromised_key_has_its_successor_already() {
    assert_eq!(trigger(&RotationPolicy::default(), &[compromised("a", 0, 5), key("b", 1)], 6), None);
}

#[test]
fn a_pending_successor_is_activated_when_its_predecessor_is_compromised() {
    let keys = [key("z", -9), compromised("a", 0, 31), pending("b", 30)];
    let planned = plan(&with_delay(9), &keys, None, at(31));
    assert_eq!((planned.generate, planned.changes), (None, vec![urgent("b")]));
}

#[test]
fn a_key_relabelled_as_compromised_by_hand_gets_a_successor_once_that_is_noted() {
    let labelled = KeyRecord { label: KeyLabel::Compromised, ..key("b", 1) };
    let planned = plan(&RotationPolicy::default(), &[key("a", 0), labelled.clone()], None, at(5));
    assert_eq!((planned.generate, planned.changes), (None, vec![change("b", Step::RecordRemoval)]));
    let noted = KeyRecord { off_ring_since: Some(at(5)), ..labelled };
    assert_eq!(
        trigger(&RotationPolicy::default(), &[key("a", 0), noted.clone()], 5),
        Some(Trigger::Compromised)
    );
    assert_eq!(trigger(&RotationPolicy::default(), &[key("a", 0), noted, key("c", 6)], 7), None);
}

#[test]
fn a_compromised_key_dated_in_the_future_does_not_ask_again_and_again() {
    let keys = [compromised("a", 300, 5), key("b", 6)];
    assert_eq!(trigger(&RotationPolicy::default(), &keys, 7), None);
}

#[test]
fn a_compromised_key_decrypts_until_its_end_and_for_ever_without_one() {
    assert_eq!(
        plan(&RotationPolicy::default(), &[compromised("a", 0, 1), key("b", 2)], None, at(9_999)).changes,
        []
    );
    let keys = [ending("a", 0, 1, 9), key("b", 2)];
    assert_eq!(plan(&RotationPolicy::default(), &keys, None, at(8)).next_change, Some(at(9)));
    assert_eq!(
        plan(&RotationPolicy::default(), &keys, None, at(9)).changes,
        [change("a", Step::RemoveCompromised)]
    );
}

#[test]
fn a_desired_state_is_dated_before_it_is_carried_out() {
    let compromised = || compromised("a", 0, 1);
    let not_dated = [
        KeyRecord { state_since: None, compromised_since: None, ..compromised() },
        KeyRecord { compromised_since: None, ..compromised() },
        KeyRecord { state_since: None, ..to_retire(compromised()) },
        KeyRecord { state_since: None, ..to_retire(key("a", 0)) },
        KeyRecord { facts: None, state_since: None, ..compromised() },
        KeyRecord { compromised_since: None, label: KeyLabel::Retired, ..compromised() },
    ];
    for wished in not_dated {
        let planned = plan(&RotationPolicy::default(), &[wished, key("b", 2)], Some(&need(&[])), at(2));
        assert_eq!(planned.changes, [change("a", Step::RecordRequest)]);
    }
}

#[test]
fn a_compromised_key_is_not_primary_while_it_retires_whatever_is_pinned() {
    let pinned = RotationPolicy { pin: Some("a".to_owned()), ..RotationPolicy::default() };
    for leaked in [to_retire(compromised("a", 5, 6)), to_retire(ending("a", 5, 6, 50))] {
        let planned = plan(&pinned, &[leaked, key("b", 7)], Some(&need(&["a"])), at(9));
        assert_eq!(planned.primary.as_deref(), Some("b"));
        let used = Blocked::RetiresWhileUsed("a".to_owned());
        assert_eq!(planned.blocked, [Blocked::Pin("a".to_owned()), used]);
        assert_eq!(planned.changes, []);
    }
}

/// Returns the same key in another Secret, with a certificate of another day.
fn twin(name: &str, day: i64, of: &KeyRecord) -> KeyRecord {
    let mut twin = key(name, day);
    twin.facts.as_mut().unwrap().fingerprint = of.facts.as_ref().unwrap().fingerprint.clone();
    twin
}

#[test]
fn a_key_in_two_secrets_is_compromised_in_both() {
    let leaked = compromised("a", 0, 5);
    let labelled =
        KeyRecord { label: KeyLabel::Compromised, off_ring_since: Some(at(5)), ..compromised("a", 0, 5) };
    let pinned = RotationPolicy { pin: Some("a2".to_owned()), ..RotationPolicy::default() };
    for leaked in [leaked.clone(), to_retire(leaked), labelled] {
        let anew = twin("a2", 3, &leaked);
        let alone = plan(&RotationPolicy::default(), &[leaked.clone(), anew.clone()], None, at(6));
        assert_eq!(alone.primary, None);
        assert_eq!(alone.generate.map(|generation| generation.trigger), Some(Trigger::Compromised));
        let succeeded = [leaked.clone(), anew.clone(), key("b", 6)];
        let planned = plan(&pinned, &succeeded, None, at(7));
        assert_eq!((planned.primary.as_deref(), planned.generate), (Some("b"), None));
        assert!(planned.blocked.contains(&Blocked::Pin("a2".to_owned())), "{:?}", planned.blocked);
        assert_eq!(predecessor(&succeeded).map(|key| key.name.as_str()), Some("b"));
        assert!(predecessor(&succeeded[..2]).is_none());
        let [_, anew, b] = &succeeded;
        assert!(is_successor(b, anew, &succeeded, at(3)) && !is_successor(anew, b, &succeeded, at(3)));
    }
}

#[test]
fn a_successor_is_newer_than_every_secret_of_the_compromised_key() {
    let leaked = compromised("a", 0, 5);
    let keys = [leaked.clone(), key("b", 1), twin("a2", 3, &leaked)];
    assert_eq!(
        trigger(&RotationPolicy::default(), &keys, 6),
        Some(Trigger::Compromised),
        "a2 was the newest"
    );
    assert_eq!(trigger(&RotationPolicy::default(), &keys[..2], 6), None, "b had followed a");
}

#[test]
fn a_request_is_not_met_by_the_second_secret_of_a_compromised_key() {
    let leaked = compromised("a", 0, 5);
    let keys = [leaked.clone(), twin("a2", 9, &leaked), key("b", 6)];
    assert_eq!(trigger(&asking(&[8]), &keys, 9), Some(Trigger::Requested));
}

#[test]
fn a_pending_or_unused_secret_of_a_compromised_key_is_left_until_a_person_speaks_of_it() {
    let leaked = compromised("a", 0, 5);
    let unused = KeyRecord { unused_since: Some(at(0)), ..twin("a2", 1, &leaked) };
    let waiting = KeyRecord { label: KeyLabel::Pending, ..twin("a3", 2, &leaked) };
    let keys = [leaked, unused, waiting, key("b", 6), key("c", 7)];
    let changes = plan(&retiring(), &keys, Some(&need(&["b"])), at(99)).changes;
    assert_eq!(changes, []);
}

#[test]
fn a_key_in_two_secrets_counts_once_among_those_that_stay() {
    let old = key("a", 1);
    let ring = [twin("a2", 2, &old), old, key("c", 3)];
    let gone = retired("x", 0, 5);
    let deleted = |ring: &[KeyRecord]| {
        let policy = RotationPolicy { retire_when_unused_for: None, keep_at_least: 3, ..retiring() };
        let keys = [ring, std::slice::from_ref(&gone)].concat();
        plan(&policy, &keys, Some(&need(&[])), at(99)).changes == [change("x", Step::Delete)]
    };
    assert!(!deleted(&ring) && deleted(&[ring.as_slice(), &[key("d", 4)]].concat()));
    let unused = ring.map(|key| KeyRecord { unused_since: Some(at(0)), ..key });
    let retires = |keep_at_least| {
        let policy = RotationPolicy { keep_at_least, ..retiring() };
        let changes = plan(&policy, &unused, Some(&need(&[])), at(99)).changes;
        changes.into_iter().map(|change| change.name).collect::<Vec<_>>()
    };
    assert_eq!(retires(1), ["a", "a2"]);
    assert_eq!(retires(2), ["a"], "the second Secret keeps the key on the ring");
    assert_eq!(retires(3), [""; 0]);
}

#[test]
fn to_retire_a_compromised_key_still_asks_for_its_successor() {
    let keys = [key("a", 0), to_retire(compromised("b", 1, 5))];
    assert_eq!(trigger(&RotationPolicy::default(), &keys, 9), Some(Trigger::Compromised));
    let alone = [to_retire(compromised("b", 1, 5))];
    assert_eq!(trigger(&RotationPolicy::default(), &alone, 9), Some(Trigger::Compromised));
}

#[test]
fn a_compromised_key_that_retires_leaves_as_compromised_when_nothing_needs_it_or_at_its_end() {
    let leaving = |key: KeyRecord, need: Option<&UsageReport>, day| {
        plan(&RotationPolicy::default(), &[key, self::key("b", 7)], need, at(day)).changes
    };
    let removed = [change("a", Step::RemoveCompromised)];
    let unneeded = [Change { requires: Evidence::BOTH, ..removed[0].clone() }];
    assert_eq!(leaving(to_retire(compromised("a", 5, 6)), Some(&need(&["b"])), 9), unneeded);
    assert_eq!(leaving(to_retire(compromised("a", 5, 6)), None, 9_999), []);
    let with_end = || to_retire(ending("a", 5, 6, 50));
    let waiting = plan(&RotationPolicy::default(), &[with_end(), key("b", 7)], None, at(49));
    assert_eq!((waiting.changes, waiting.next_change), (vec![], Some(at(50))));
    assert_eq!(leaving(with_end(), None, 50), removed, "its end was not taken back");
}

#[test]
fn a_key_that_a_person_relabels_active_is_restored() {
    let restored = KeyRecord { off_ring_since: Some(at(3)), ..compromised("a", 5, 1) };
    let planned = plan(&RotationPolicy::default(), &[key("b", 2), restored], None, at(4));
    assert_eq!(planned.primary.as_deref(), Some("a"));
    assert_eq!((planned.generate, planned.changes), (None, vec![change("a", Step::Restore)]));
}

#[test]
fn a_requested_retirement_waits_while_the_key_is_primary_or_used_or_nobody_knows() {
    let wished =
        |day| KeyRecord { desired: DesiredState::Retired, state_since: Some(at(3)), ..key("a", day) };
    let none = RotationPolicy::default();
    let blocked = |keys: &[KeyRecord], need: Option<&UsageReport>| plan(&none, keys, need, at(9)).blocked;
    let name = || "a".to_owned();
    assert_eq!(blocked(&[wished(2), key("b", 1)], Some(&need(&[]))), [Blocked::RetiresWhilePrimary(name())]);
    assert_eq!(blocked(&[wished(0), key("b", 1)], Some(&need(&["a"]))), [Blocked::RetiresWhileUsed(name())]);
    assert_eq!(blocked(&[wished(0), key("b", 1)], None), [Blocked::UsageIncomplete(name())]);
    for view in [undecryptable(), partial()] {
        assert_eq!(blocked(&[wished(0), key("b", 1)], Some(&view)), [Blocked::UsageIncomplete(name())]);
    }
    let planned = plan(&none, &[wished(0), key("b", 1)], Some(&need(&["b"])), at(9));
    assert_eq!(planned.changes, [change("a", Step::Retire)]);
}

#[test]
fn by_default_no_key_ever_retires_or_goes() {
    let keys = [key("a", 0), key("b", 1), key("c", 2), key("d", 3), retired("e", 0, 1)];
    assert_eq!(plan(&RotationPolicy::default(), &keys, Some(&need(&[])), at(9_999)).changes, []);
}

#[test]
fn a_key_retires_when_nothing_has_needed_it_for_long_enough() {
    let steps = |unused_since: Option<i64>, used: &[&str], day| {
        let old = KeyRecord { unused_since: unused_since.map(at), ..key("a", 0) };
        plan(&retiring(), &[old, key("b", 1), key("c", 2)], Some(&need(used)), at(day))
            .changes
            .into_iter()
            .filter(|change| change.name == "a")
            .map(|change| change.step)
            .collect::<Vec<_>>()
    };
    assert_eq!(steps(None, &["b"], 5), [Step::RecordUnused]);
    assert_eq!(steps(Some(5), &["b"], 14), []);
    assert_eq!(steps(Some(5), &["b"], 15), [Step::Retire]);
    assert_eq!(steps(Some(5), &["a"], 15), [Step::RecordUsed]);
}

#[test]
fn the_primary_the_newest_and_the_last_ones_never_retire_by_themselves() {
    let unused = |key: KeyRecord| KeyRecord { unused_since: Some(at(0)), ..key };
    let retires = |policy: &RotationPolicy, keys: &[KeyRecord]| {
        let changes = plan(policy, keys, Some(&need(&[])), at(99)).changes;
        let retiring = changes.into_iter().filter(|change| change.step == Step::Retire);
        retiring.map(|change| change.name).collect::<Vec<_>>()
    };
    let keys = [unused(key("a", 0)), unused(key("b", 1)), unused(key("c", 2)), unused(key("d", 3))];
    assert_eq!(retires(&retiring(), &keys), ["a", "b"]);
    assert_eq!(retires(&RotationPolicy { keep_at_least: 4, ..retiring() }, &keys), [""; 0]);
    let pinned = RotationPolicy { pin: Some("a".to_owned()), ..retiring() };
    assert_eq!(retires(&pinned, &keys), ["b", "c"]);
}

#[test]
fn without_a_complete_report_nothing_retires_and_that_is_reported() {
    let old = KeyRecord { unused_since: Some(at(0)), ..key("a", 0) };
    let keys = [old, key("b", 1), key("c", 2)];
    for (view, steps) in [
        (None, vec![]),
        (Some(&undecryptable()), vec![change("a", Step::RecordUsed)]),
        (Some(&partial()), vec![change("a", Step::RecordUsed)]),
    ] {
        let planned = plan(&retiring(), &keys, view, at(99));
        assert_eq!((planned.changes, planned.blocked), (steps, vec![Blocked::Retention]));
    }
}

#[test]
fn without_a_complete_report_retention_is_blocked_from_the_first_day() {
    let keys = [key("a", 0), key("b", 1), key("c", 2), key("d", 3)];
    let told = |policy: &RotationPolicy, keys: &[KeyRecord], view: Option<&UsageReport>| {
        let planned = plan(policy, keys, view, at(3));
        (planned.changes, planned.blocked)
    };
    for view in [undecryptable(), partial()] {
        let once = vec![Blocked::Retention];
        assert_eq!(told(&retiring(), &keys, Some(&view)), (vec![], once), "of a and b together");
        assert_eq!(told(&retiring(), &keys[..2], Some(&view)), (vec![], vec![]), "both are kept anyway");
        assert_eq!(told(&RotationPolicy::default(), &keys, Some(&view)), (vec![], vec![]));
    }
    assert_eq!(told(&retiring(), &keys, None), (vec![], vec![]), "it may be known in a moment");
}

#[test]
fn time_in_which_nobody_knew_does_not_count() {
    let others = [key("b", 1), key("c", 2)];
    let steps = |unused_since: Option<i64>, view: &UsageReport, day| {
        let old = KeyRecord { unused_since: unused_since.map(at), ..key("a", 0) };
        plan(&retiring(), &[[old].as_slice(), &others].concat(), Some(view), at(day)).changes
    };
    for view in [undecryptable(), partial()] {
        assert_eq!(steps(Some(0), &view, 5), [change("a", Step::RecordUsed)]);
        assert_eq!(steps(None, &view, 6), [], "once");
    }
    assert_eq!(steps(None, &need(&["b"]), 99), [change("a", Step::RecordUnused)]);
}

#[test]
fn a_retired_key_is_deleted_only_if_the_policy_permits_it_and_enough_keys_remain() {
    let keys = [retired("a", 0, 5), key("b", 1), key("c", 2)];
    let deletes = |policy: &RotationPolicy, keys: &[KeyRecord], need: Option<&UsageReport>, day| {
        plan(policy, keys, need, at(day)).changes.contains(&change("a", Step::Delete))
    };
    assert!(!deletes(&retiring(), &keys, Some(&need(&[])), 24));
    assert!(deletes(&retiring(), &keys, Some(&need(&[])), 25));
    assert!(!deletes(&retiring(), &keys, None, 25));
    assert!(!deletes(&retiring(), &keys, Some(&undecryptable()), 25));
    assert!(!deletes(&retiring(), &keys, Some(&partial()), 25));
    assert!(
        !deletes(&retiring(), &keys, Some(&need(&["a"])), 25),
        "what it opened was not opened with the others yet"
    );
    assert!(!deletes(&retiring(), &keys[..2], Some(&need(&[])), 25));
    assert!(!deletes(&RotationPolicy { keep_at_least: 1, ..retiring() }, &keys[..2], Some(&need(&[])), 25));
}

#[test]
fn a_retired_secret_whose_key_is_on_the_ring_in_another_one_is_deleted_though_the_key_is_needed() {
    let old = retired("a", 0, 5);
    let deletes = |keys: &[KeyRecord]| {
        let planned = plan(&retiring(), keys, Some(&need(&["a"])), at(99));
        (planned.changes.contains(&change("a", Step::Delete)), planned.blocked)
    };
    let again = twin("a2", 1, &old);
    let blocked = Blocked::UsageIncomplete("a".to_owned());
    assert_eq!(deletes(&[old.clone(), again.clone(), key("b", 1), key("c", 2)]), (true, vec![]));
    let gone = KeyRecord { label: KeyLabel::Retired, off_ring_since: Some(at(98)), ..again };
    assert_eq!(deletes(&[old, gone, key("b", 1), key("c", 2)]), (false, vec![blocked]));
}

#[test]
fn a_secret_that_records_a_compromise_is_never_deleted() {
    let told =
        KeyRecord { compromised_since: Some(at(6)), desired: DesiredState::Retired, ..retired("a", 0, 5) };
    let told = KeyRecord { state_since: Some(at(7)), ..told };
    let keys = [told.clone(), twin("a2", 1, &told), key("b", 1), key("c", 2)];
    let planned = plan(&retiring(), &keys, Some(&need(&["b"])), at(99));
    assert_eq!(planned.primary.as_deref(), Some("c"));
    assert!(!planned.changes.contains(&change("a", Step::Delete)), "{:?}", planned.changes);
}

#[test]
fn when_a_retired_key_was_relabelled_by_hand_its_time_starts_when_that_is_seen() {
    let labelled = KeyRecord { off_ring_since: None, ..retired("a", 0, 0) };
    let planned = plan(&retiring(), &[labelled, key("b", 1), key("c", 2)], Some(&need(&["b"])), at(99));
    assert_eq!(planned.changes, [change("a", Step::RecordRemoval)]);
}

#[test]
fn a_key_that_leaves_the_ring_on_request_is_not_counted_among_those_that_stay() {
    let old = KeyRecord { unused_since: Some(at(0)), ..key("a", 0) };
    let changes =
        plan(&retiring(), &[ending("x", 0, 1, 9), old, key("c", 2)], Some(&need(&["c"])), at(50)).changes;
    assert_eq!(changes, [change("x", Step::RemoveCompromised)]);
}

/// Known answers: `printf 'SEED\0N' | sha256sum | cut -c1-10 | xxd -r -p | base32 | tr A-Z a-z`.
#[test]
fn the_name_of_a_successor_equals_the_one_that_the_shell_computes() {
    assert_eq!(successor_name("sealed-secrets-key", "uid-1", 0), "sealed-secrets-keyuuybzthh");
    let key = KeyPair::from_pem(include_bytes!("data/rsa2048-pkcs1.pem")).unwrap();
    assert_eq!(successor_name("k", key.fingerprint().as_str(), 3), "krqra6w2m");
}

#[test]
fn two_plans_of_the_same_are_the_same_whatever_the_order_of_the_list() {
    let keys = vec![key("a", 0), compromised("b", 1, 5), pending("c", 4), retired("d", 0, 1)];
    let reversed: Vec<_> = keys.iter().rev().cloned().collect();
    let summary = |keys: &[KeyRecord]| {
        let plan = plan(&retiring(), keys, Some(&need(&["a"])), at(40));
        let changes: BTreeSet<_> = plan.changes.iter().map(|change| format!("{change:?}")).collect();
        (plan.primary, plan.generate, changes, plan.next_change)
    };
    assert_eq!(summary(&keys), summary(&reversed));
}

#[test]
fn a_key_that_is_off_the_ring_and_asks_for_nothing_is_left_as_it_is() {
    let labelled = |name: &str, label| KeyRecord { label, ..key(name, 0) };
    let keys = [
        labelled("old", KeyLabel::Compromised),
        labelled("unused", KeyLabel::Retired),
        labelled("else", KeyLabel::Other),
        KeyRecord { facts: None, ..labelled("rubbish", KeyLabel::Compromised) },
        key("b", 1),
    ];
    assert_eq!(plan(&RotationPolicy::default(), &keys, Some(&need(&[])), at(2)).changes, []);
}
