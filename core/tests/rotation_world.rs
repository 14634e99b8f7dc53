//! Rotation in a world of clocks that jump, people who change their minds and replicas that see things late: whatever happens,
//! keys only grow by what was asked for.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::rotation::{
    KeyFacts, KeyLabel, KeyRecord, Need, RotationPolicy, Step, Wish, is_successor, plan, predecessor,
    successor_name,
};

const HOUR: i64 = 3_600;
/// More turns than this without a new event are a loop.
const TURNS: usize = 40;

#[derive(Clone, Debug)]
enum Event {
    /// All clocks move, either way.
    Clock {
        hours: i64,
    },
    /// A request for a moment this far from now.
    Request {
        hours: i64,
    },
    Compromise {
        which: usize,
    },
    WishRetired {
        which: usize,
    },
    Relabel {
        which: usize,
        label: KeyLabel,
    },
    /// A Secret is deleted by hand.
    Vanish {
        which: usize,
    },
    /// Something is sealed to the primary, or everything sealed so far is removed.
    Seal,
    UnsealAll,
    /// A policy names the key that leads.
    Pin {
        which: usize,
    },
    /// One replica plans from what it saw before the last turn, and acts on it now.
    StaleReplica,
}

fn event() -> impl Strategy<Value = Event> {
    let label = prop_oneof![
        Just(KeyLabel::Active),
        Just(KeyLabel::Pending),
        Just(KeyLabel::Compromised),
        Just(KeyLabel::Retired),
        Just(KeyLabel::Other)
    ];
    prop_oneof![
        4 => (-9_000_i64..9_000).prop_map(|hours| Event::Clock { hours }),
        4 => (1_i64..900).prop_map(|hours| Event::Clock { hours }),
        3 => (-500_i64..500).prop_map(|hours| Event::Request { hours }),
        2 => (0_usize..9).prop_map(|which| Event::Compromise { which }),
        1 => (0_usize..9).prop_map(|which| Event::WishRetired { which }),
        1 => ((0_usize..9), label).prop_map(|(which, label)| Event::Relabel { which, label }),
        1 => (0_usize..9).prop_map(|which| Event::Vanish { which }),
        2 => Just(Event::Seal),
        1 => Just(Event::UnsealAll),
        1 => (0_usize..9).prop_map(|which| Event::Pin { which }),
        2 => Just(Event::StaleReplica),
    ]
}

fn policy() -> impl Strategy<Value = RotationPolicy> {
    let hours =
        |most: i64| prop::option::of((1..most).prop_map(|hours| SignedDuration::from_secs(hours * HOUR)));
    (any::<bool>(), hours(900), 0_i64..40, 1_usize..5, hours(200), hours(200)).prop_map(
        |(suspended, every, delay, keep_at_least, retire_when_unused_for, delete_after_retired)| {
            RotationPolicy {
                suspended,
                every,
                activation_delay: every.map_or(SignedDuration::ZERO, |every| {
                    every.min(SignedDuration::from_secs(delay * HOUR)) / 2
                }),
                keep_at_least,
                retire_when_unused_for,
                delete_after_retired,
                ..RotationPolicy::default()
            }
        },
    )
}

struct World {
    now: Timestamp,
    policy: RotationPolicy,
    keys: Vec<KeyRecord>,
    before: Vec<KeyRecord>,
    sealed_to: BTreeSet<Fingerprint>,
    /// Successors that were ever made of each key.
    successors: BTreeMap<Option<Fingerprint>, BTreeSet<String>>,
    made: usize,
    /// Keys that were compromised and that no person has put back since.
    leaked: BTreeSet<Fingerprint>,
}

impl World {
    fn new(policy: RotationPolicy) -> Self {
        Self {
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            policy,
            keys: Vec::new(),
            before: Vec::new(),
            sealed_to: BTreeSet::new(),
            successors: BTreeMap::new(),
            made: 0,
            leaked: BTreeSet::new(),
        }
    }

    fn need(&self) -> Need {
        let opens = |sealed: &Fingerprint| self.ring().contains(sealed);
        let undecryptable = !self.sealed_to.iter().all(opens);
        Need { used: self.sealed_to.clone(), undecryptable, ..Need::default() }
    }

