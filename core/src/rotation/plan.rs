//! Rotation decision, as a plan: the primary key, and which keys to create, activate, retire and delete. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::compromise::{Compromised, candidates, compromised};
use super::policy::RotationPolicy;
use super::record::{DesiredState, KeyFacts, KeyLabel, KeyRecord};
use crate::crypto::Fingerprint;

/// Twice the maximum clock difference between replicas that create keys.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// Keys in use, as this process observed when it decrypted all SealedSecrets of the cluster. Stored status is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Keys that decrypted at least one item.
    pub used: BTreeSet<Fingerprint>,
    /// True if some item did not decrypt: it may need a key that nothing else needs.
    pub undecryptable: bool,
    /// True if SealedSecrets may exist that this process does not watch.
    pub partial: bool,
}

impl UsageReport {
    /// Returns true if no key outside of [`used`](Self::used) can be needed. Otherwise that set says nothing about the other
    /// keys.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.undecryptable && !self.partial
    }
}

/// Reason for creating a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// No key can be offered for sealing.
    NoKey,
    /// The newest key is compromised.
    Compromised,
    /// The newest key is older than a requested time.
    Requested,
    /// The newest key has reached the rotation period.
    PeriodOver,
}

/// Creation of a successor of the newest key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Reason for the creation.
    pub trigger: Trigger,
    /// True if the key must wait for its activation; it then gets the pending label.
    pub pending: bool,
}

/// Inputs that a decision depends on besides policy and keys. The decision is the same for all values of an input
/// that it does not require.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The current time: it was compared, or it is written.
    pub clock: bool,
    /// The usage of keys.
    pub usage: bool,
}

impl Evidence {
    /// No evidence.
    pub const NONE: Self = Self { clock: false, usage: false };
    /// The clock only.
    pub const CLOCK: Self = Self { clock: true, usage: false };
    /// The usage only.
    pub const USAGE: Self = Self { clock: false, usage: true };
    /// The clock and the usage.
    pub const BOTH: Self = Self { clock: true, usage: true };
}

/// One write to one key Secret. The changes of a plan may be made in any order, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the Secret.
    pub name: String,
    /// The write.
    pub step: Step,
    /// Inputs that the write depends on.
    pub requires: Evidence,
}

/// Kind of write to a key Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The activation delay is over: the key may become primary.
    Activate,
    /// Nothing needs the key: it leaves the key ring.
    Retire,
    /// The compromised key leaves the key ring: its decryption time is over, or it is to retire and nothing needs it.
    RemoveCompromised,
    /// The retention period after retirement is over: the Secret is deleted.
    Delete,
    /// A user has put the key back on the key ring: earlier requests are removed.
    Restore,
    /// Record the time of a user's request.
    RecordRequest,
    /// Record the time at which the key left the key ring.
    RecordRemoval,
    /// Record the time since which nothing needs the key.
    RecordUnused,
    /// Remove that time: the key is needed again, or its usage is unknown.
    RecordUsed,
}

/// A requested action that cannot be performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A key is due, but keys are delivered externally.
    ExternalKeys(Trigger),
    /// The pinned key cannot be primary; the newest one is.
    Pin(String),
    /// The key is primary and does not retire.
    RetiresWhilePrimary(String),
    /// The key is needed and does not retire.
    RetiresWhileUsed(String),
    /// The usage of the key is unknown, or some item decrypts with no key: the key neither retires nor is deleted.
    UsageIncomplete(String),
    /// For the same reason, no key retires by policy.
    Retention,
}

/// Actions that are due now, and the time of the next plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Name of the Secret of the primary key.
    pub primary: Option<String>,
    /// The successor of the newest key to create, if one is due.
    pub generate: Option<Generation>,
    /// Writes to key Secrets.
    pub changes: Vec<Change>,
    /// Requested actions that cannot be performed.
    pub blocked: Vec<Blocked>,
    /// True if a different usage of keys would change this plan.
    pub follows_usage: bool,
    /// The next time at which this plan changes by itself.
    pub next_change: Option<Timestamp>,
}

