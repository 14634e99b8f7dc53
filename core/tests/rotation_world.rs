//! Simulation of rotation with jumping clocks, changing user requests and stale replicas. In all cases, the number of new keys
//! stays within the number requested.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::rotation::{
    DesiredState, KeyFacts, KeyLabel, KeyRecord, Plan, RotationPolicy, Step, UsageReport, is_successor, plan,
    predecessor, successor_name,
};

const HOUR: i64 = 3_600;
/// Maximum number of turns without a new event; more are a loop.
const TURNS: usize = 40;

#[derive(Clone, Debug)]
enum Event {
    /// All clocks move forward or back.
    Clock {
        hours: i64,
    },
    /// A request for a time this far from now.
    Request {
        hours: i64,
    },
    Compromise {
        which: usize,
        /// Time until which the key still decrypts.
        until: Option<i64>,
    },
    /// A user adds a key that begins some hours from now, possibly without a usable certificate.
    Bring {
        hours: i64,
        has_certificate: bool,
    },
    /// A certificate is reissued, in a second Secret with the same key.
    Reissue {
        which: usize,
        hours: i64,
    },
    /// A Secret is restored from a backup, with the current time as its creation.
    PutBack {
        which: usize,
    },
    /// From now on, keys are delivered externally, or are created again.
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
    /// A Secret is deleted by a user.
    Vanish {
        which: usize,
    },
    /// An item is sealed to the primary key, or all sealed items are removed.
    Seal,
    UnsealAll,
    /// A policy pins the primary key.
    Pin {
        which: usize,
    },
    /// One replica plans from its view before the last turn, and acts now.
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
    /// All successors ever created of each key.
    successors: BTreeMap<Option<Fingerprint>, BTreeSet<String>>,
    made: usize,
    /// Compromised keys that no user has put back since.
    leaked: BTreeSet<Fingerprint>,
    brought: usize,
    /// True if the last due key was not created, since another one has its name.
    is_outdone: bool,
    /// True if keys are ordered by creation of their Secrets instead of the start of validity.
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

    fn need(&self) -> UsageReport {
        let decrypts = |sealed: &Fingerprint| self.ring().contains(sealed);
        let undecryptable = !self.sealed_to.iter().all(decrypts);
        UsageReport { used: self.sealed_to.clone(), undecryptable, ..UsageReport::default() }
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
                    (key.desired, key.state_since) = (DesiredState::Compromised { decrypt_until }, None);
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
                (key.desired, key.state_since) = (DesiredState::Retired, None);
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

    /// Runs one turn of a replica whose view is `seen`. Returns true if it acted.
    fn turn(&mut self, seen: &[KeyRecord]) -> bool {
        let need = self.need();
        let planned = plan(&self.policy, seen, Some(&need), self.now);
        let mut acted = false;
        for change in &planned.changes {
            // Precondition on the resource version: the Secret must be unchanged.
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
            Step::RemoveCompromised => (key.label, key.off_ring_since) = (KeyLabel::Compromised, Some(now)),
            Step::Restore => {
                (key.desired, key.state_since, key.off_ring_since) = (DesiredState::Active, None, None);
                key.compromised_since = None;
                self.take_back();
            }
            Step::RecordRequest => {
                key.state_since.get_or_insert(now);
                if matches!(key.desired, DesiredState::Compromised { .. }) {
                    key.compromised_since.get_or_insert(now);
                }
            }
            Step::RecordRemoval => key.off_ring_since = Some(now),
            Step::RecordUnused => key.unused_since = Some(now),
            Step::RecordUsed => key.unused_since = None,
            Step::Delete => drop(self.keys.remove(at)),
        }
    }

    fn make(&mut self, seen: &[KeyRecord], pending: bool) -> bool {
        let newest = predecessor(seen);
        let fingerprint = newest.and_then(|key| Some(key.facts.as_ref()?.fingerprint.clone()));
        let origin = fingerprint.as_ref().map_or("uid", Fingerprint::as_str);
        let names: Vec<_> = (0..100).map(|n| successor_name("k", origin, n)).collect();
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
        // If another replica was faster, the key exists.
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
        // A key without a certificate counts from its creation.
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
            desired: DesiredState::Active,
            state_since: None,
            compromised_since: None,
            decrypt_until: None,
            off_ring_since: None,
            unused_since: None,
        });
    }

    /// Compares the plan with plans for all other usages and for the minimum and maximum time.
    fn check_evidence(&self) -> Result<(), TestCaseError> {
        let planned = |usage, now| plan(&self.policy, &self.keys, usage, now);
        let unused = UsageReport::default();
        let all_used =
            UsageReport { used: self.keys.iter().filter_map(fingerprint).collect(), ..unused.clone() };
        let unknown = UsageReport { undecryptable: true, ..unused.clone() };
        let of_world = self.need();
        let usages = [None, Some(&unused), Some(&all_used), Some(&unknown), Some(&of_world)];
        let plans = usages.map(|usage| planned(usage, self.now));
        let outcome = |plan: &Plan| (plan.changes.clone(), plan.blocked.clone());
        let differ = plans.iter().any(|plan| outcome(plan) != outcome(&plans[0]));
        for (usage, plan) in usages.into_iter().zip(&plans) {
            prop_assert_eq!(plan.follows_usage, differ, "{:#?}", self.keys);
            let at_the_ends = [Timestamp::MIN, Timestamp::MAX].map(|now| planned(usage, now).changes);
            for change in &plan.changes {
                let without_usage = plans[0].changes.contains(change);
                prop_assert_eq!(change.requires.usage, !without_usage, "{:?} of {:#?}", change, self.keys);
                let at_any_time = at_the_ends.iter().all(|changes| changes.contains(change));
                let without_clock = at_any_time && !is_dated(change.step);
                prop_assert_eq!(change.requires.clock, !without_clock, "{:?} of {:#?}", change, self.keys);
            }
        }
        Ok(())
    }

    /// A user has put a key back, or removed the Secret that recorded the compromise.
    fn take_back(&mut self) {
        let told = self.keys.iter().filter(|key| key.is_compromised()).filter_map(fingerprint);
        let told: BTreeSet<_> = told.collect();
        self.leaked.retain(|key| told.contains(key));
    }

    /// Returns true if a new key might not be newer than the newest one, which was created a moment ago.
    fn is_unsettled(&self) -> bool {
        let settled = |key: &KeyRecord| key.created + SignedDuration::from_mins(10) <= self.now;
        predecessor(&self.keys).is_some_and(|key| !settled(key))
    }

    /// Runs turns until nothing is left to do. Returns the number of keys created.
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

/// Returns true if the step writes the current time.
fn is_dated(step: Step) -> bool {
    match step {
        Step::Retire
        | Step::RemoveCompromised
        | Step::RecordRequest
        | Step::RecordRemoval
        | Step::RecordUnused => true,
        Step::Activate | Step::Delete | Step::Restore | Step::RecordUsed => false,
    }
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
    fn a_change_requires_exactly_the_evidence_without_which_it_would_not_be_planned(
        policy in policy(), events in prop::collection::vec(event(), 1..30)
    ) {
        let mut world = World::new(policy);
        world.check_evidence()?;
        for event in events {
            world.settle()?;
            world.happen(&event);
            world.check_evidence()?;
            // Some steps are planned only after others.
            let seen = world.keys.clone();
            world.turn(&seen);
            world.check_evidence()?;
        }
    }

    #[test]
    fn sealed_items_decrypt_as_long_as_no_user_removes_a_key(policy in policy(), events in prop::collection::vec(event(), 1..30)) {
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