    fn ring(&self) -> BTreeSet<Fingerprint> {
        self.keys.iter().filter_map(|key| Some(key.on_ring()?.fingerprint.clone())).collect()
    }

    fn happen(&mut self, event: &Event) {
        let count = self.keys.len().max(1);
        let now = self.now;
        let key = |keys: &'_ mut Vec<KeyRecord>, which: usize, change: &dyn Fn(&mut KeyRecord)| {
            if let Some(key) = keys.get_mut(which % count) {
                change(key);
            }
        };
        match *event {
            Event::Clock { hours } => self.now += SignedDuration::from_secs(hours * HOUR),
            Event::Request { hours } => {
                self.policy.requests.push(now + SignedDuration::from_secs(hours * HOUR));
            }
            Event::Compromise { which } => {
                self.leaked.extend(self.keys.get(which % count).and_then(fingerprint));
                key(&mut self.keys, which, &|key| {
                    (key.wish, key.wish_since) = (Wish::Compromised { decrypt_until: None }, None);
                });
            }
            Event::Pin { which } => {
                self.policy.pin = self.keys.get(which % count).map(|key| key.name.clone());
            }
            Event::WishRetired { which } => key(&mut self.keys, which, &|key| {
                (key.wish, key.wish_since) = (Wish::Retired, None);
            }),
            Event::Relabel { which, label } => key(&mut self.keys, which, &|key| key.label = label),
            Event::Vanish { which } => {
                if which < self.keys.len() {
                    self.keys.remove(which);
                }
            }
            Event::Seal => self.sealed_to.extend(self.primary()),
            Event::UnsealAll => self.sealed_to.clear(),
            Event::StaleReplica => {
                let stale = std::mem::take(&mut self.before);
                self.turn(&stale);
            }
        }
    }

    fn primary(&self) -> Option<Fingerprint> {
        let name = plan(&self.policy, &self.keys, None, self.now).primary?;
        Some(self.keys.iter().find(|key| key.name == name)?.facts.as_ref()?.fingerprint.clone())
    }

    /// One turn of one replica that has seen `seen`. Returns whether it did anything.
    fn turn(&mut self, seen: &[KeyRecord]) -> bool {
        let need = self.need();
        let planned = plan(&self.policy, seen, Some(&need), self.now);
        let mut acted = false;
        for change in &planned.changes {
            // A precondition on the version: what was seen must still be so.
            let as_seen = seen.iter().find(|key| key.name == change.name);
            if let Some(at) = self.keys.iter().position(|key| Some(key) == as_seen) {
                acted = true;
                self.write(at, change.step);
            }
        }
        if let Some(generation) = planned.generate.filter(|_| planned.changes.is_empty()) {
            acted |= self.make(seen, generation.pending);
        }
        acted
    }

    fn write(&mut self, at: usize, step: Step) {
        let now = self.now;
        let key = &mut self.keys[at];
        match step {
            Step::Activate => key.label = KeyLabel::Active,
            Step::Retire => (key.label, key.off_ring_since) = (KeyLabel::Retired, Some(now)),
            Step::Expel => (key.label, key.off_ring_since) = (KeyLabel::Compromised, Some(now)),
            Step::Restore => {
                (key.wish, key.wish_since, key.off_ring_since) = (Wish::Active, None, None);
                key.compromised_since = None;
                fingerprint(key).map(|fingerprint| self.leaked.remove(&fingerprint));
            }
            Step::NoteWish => {
                key.wish_since.get_or_insert(now);
                if matches!(key.wish, Wish::Compromised { .. }) {
                    key.compromised_since.get_or_insert(now);
                }
            }
            Step::NoteOffRing => key.off_ring_since = Some(now),
            Step::NoteUnused => key.unused_since = Some(now),
            Step::NoteUsed => key.unused_since = None,
            Step::Delete => drop(self.keys.remove(at)),
        }
    }

    fn make(&mut self, seen: &[KeyRecord], pending: bool) -> bool {
        let newest = predecessor(seen);
        let fingerprint = newest.and_then(|key| Some(key.facts.as_ref()?.fingerprint.clone()));
        for n in 0.. {
            let name = successor_name("k", "uid", fingerprint.as_ref(), n);
            let is_named = |key: &&KeyRecord| key.name == name;
            match (seen.iter().find(is_named), newest) {
                (Some(taken), Some(newest)) if is_successor(taken, newest, seen, self.now) => return false,
                (Some(_), _) => {}
                (None, _) if self.keys.iter().any(|key| key.name == name) => return false,
                (None, _) => {
                    self.create(name, fingerprint, pending);
                    return true;
                }
            }
        }
        unreachable!("some name is free")
    }

    fn create(&mut self, name: String, newest: Option<Fingerprint>, pending: bool) {
        self.made += 1;
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.made.to_be_bytes());
        let fingerprint: Fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)).parse().unwrap();
        self.successors.entry(newest).or_default().insert(name.clone());
        self.keys.push(KeyRecord {
            name,
            facts: Some(KeyFacts {
                fingerprint,
                not_before: self.now,
                order_time: self.now,
                has_certificate: true,
            }),
            label: if pending { KeyLabel::Pending } else { KeyLabel::Active },
            created: self.now,
            wish: Wish::Active,
            wish_since: None,
            compromised_since: None,
            decrypt_until: None,
            off_ring_since: None,
            unused_since: None,
        });
    }

    /// Turns until nothing is left to do. Returns how many keys were made.
    fn settle(&mut self) -> Result<usize, TestCaseError> {
        let made = self.made;
        for _ in 0..TURNS {
            let seen = self.keys.clone();
            self.before.clone_from(&seen);
            if !self.turn(&seen) {
                let wanted = plan(&self.policy, &self.keys, Some(&self.need()), self.now).generate;
                prop_assert!(wanted.is_none(), "{wanted:?} is never met: {:#?}", self.keys);
                return Ok(self.made - made);
            }
        }
        Err(TestCaseError::fail(format!("no end of turns: {:#?}", self.keys)))
    }
}

