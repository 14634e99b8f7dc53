use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::compromise::{Compromised, candidates, compromised};
use super::policy::RotationPolicy;
use super::record::{DesiredState, KeyFacts, KeyLabel, KeyRecord};
use crate::crypto::Fingerprint;

/// Twice as long as two clocks by which keys are made may be apart.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// What this process has opened itself, of every SealedSecret in the cluster: no status is believed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Keys that opened at least one item.
    pub used: BTreeSet<Fingerprint>,
    /// Whether some item did not open: it may need a key that nothing else needs.
    pub undecryptable: bool,
    /// Whether there may be SealedSecrets that this process does not watch, and so never knows.
    pub partial: bool,
}

impl UsageReport {
    /// Whether nothing else can need a key. Otherwise [`used`](Self::used) says nothing of the others.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.undecryptable && !self.partial
    }
}

/// Why a key is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// There is none that could be offered for sealing.
    NoKey,
    /// Somebody else may have the newest.
    Compromised,
    /// The newest began before a moment that was asked for.
    Requested,
    /// The newest is as old as the period.
    PeriodOver,
}

/// One successor of the newest key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Why.
    pub trigger: Trigger,
    /// Whether it must wait for its activation: then its label says so.
    pub pending: bool,
}

/// The inputs that a decision stands on besides policy and keys. A decision that does not require one of them is the same
/// whatever that input says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The time: it was compared with something, or its date is written.
    pub clock: bool,
    /// The usage of keys.
    pub usage: bool,
}

impl Evidence {
    /// Policy and keys suffice.
    pub const NONE: Self = Self { clock: false, usage: false };
    /// The time alone.
    pub const CLOCK: Self = Self { clock: true, usage: false };
    /// The usage alone.
    pub const USAGE: Self = Self { clock: false, usage: true };
    /// Both.
    pub const BOTH: Self = Self { clock: true, usage: true };
}

/// One write on one key Secret. Those of a plan may be made in any order, and each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the Secret.
    pub name: String,
    /// What to write.
    pub step: Step,
    /// What the step stands on.
    pub requires: Evidence,
}

/// What to write on a key Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The activation delay is over: it may lead.
    Activate,
    /// Nothing needs it: off the ring.
    Retire,
    /// It is compromised, and its time is over or it is to retire and nothing needs it: off the ring.
    RemoveCompromised,
    /// It retired long enough ago.
    Delete,
    /// A person has put it back: forget what was wanted before.
    Restore,
    /// Note since when a person wants what is wanted.
    RecordRequest,
    /// Note since when it is off the ring.
    RecordRemoval,
    /// Note since when nothing needs it.
    RecordUnused,
    /// Something needs it again, or nobody knows whether something does.
    RecordUsed,
}

/// Something that was asked for and is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A key is wanted, but keys arrive by themselves.
    ExternalKeys(Trigger),
    /// The pinned key cannot lead; the newest does.
    Pin(String),
    /// A key that leads does not retire.
    RetiresWhileLeading(String),
    /// A key that is needed does not retire.
    RetiresWhileUsed(String),
    /// What needs the key is not known, or some item opens with no key: it does not retire and is not deleted.
    ViewNotWhole(String),
    /// For the same reason no key retires by the policy alone.
    Retention,
}

/// What to do now, and when to plan again at the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Name of the key Secret that leads.
    pub primary: Option<String>,
    /// Whether to make a successor of the newest key.
    pub generate: Option<Generation>,
    /// Writes on key Secrets.
    pub changes: Vec<Change>,
    /// What is not done.
    pub blocked: Vec<Blocked>,
    /// Whether another usage of keys would change this plan.
    pub follows_usage: bool,
    /// The next moment at which this plan changes by time alone.
    pub look_again_at: Option<Timestamp>,
}

impl Plan {
    /// Whether anything in it requires the time. A new key always does: its certificate is dated.
    #[must_use]
    pub fn requires_clock(&self) -> bool {
        self.generate.is_some() || self.changes.iter().any(|change| change.requires.clock)
    }
}

/// Decides from the policy, the key Secrets, what needs them and the time (key-rotation rules 1, 2, 5 and 7).
///
/// The newest key, pending ones included, is judged by its start of validity in whole seconds, so that the same question gets
/// the same answer after a retry, a restart or a restore. A key dated in the future counts as made. While what is needed is not
/// known yet (`need` is `None`), nothing retires and nothing is deleted; nor where it cannot be known, which is said.
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
    // The oldest first: where not all may go, these do.
    let mut oldest_first: Vec<&KeyRecord> = keys.iter().collect();
    oldest_first.sort_by_key(|key| (key.created, &key.name));
    for key in oldest_first {
        let Decision { step, blocked, requires } = planner.decide(key, primary);
        plan.changes.extend(step.map(|step| Change { name: key.name.clone(), step, requires }));
        plan.blocked.extend(blocked.filter(|blocked| !plan.blocked.contains(blocked)));
        plan.follows_usage |= requires.usage;
    }
    planner.keep_enough(&mut plan);
    plan.look_again_at = planner.next_moment();
    plan
}