impl Plan {
    /// Returns true if a part of the plan depends on the time. A new key always does: its certificate is dated.
    #[must_use]
    pub fn requires_clock(&self) -> bool {
        self.generate.is_some() || self.changes.iter().any(|change| change.requires.clock)
    }
}

/// Computes the plan from policy, key Secrets, key usage and time (docs/rotation-rules.md, rules 1, 2, 5 and 7).
///
/// The age of the newest key, pending keys included, counts from the start of its validity in whole seconds, so that the same
/// request gives the same result after a retry, a restart or a restore. A key dated in the future counts as new enough. As long
/// as the usage is not known yet (`usage` is `None`), no key retires or is deleted; the same holds if it cannot be known, which
/// the plan reports.
#[must_use]
pub fn plan(
    policy: &RotationPolicy,
    keys: &[KeyRecord],
    usage: Option<&UsageReport>,
    now: Timestamp,
) -> Plan {
    let planner = Planner::new(policy, keys, usage, now);
    let primary = planner.primary();
    let wanted = planner.generation();
    let mut plan = Plan { primary: primary.map(|key| key.name.clone()), ..Plan::default() };
    match wanted {
        Some(generation) if policy.external => plan.blocked.push(Blocked::ExternalKeys(generation.trigger)),
        _ => plan.generate = wanted,
    }
    plan.blocked.extend(planner.unusable_pin());
    // Oldest first: if not all keys may leave the key ring, the oldest do.
    let mut oldest_first: Vec<&KeyRecord> = keys.iter().collect();
    oldest_first.sort_by_key(|key| (key.created, &key.name));
    for key in oldest_first {
        let Decision { step, blocked, requires } = planner.decide(key, primary);
        plan.changes.extend(step.map(|step| Change { name: key.name.clone(), step, requires }));
        plan.blocked.extend(blocked.filter(|blocked| !plan.blocked.contains(blocked)));
        plan.follows_usage |= requires.usage;
    }
    planner.keep_enough(&mut plan);
    plan.next_change = planner.next_change();
    plan
}

/// Returns the time at which the next key is due, by schedule or by a request for a future time; `None` if none is.
#[must_use]
pub fn next_rotation(policy: &RotationPolicy, keys: &[KeyRecord], now: Timestamp) -> Option<Timestamp> {
    let planner = Planner::new(policy, keys, None, now);
    let period_over = planner.period_over().filter(|_| !policy.suspended && !policy.external);
    planner.future_requests().chain(period_over).min()
}

/// Returns the time since which a key is due, for any trigger and even if it cannot be created. `None` if none is due, or there
/// has never been a key.
#[must_use]
pub fn due_since(policy: &RotationPolicy, keys: &[KeyRecord], now: Timestamp) -> Option<Timestamp> {
    let planner = Planner::new(policy, keys, None, now);
    let candidates: Vec<_> = planner.candidates().collect();
    let compromised = planner.compromise_without_successor(&candidates);
    let period_over = planner.period_over().filter(|_| !policy.suspended && !policy.external);
    let due = compromised.into_iter().chain(planner.unmet_requests()).chain(period_over);
    due.filter(|time| *time <= now).min()
}

/// Returns true if the newest key, pending keys included, is no older than this time, which fulfils the request.
#[must_use]
pub fn is_met(keys: &[KeyRecord], requested: Timestamp) -> bool {
    let newest = predecessor(keys).and_then(|key| key.facts.as_ref());
    newest.is_some_and(|facts| began_by(facts, requested))
}

/// Returns true if the key is no older than this time, in whole seconds.
fn began_by(facts: &KeyFacts, time: Timestamp) -> bool {
    facts.not_before.as_second() >= time.as_second()
}

/// Returns the predecessor of the next key: the newest key that is or could become primary, whose age [`plan`] checks. It
/// determines the name of the next key. `None` if no key qualifies: the next key is then named like a first key.
#[must_use]
pub fn predecessor(keys: &[KeyRecord]) -> Option<&KeyRecord> {
    Planner::newest(candidates(keys, &compromised(keys))).map(|(key, _)| key)
}