fn fingerprint(key: &KeyRecord) -> Option<Fingerprint> {
    Some(key.facts.as_ref()?.fingerprint.clone())
}

fn is_a_persons_hand(event: &Event) -> bool {
    matches!(
        event,
        Event::Compromise { .. } | Event::WishRetired { .. } | Event::Relabel { .. } | Event::Vanish { .. }
    )
}

proptest! {
    #[test]
    fn every_event_makes_at_most_one_key_and_then_there_is_peace(policy in policy(), events in prop::collection::vec(event(), 1..30)) {
        let mut world = World::new(policy);
        prop_assert_eq!(world.settle()?, 1);
        for event in events {
            let made = world.made;
            world.happen(&event);
            let settled = world.settle()?;
            let all = world.made - made;
            prop_assert!(all <= 1, "{event:?} made {all} keys, {settled} while settling");
            let Some(primary) = world.primary() else {
                return Err(TestCaseError::fail(format!("after {event:?} no key leads")));
            };
            prop_assert!(!world.leaked.contains(&primary), "after {event:?} a key leads that had leaked");
        }
    }

    #[test]
    fn what_was_sealed_opens_as_long_as_no_person_takes_a_key_away(policy in policy(), events in prop::collection::vec(event(), 1..30)) {
        let mut world = World::new(policy);
        world.settle()?;
        for event in events.iter().filter(|event| !is_a_persons_hand(event)) {
            world.happen(event);
            world.settle()?;
            prop_assert!(!world.need().undecryptable, "after {event:?}");
        }
    }

    #[test]
    fn where_nothing_may_retire_the_ring_only_grows(mut policy in policy(), events in prop::collection::vec(event(), 1..30)) {
        (policy.retire_when_unused_for, policy.delete_after_retired) = (None, None);
        let mut world = World::new(policy);
        world.settle()?;
        for event in events.iter().filter(|event| !is_a_persons_hand(event)) {
            let ring = world.ring();
            world.happen(event);
            world.settle()?;
            prop_assert!(world.ring().is_superset(&ring), "after {event:?}");
        }
    }

    #[test]
    fn three_replicas_that_act_on_the_same_view_make_one_successor(policy in policy(), hours in 1_i64..5_000) {
        let mut world = World::new(policy);
        world.settle()?;
        world.happen(&Event::Clock { hours });
        let seen = world.keys.clone();
        for _ in 0..3 {
            world.turn(&seen);
        }
        for (newest, successors) in &world.successors {
            prop_assert!(successors.len() <= 1, "{newest:?} has {successors:?}");
        }
    }
}