/// When the next key is due by schedule; `None` when none is.
#[must_use]
pub fn next_rotation(policy: &RotationPolicy, keys: &[KeyRecord], now: Timestamp) -> Option<Timestamp> {
    let planner = Planner::new(policy, keys, None, now);
    let period_over = planner.period_over().filter(|_| !policy.suspended && !policy.external);
    planner.future_requests().chain(period_over).min()
}

/// Since when a key is due, whoever asks for it and whether or not it can be made; `None` when none is, or when there has never
/// been one.
#[must_use]
pub fn due_since(policy: &RotationPolicy, keys: &[KeyRecord], now: Timestamp) -> Option<Timestamp> {
    let planner = Planner::new(policy, keys, None, now);
    let candidates: Vec<_> = planner.candidates().collect();
    let compromised = planner.compromise_without_successor(&candidates);
    let period_over = planner.period_over().filter(|_| !policy.suspended && !policy.external);
    let due = compromised.into_iter().chain(planner.unmet_requests()).chain(period_over);
    due.filter(|moment| *moment <= now).min()
}

/// Whether the newest key, a pending one included, is not older than this moment: then what was asked for is done.
#[must_use]
pub fn is_met(keys: &[KeyRecord], requested: Timestamp) -> bool {
    let newest = predecessor(keys).and_then(|key| key.facts.as_ref());
    newest.is_some_and(|facts| began_by(facts, requested))
}

/// Whether the key is not older than this moment, in whole seconds.
fn began_by(facts: &KeyFacts, moment: Timestamp) -> bool {
    facts.not_before.as_second() >= moment.as_second()
}

/// The key that the next one succeeds, by which the name of the next is made: the newest that leads or could, which is the one
/// that [`plan`] judges. `None` where none could: then the next is named as a first key is.
#[must_use]
pub fn predecessor(keys: &[KeyRecord]) -> Option<&KeyRecord> {
    Planner::newest(candidates(keys, &compromised(keys))).map(|(key, _)| key)
}

/// Whether a key that has the name of the next one stands in for it although it is not newer than their predecessor, so that no
/// other is made: it could lead, and the predecessor has not been there for long. Once it has, as when it was put back from a
/// backup, a key made now is newer in any order; before, one would be made again and again.
#[must_use]
pub fn is_successor(key: &KeyRecord, predecessor: &KeyRecord, keys: &[KeyRecord], now: Timestamp) -> bool {
    let is_settled = predecessor.created.checked_add(SETTLED).is_ok_and(|settled| settled <= now);
    !is_settled && candidates(keys, &compromised(keys)).any(|(candidate, _)| candidate.name == key.name)
}

/// The moment at which a key that waits may lead: the delay after its creation, or its start of validity when a clock had
/// jumped and that comes first.
#[must_use]
pub fn activation_time(key: &KeyRecord, delay: SignedDuration) -> Timestamp {
    let after_delay = key.created.checked_add(delay).unwrap_or(Timestamp::MAX);
    let not_before = key.facts.as_ref().map(|facts| facts.not_before);
    not_before.filter(|start| *start > key.created).map_or(after_delay, |start| start.min(after_delay))
}