/// Returns true if `key`, which has the name of the successor, counts as one although it is not newer than its predecessor, so
/// that no other key is created: it could be primary, and the predecessor was created recently. If the predecessor is older, as
/// after a restore from a backup, a new key is newer in any order; before that, one would be created again and again.
#[must_use]
pub fn is_successor(key: &KeyRecord, predecessor: &KeyRecord, keys: &[KeyRecord], now: Timestamp) -> bool {
    let is_settled = predecessor.created.checked_add(SETTLED).is_ok_and(|settled| settled <= now);
    !is_settled && candidates(keys, &compromised(keys)).any(|(candidate, _)| candidate.name == key.name)
}

/// Returns the time at which a pending key may become primary: its creation plus the delay, or its start of validity if a clock
/// had jumped and that is earlier.
#[must_use]
pub fn activation_time(key: &KeyRecord, delay: SignedDuration) -> Timestamp {
    let after_delay = key.created.checked_add(delay).unwrap_or(Timestamp::MAX);
    let not_before = key.facts.as_ref().map(|facts| facts.not_before);
    not_before.filter(|start| *start > key.created).map_or(after_delay, |start| start.min(after_delay))
}

/// Decision on one key Secret.
#[derive(Default)]
struct Decision {
    step: Option<Step>,
    blocked: Option<Blocked>,
    requires: Evidence,
}

impl Decision {
    fn step(step: Step, requires: Evidence) -> Self {
        Self { step: Some(step), blocked: None, requires }
    }

    fn blocked(blocked: Blocked, requires: Evidence) -> Self {
        Self { step: None, blocked: Some(blocked), requires }
    }

    fn nothing(requires: Evidence) -> Self {
        Self { requires, ..Self::default() }
    }
}

struct Planner<'a> {
    policy: &'a RotationPolicy,
    keys: &'a [KeyRecord],
    compromised: Compromised,
    usage: Option<&'a UsageReport>,
    now: Timestamp,
}

type Rank<'a> = (Timestamp, &'a Fingerprint, &'a str);

fn rank<'a>(key: &'a KeyRecord, facts: &'a KeyFacts) -> Rank<'a> {
    (facts.order_time, &facts.fingerprint, &key.name)
}

impl<'a> Planner<'a> {
    fn new(
        policy: &'a RotationPolicy,
        keys: &'a [KeyRecord],
        usage: Option<&'a UsageReport>,
        now: Timestamp,
    ) -> Self {
        Self { policy, keys, compromised: compromised(keys), usage, now }
    }

