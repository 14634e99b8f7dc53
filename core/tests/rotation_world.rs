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
        /// It still opens for so long.
        until: Option<i64>,
    },
    /// A person brings a key along: begun some hours from now, maybe without a certificate that could be offered.
    Bring {
        hours: i64,
        has_certificate: bool,
    },
    /// A certificate is issued anew, in a second Secret with the same key.
    Reissue {
        which: usize,
        hours: i64,
    },
    /// A Secret is put back from a backup: created now.
    PutBack {
        which: usize,
    },
    /// From now on keys arrive by themselves, or are made again.
    External {
        external: bool,
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
        2 => (0_usize..9, prop::option::of(0_i64..500))
            .prop_map(|(which, until)| Event::Compromise { which, until }),
        2 => (-500_i64..24, any::<bool>())
            .prop_map(|(hours, has_certificate)| Event::Bring { hours, has_certificate }),
        2 => (0_usize..9, -500_i64..24).prop_map(|(which, hours)| Event::Reissue { which, hours }),
        1 => (0_usize..9).prop_map(|which| Event::PutBack { which }),
        1 => any::<bool>().prop_map(|external| Event::External { external }),
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
    brought: usize,
    /// Whether the last key that was wanted was not made, since another has its name.
    is_outdone: bool,
    /// Whether the creation of the Secrets orders the keys, and not the start of their validity.
    by_creation: bool,
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
            brought: 0,
            is_outdone: false,
            by_creation: false,
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
            Event::Compromise { which, until } => {
                self.leaked.extend(self.keys.get(which % count).and_then(fingerprint));
                let decrypt_until = until.map(|hours| now + SignedDuration::from_secs(hours * HOUR));
                key(&mut self.keys, which, &|key| {
                    (key.wish, key.wish_since) = (Wish::Compromised { decrypt_until }, None);
                    key.decrypt_until = decrypt_until;
                });
            }
            Event::Pin { which } => {
                self.policy.pin = self.keys.get(which % count).map(|key| key.name.clone());
            }
            Event::Bring { hours, has_certificate } => self.bring(hours, has_certificate),
            Event::Reissue { which, hours } => {
                if let Some(same) = self.keys.get(which % count).and_then(fingerprint) {
                    self.bring(hours, true);
                    let facts = self.keys.last_mut().and_then(|key| key.facts.as_mut());
                    facts.expect("it was brought").fingerprint = same;
                }
            }
            Event::PutBack { which } => {
                let by_creation = self.by_creation;
                key(&mut self.keys, which, &|key| {
                    key.created = now;
                    if let Some(facts) = key.facts.as_mut().filter(|_| by_creation) {
                        facts.order_time = now;
                    }
                });
            }
            Event::External { external } => self.policy.external = external,
            Event::WishRetired { which } => key(&mut self.keys, which, &|key| {
                (key.wish, key.wish_since) = (Wish::Retired, None);
            }),
            Event::Relabel { which, label } => key(&mut self.keys, which, &|key| key.label = label),
            Event::Vanish { which } => {
                if which < self.keys.len() {
                    self.keys.remove(which);
                    self.take_back();
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
                self.take_back();
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
        let names: Vec<_> = (0..100).map(|n| successor_name("k", "uid", fingerprint.as_ref(), n)).collect();
        let stands_in = |key: &KeyRecord| {
            names.contains(&key.name)
                && newest.is_some_and(|newest| is_successor(key, newest, seen, self.now))
        };
        self.is_outdone = seen.iter().any(stands_in);
        if self.is_outdone {
            return false;
        }
        let is_listed = |name: &String| seen.iter().any(|key| key.name == *name);
        let name = names.into_iter().find(|name| !is_listed(name)).expect("some name is free");
        // Who was faster has done the work.
        let is_free = self.keys.iter().all(|key| key.name != name);
        if is_free {
            self.create(name, fingerprint, pending);
        }
        is_free
    }

    fn create(&mut self, name: String, newest: Option<Fingerprint>, pending: bool) {
        self.made += 1;
        self.successors.entry(newest).or_default().insert(name.clone());
        let label = if pending { KeyLabel::Pending } else { KeyLabel::Active };
        self.add(name, label, self.now, true);
    }

    fn bring(&mut self, hours: i64, has_certificate: bool) {
        self.brought += 1;
        // One without a certificate counts from its creation.
        let hours = if has_certificate { hours } else { 0 };
        let not_before = self.now + SignedDuration::from_secs(hours * HOUR);
        self.add(format!("brought-{}", self.brought), KeyLabel::Active, not_before, has_certificate);
    }

    fn add(&mut self, name: String, label: KeyLabel, not_before: Timestamp, has_certificate: bool) {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(self.made + self.brought).to_be_bytes());
        let fingerprint: Fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)).parse().unwrap();
        let order_time = if self.by_creation { self.now } else { not_before };
        self.keys.push(KeyRecord {
            name,
            facts: Some(KeyFacts { fingerprint, not_before, order_time, has_certificate }),
            label,
            created: self.now,
            wish: Wish::Active,
            wish_since: None,
            compromised_since: None,
            decrypt_until: None,
            off_ring_since: None,
            unused_since: None,
        });
    }

    /// A person has put a key back, or taken the Secret away that told of its leak.
    fn take_back(&mut self) {
        let told = self.keys.iter().filter(|key| key.is_compromised()).filter_map(fingerprint);
        let told: BTreeSet<_> = told.collect();
        self.leaked.retain(|key| told.contains(key));
    }

    /// Whether a key made now might not be newer than the key that is judged, which came a moment ago.
    fn is_unsettled(&self) -> bool {
        let settled = |key: &KeyRecord| key.created + SignedDuration::from_mins(10) <= self.now;
        predecessor(&self.keys).is_some_and(|key| !settled(key))
    }

    /// Turns until nothing is left to do. Returns how many keys were made.
    fn settle(&mut self) -> Result<usize, TestCaseError> {
        let made = self.made;
        for _ in 0..TURNS {
            let seen = self.keys.clone();
            self.before.clone_from(&seen);
            if !self.turn(&seen) {
                let wanted = plan(&self.policy, &self.keys, Some(&self.need()), self.now).generate;
                prop_assert!(
                    wanted.is_none() || (self.is_outdone && self.is_unsettled()),
                    "{wanted:?} is never met: {:#?}",
                    self.keys
                );
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
    fn every_event_makes_at_most_one_key_and_then_there_is_peace(
        policy in policy(), by_creation in any::<bool>(), events in prop::collection::vec(event(), 1..30)
    ) {
        let mut world = World { by_creation, ..World::new(policy) };
        prop_assert_eq!(world.settle()?, 1);
        for event in events {
            let made = world.made;
            world.happen(&event);
            let settled = world.settle()?;
            let all = world.made - made;
            prop_assert!(all <= 1, "{event:?} made {all} keys, {settled} while settling");
            let primary = world.primary();
            prop_assert!(primary.is_some() || world.policy.external, "after {event:?} no key leads");
            let leaked = primary.filter(|primary| world.leaked.contains(primary));
            prop_assert!(leaked.is_none(), "after {event:?} a key leads that had leaked");
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