/// The decision on one key Secret.
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

    /// The newest key that leads now or could after a while.
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
        if self.unmet_requests().any(|moment| moment <= self.now) {
            return Some(Trigger::Requested);
        }
        let is_scheduled = !self.policy.suspended && !self.policy.external;
        (is_scheduled && self.is_past(self.period_over())).then_some(Trigger::PeriodOver)
    }

    /// Since when a compromised key has no successor among `successors`: none that is newer, and none that began after the
    /// compromise was known. `None` also while that moment is not noted yet: it must be, or a clock that jumps would ask for a
    /// key again and again.
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
        let is_unmet = move |moment: &Timestamp| !newest.is_some_and(|(_, facts)| began_by(facts, *moment));
        self.policy.requests.iter().copied().filter(is_unmet)
    }

    fn future_requests(&self) -> impl Iterator<Item = Timestamp> {
        self.unmet_requests().filter(|moment| *moment > self.now)
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
            // Of a compromised key the Secret stays, as long as it tells that: another one may hold the same key.
            KeyLabel::Retired if !key.is_compromised() => self.decide_deletion(key),
            KeyLabel::Retired | KeyLabel::Compromised | KeyLabel::Other => Decision::default(),
        }
    }

    /// Whether something depends on since when this key is off the ring: the end of a wish, a deletion, a successor. Other
    /// Secrets are left as they are.
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
                Decision::blocked(Blocked::RetiresWhileLeading(key.name.clone()), Evidence::NONE)
            }
            DesiredState::Retired => self.decide_retirement(key, facts),
            // Another Secret with this key says that it is compromised: it stays as it is until a person speaks of this one.
            DesiredState::Active if self.compromised.contains_key(&facts.fingerprint) => Decision::default(),
            DesiredState::Active if key.label == KeyLabel::Pending => self.decide_activation(key, facts),
            DesiredState::Active => self.decide_unused(key, facts, is_primary),
        }
    }

    fn decide_retirement(&self, key: &KeyRecord, facts: &KeyFacts) -> Decision {
        let name = key.name.clone();
        match self.is_needed(facts) {
            None => Decision::blocked(Blocked::ViewNotWhole(name), Evidence::USAGE),
            Some(true) => Decision::blocked(Blocked::RetiresWhileUsed(name), Evidence::USAGE),
            Some(false) if key.is_compromised() => Decision::step(Step::RemoveCompromised, Evidence::BOTH),
            Some(false) => Decision::step(Step::Retire, Evidence::BOTH),
        }
    }

    /// Whether the key is needed; `None` when that cannot be said of any key.
    fn is_needed(&self, facts: &KeyFacts) -> Option<bool> {
        let usage = self.usage.filter(|usage| usage.is_complete())?;
        Some(usage.used.contains(&facts.fingerprint))
    }

    /// A pending key leads at once when nothing else can, and otherwise after its delay.
    fn decide_activation(&self, key: &KeyRecord, facts: &KeyFacts) -> Decision {
        if facts.has_certificate && self.is_urgent(key, facts) {
            return Decision::step(Step::Activate, Evidence::NONE);
        }
        let is_due = activation_time(key, self.policy.activation_delay) <= self.now;
        Decision { step: is_due.then_some(Step::Activate), requires: Evidence::CLOCK, ..Decision::default() }
    }

    /// Whether a pending key must lead because nothing else can.
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

    /// Of a key of which nobody knows whether something needs it. Where the view is known not to be whole, no time counts and it is
    /// said at once; where it is only not known yet, when something waits for it.
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

    fn decide_deletion(&self, key: &KeyRecord) -> Decision {
        if !self.is_past(self.deletion_time(key)) {
            return Decision::nothing(Evidence::CLOCK);
        }
        // What it opened before it left the ring was not opened with the others yet.
        let is_unneeded = |facts| self.is_needed(facts) == Some(false) || self.is_on_ring_elsewhere(key);
        let is_complete = self.usage.is_some_and(UsageReport::is_complete);
        if is_complete && key.facts.as_ref().is_none_or(is_unneeded) {
            return Decision::step(Step::Delete, Evidence::BOTH);
        }
        Decision::blocked(Blocked::ViewNotWhole(key.name.clone()), Evidence::BOTH)
    }

    /// Whether another Secret that holds the same key is on the ring.
    fn is_on_ring_elsewhere(&self, key: &KeyRecord) -> bool {
        let Some(facts) = &key.facts else { return false };
        let others = self.keys.iter().filter(|other| other.name != key.name);
        others.filter_map(KeyRecord::on_ring).any(|other| other.fingerprint == facts.fingerprint)
    }

    /// Takes back what would leave fewer keys on the ring than the policy wants; what a person said of a key goes first. A key in
    /// several Secrets is one.
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

    /// How many keys are on the ring without the Secrets of these names.
    fn keys_without(&self, leaving: &BTreeSet<String>) -> usize {
        let staying = self.keys.iter().filter(|key| !leaving.contains(&key.name));
        staying.filter_map(|key| Some(&key.on_ring()?.fingerprint)).collect::<BTreeSet<_>>().len()
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let of_key = |key: &KeyRecord| {
            let decrypts_until = key.decrypt_until.filter(|_| key.is_compromised());
            let pending = key.label == KeyLabel::Pending;
            let activation = pending.then(|| activation_time(key, self.policy.activation_delay));
            let retirement = self.unused_long_enough(key);
            [decrypts_until, activation, retirement, self.deletion_time(key), key.state_since]
        };
        let moments = self.keys.iter().flat_map(of_key).flatten();
        moments
            .chain(self.period_over())
            .chain(self.future_requests())
            .filter(|moment| *moment > self.now)
            .min()
    }

    fn is_past(&self, moment: Option<Timestamp>) -> bool {
        moment.is_some_and(|moment| moment <= self.now)
    }
}