    fn candidates(&self) -> impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)> {
        candidates(self.keys, &self.compromised)
    }

    fn newest(
        candidates: impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)>,
    ) -> Option<(&'a KeyRecord, &'a KeyFacts)> {
        candidates.max_by(|(a, a_facts), (b, b_facts)| rank(a, a_facts).cmp(&rank(b, b_facts)))
    }

    /// Returns the newest key that is or could become primary.
    fn newest_candidate(&self) -> Option<(&'a KeyRecord, &'a KeyFacts)> {
        Self::newest(self.candidates())
    }

    fn primary_candidates(&self) -> impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)> {
        self.candidates().filter(|(key, _)| key.label == KeyLabel::Active)
    }

    fn pinned(&self) -> Option<&'a KeyRecord> {
        let pin = self.policy.pin.as_deref()?;
        self.primary_candidates().map(|(key, _)| key).find(|key| key.name == pin)
    }

    fn primary(&self) -> Option<&'a KeyRecord> {
        self.pinned().or_else(|| Self::newest(self.primary_candidates()).map(|(key, _)| key))
    }

    fn unusable_pin(&self) -> Option<Blocked> {
        let pin = self.policy.pin.clone()?;
        self.pinned().is_none().then_some(Blocked::Pin(pin))
    }

    fn generation(&self) -> Option<Generation> {
        let trigger = self.trigger()?;
        let may_wait = matches!(trigger, Trigger::Requested | Trigger::PeriodOver);
        Some(Generation { trigger, pending: may_wait && self.policy.activation_delay > SignedDuration::ZERO })
    }

    fn trigger(&self) -> Option<Trigger> {
        if self.is_past(self.compromise_without_successor(self.candidates().collect::<Vec<_>>().as_slice())) {
            return Some(Trigger::Compromised);
        }
        if self.newest_candidate().is_none() {
            return Some(Trigger::NoKey);
        }
        if self.unmet_requests().any(|time| time <= self.now) {
            return Some(Trigger::Requested);
        }
        let is_scheduled = !self.policy.suspended && !self.policy.external;
        (is_scheduled && self.is_past(self.period_over())).then_some(Trigger::PeriodOver)
    }

    /// Returns the time of a compromise without a successor among `successors`: no newer key, and none that began after the
    /// compromise was known. `None` also if that time is not recorded yet: a clock that jumps would otherwise request a key again
    /// and again.
    fn compromise_without_successor(&self, successors: &[(&KeyRecord, &KeyFacts)]) -> Option<Timestamp> {
        let unmet = self.keys.iter().filter_map(|key| {
            let facts = key.facts.as_ref()?;
            let since = (*self.compromised.get(&facts.fingerprint)?)?;
            let succeeds = |(other, other_facts): &(&KeyRecord, &KeyFacts)| {
                rank(other, other_facts) > rank(key, facts)
                    || other_facts.not_before.as_second() >= since.as_second()
            };
            (!successors.iter().any(succeeds)).then_some(since)
        });
        unmet.min()
    }

    fn period_over(&self) -> Option<Timestamp> {
        let (_, newest) = self.newest_candidate()?;
        newest.not_before.checked_add(self.policy.every?).ok()
    }

    fn unmet_requests(&self) -> impl Iterator<Item = Timestamp> {
        let newest = self.newest_candidate();
        let is_unmet = move |time: &Timestamp| !newest.is_some_and(|(_, facts)| began_by(facts, *time));
        self.policy.requests.iter().copied().filter(is_unmet)
    }

    fn future_requests(&self) -> impl Iterator<Item = Timestamp> {
        self.unmet_requests().filter(|time| *time > self.now)
    }

    fn decide(&self, key: &KeyRecord, primary: Option<&KeyRecord>) -> Decision {
        if key.is_restored() {
            return Decision::step(Step::Restore, Evidence::NONE);
        }
        if key.is_undated() {
            return Decision::step(Step::RecordRequest, Evidence::CLOCK);
        }
        match key.label {
            KeyLabel::Active | KeyLabel::Pending => self.decide_on_ring(key, primary),
            _ if self.needs_a_date(key) => Decision::step(Step::RecordRemoval, Evidence::CLOCK),
            // The Secret of a compromised key is kept as long as it records the compromise: other Secrets may hold the same key.
            KeyLabel::Retired if !key.is_compromised() => self.decide_deletion(key),
            KeyLabel::Retired | KeyLabel::Compromised | KeyLabel::Other => Decision::default(),
        }
    }

    /// Returns true if a decision depends on the time at which this key left the key ring: the end of a request, a deletion, a
    /// successor. Other Secrets are not written.
    fn needs_a_date(&self, key: &KeyRecord) -> bool {
        let Some(facts) = key.facts.as_ref().filter(|_| key.off_ring_since.is_none()) else { return false };
        let is_newest =
            || self.candidates().all(|(other, other_facts)| rank(other, other_facts) < rank(key, facts));
        let depends = match key.label {
            KeyLabel::Retired => self.policy.delete_after_retired.is_some(),
            KeyLabel::Compromised => is_newest(),
            KeyLabel::Active | KeyLabel::Pending | KeyLabel::Other => false,
        };
        depends || key.desired != DesiredState::Active
    }

    fn decide_on_ring(&self, key: &KeyRecord, primary: Option<&KeyRecord>) -> Decision {
        let Some(facts) = &key.facts else { return Decision::default() };
        if key.is_compromised() && self.is_past(key.decrypt_until) {
            return Decision::step(Step::RemoveCompromised, Evidence::CLOCK);
        }
        let is_primary = primary.is_some_and(|primary| primary.name == key.name);
        match key.desired {
            DesiredState::Compromised { .. } => Decision::default(),
            DesiredState::Retired if is_primary => {
                Decision::blocked(Blocked::RetiresWhilePrimary(key.name.clone()), Evidence::NONE)
            }
            DesiredState::Retired => self.decide_retirement(key, facts),
            // Another Secret with this key records a compromise: nothing changes until a user requests a state of this one.
            DesiredState::Active if self.compromised.contains_key(&facts.fingerprint) => Decision::default(),
            DesiredState::Active if key.label == KeyLabel::Pending => self.decide_activation(key, facts),
            DesiredState::Active => self.decide_unused(key, facts, is_primary),
        }
    }

    fn decide_retirement(&self, key: &KeyRecord, facts: &KeyFacts) -> Decision {
        let name = key.name.clone();
        match self.is_needed(facts) {
            None => Decision::blocked(Blocked::UsageIncomplete(name), Evidence::USAGE),
            Some(true) => Decision::blocked(Blocked::RetiresWhileUsed(name), Evidence::USAGE),
            Some(false) if key.is_compromised() => Decision::step(Step::RemoveCompromised, Evidence::BOTH),
            Some(false) => Decision::step(Step::Retire, Evidence::BOTH),
        }
    }

    /// Returns true if the key is needed; `None` if the usage is unknown.
    fn is_needed(&self, facts: &KeyFacts) -> Option<bool> {
        let usage = self.usage.filter(|usage| usage.is_complete())?;
        Some(usage.used.contains(&facts.fingerprint))
    }

    /// Activates a pending key at once if no other key can be primary, otherwise after its delay.
    fn decide_activation(&self, key: &KeyRecord, facts: &KeyFacts) -> Decision {
        if facts.has_certificate && self.is_urgent(key, facts) {
            return Decision::step(Step::Activate, Evidence::NONE);
        }
        let is_due = activation_time(key, self.policy.activation_delay) <= self.now;
        Decision { step: is_due.then_some(Step::Activate), requires: Evidence::CLOCK, ..Decision::default() }
    }

    /// Returns true if a pending key must become primary because no other key can.
    fn is_urgent(&self, key: &KeyRecord, facts: &KeyFacts) -> bool {
        let primary_candidates: Vec<_> = self.primary_candidates().collect();
        let with_this: Vec<_> = self.primary_candidates().chain([(key, facts)]).collect();
        let replaces_compromised = self.compromise_without_successor(&primary_candidates).is_some()
            && self.compromise_without_successor(&with_this).is_none();
        primary_candidates.is_empty() || replaces_compromised
    }

    fn decide_unused(&self, key: &KeyRecord, facts: &KeyFacts, is_primary: bool) -> Decision {
        let newest = self.newest_candidate().is_some_and(|(newest, _)| newest.name == key.name);
        if self.policy.retire_when_unused_for.is_none() || is_primary || newest {
            return Decision::default();
        }
        let is_due = self.is_past(self.unused_long_enough(key));
        match (self.is_needed(facts), key.unused_since) {
            (None, _) => self.decide_without_usage(key, is_due),
            (Some(true), None) => Decision::nothing(Evidence::USAGE),
            (Some(true), Some(_)) => Decision::step(Step::RecordUsed, Evidence::USAGE),
            (Some(false), None) => Decision::step(Step::RecordUnused, Evidence::BOTH),
            (Some(false), Some(_)) if is_due => Decision::step(Step::Retire, Evidence::BOTH),
            (Some(false), Some(_)) => Decision::nothing(Evidence::BOTH),
        }
    }

    /// Decides on a key of unknown usage. If the usage cannot be known, the unused time is removed and the plan reports it at
    /// once; if it is only not known yet, the plan reports it when a retirement is due.
    fn decide_without_usage(&self, key: &KeyRecord, is_due: bool) -> Decision {
        let is_known = self.usage.is_some();
        let could_retire = self.keys_without(&BTreeSet::new()) > self.policy.keep_at_least;
        Decision {
            step: key.unused_since.filter(|_| is_known).map(|_| Step::RecordUsed),
            blocked: (could_retire && (is_known || is_due)).then_some(Blocked::Retention),
            requires: Evidence::USAGE,
        }
    }

    fn unused_long_enough(&self, key: &KeyRecord) -> Option<Timestamp> {
        key.unused_since?.checked_add(self.policy.retire_when_unused_for?).ok()
    }

    fn deletion_time(&self, key: &KeyRecord) -> Option<Timestamp> {
        key.off_ring_since?.checked_add(self.policy.delete_after_retired?).ok()
    }

    /// Decides on the deletion of a key. [`Self::keep_enough`] may still drop it, and the controller checks the usage once more
    /// before it deletes the key Secret.
    fn decide_deletion(&self, key: &KeyRecord) -> Decision {
        if !self.is_past(self.deletion_time(key)) {
            return Decision::nothing(Evidence::CLOCK);
        }
        // The usage report may not cover items that the key decrypted before it left the key ring.
        let is_unneeded = |facts| self.is_needed(facts) == Some(false) || self.is_on_ring_elsewhere(key);
        let is_complete = self.usage.is_some_and(UsageReport::is_complete);
        if is_complete && key.facts.as_ref().is_none_or(is_unneeded) {
            return Decision::step(Step::Delete, Evidence::BOTH);
        }
        Decision::blocked(Blocked::UsageIncomplete(key.name.clone()), Evidence::BOTH)
    }

    /// Returns true if another Secret with the same key is on the key ring.
    fn is_on_ring_elsewhere(&self, key: &KeyRecord) -> bool {
        let Some(facts) = &key.facts else { return false };
        let others = self.keys.iter().filter(|other| other.name != key.name);
        others.filter_map(KeyRecord::on_ring).any(|other| other.fingerprint == facts.fingerprint)
    }

    /// Drops retirements that would leave fewer keys on the key ring than the policy requires, and every deletion of a key while
    /// fewer than that, or than two, would be on it. Users' requests take precedence. A key in several Secrets counts once.
    fn keep_enough(&self, plan: &mut Plan) {
        let is_requested = |change: &Change| {
            self.keys.iter().any(|key| key.name == change.name && key.desired == DesiredState::Retired)
        };
        let leaving = |change: &&Change| {
            matches!(change.step, Step::RemoveCompromised)
                || (change.step == Step::Retire && is_requested(change))
        };
        let mut leaving: BTreeSet<String> =
            plan.changes.iter().filter(leaving).map(|change| change.name.clone()).collect();
        plan.changes.retain(|change| match change.step {
            Step::Retire if !is_requested(change) => {
                leaving.insert(change.name.clone());
                let enough = self.keys_without(&leaving) >= self.policy.keep_at_least;
                if !enough {
                    leaving.remove(&change.name);
                }
                enough
            }
            Step::Delete => self.keys_without(&leaving) >= self.policy.keep_at_least.max(2),
            _ => true,
        });
    }

    /// Returns the number of keys on the key ring without the Secrets of these names.
    fn keys_without(&self, leaving: &BTreeSet<String>) -> usize {
        let staying = self.keys.iter().filter(|key| !leaving.contains(&key.name));
        staying.filter_map(|key| Some(&key.on_ring()?.fingerprint)).collect::<BTreeSet<_>>().len()
    }

    fn next_change(&self) -> Option<Timestamp> {
        let of_key = |key: &KeyRecord| {
            let decrypts_until = key.decrypt_until.filter(|_| key.is_compromised());
            let pending = key.label == KeyLabel::Pending;
            let activation = pending.then(|| activation_time(key, self.policy.activation_delay));
            let retirement = self.unused_long_enough(key);
            [decrypts_until, activation, retirement, self.deletion_time(key), key.state_since]
        };
        let times = self.keys.iter().flat_map(of_key).flatten();
        times.chain(self.period_over()).chain(self.future_requests()).filter(|time| *time > self.now).min()
    }

    fn is_past(&self, time: Option<Timestamp>) -> bool {
        time.is_some_and(|time| time <= self.now)
    }
}
