use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::compromise::{Compromised, candidates, compromised};
use super::policy::RotationPolicy;
use super::record::{KeyFacts, KeyLabel, KeyRecord, Wish};
use crate::crypto::Fingerprint;

/// Twice as long as two clocks by which keys are made may be apart.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

/// What this process has opened itself, of every SealedSecret in the cluster: no status is believed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Keys that opened at least one item.
    pub used: BTreeSet<Fingerprint>,
    /// Whether some item did not open: it may need a key that nothing else needs.
    pub undecryptable: bool,
    /// Whether there may be SealedSecrets that this process does not watch, and so never knows.
    pub partial: bool,
}

impl Need {
    /// Whether nothing else can need a key. Otherwise [`used`](Self::used) says nothing of the others.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.undecryptable && !self.partial
    }
}

/// Why a key is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
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
    pub occasion: Occasion,
    /// Whether it must wait for its activation: then its label says so.
    pub pending: bool,
}

/// One write on one key Secret; those of a plan may be made in any order, and each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Name of the Secret.
    pub name: String,
    /// What to write.
    pub step: Step,
}

/// What to write on a key Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The activation delay is over: it may lead.
    Activate,
    /// Nothing needs it: off the ring.
    Retire,
    /// It is compromised, and its time is over or it is to retire and nothing needs it: off the ring.
    Expel,
    /// It retired long enough ago.
    Delete,
    /// A person has put it back: forget what was wanted before.
    Restore,
    /// Note since when a person wants what is wanted.
    NoteWish,
    /// Note since when it is off the ring.
    NoteOffRing,
    /// Note since when nothing needs it.
    NoteUnused,
    /// Something needs it again, or nobody knows whether something does.
    NoteUsed,
}

/// Something that was asked for and is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A key is wanted, but keys arrive by themselves.
    ExternalKeys(Occasion),
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
    /// The next moment at which this plan changes by time alone.
    pub look_again_at: Option<Timestamp>,
}

/// Decides from the policy, the key Secrets, what needs them and the time (key-rotation rules 1, 2, 5 and 7).
///
/// The newest key, pending ones included, is judged by its start of validity in whole seconds, so that the same question gets
/// the same answer after a retry, a restart or a restore. A key dated in the future counts as made. While what is needed is not
/// known yet (`need` is `None`), nothing retires and nothing is deleted; nor where it cannot be known, which is said.
#[must_use]
pub fn plan(policy: &RotationPolicy, keys: &[KeyRecord], need: Option<&Need>, now: Timestamp) -> Plan {
    let planner = Planner::new(policy, keys, need, now);
    let primary = planner.primary();
    let wanted = planner.generation();
    let mut plan = Plan { primary: primary.map(|key| key.name.clone()), ..Plan::default() };
    match wanted {
        Some(generation) if policy.external => plan.blocked.push(Blocked::ExternalKeys(generation.occasion)),
        _ => plan.generate = wanted,
    }
    plan.blocked.extend(planner.unusable_pin());
    // The oldest first: where not all may go, these do.
    let mut oldest_first: Vec<&KeyRecord> = keys.iter().collect();
    oldest_first.sort_by_key(|key| (key.created, &key.name));
    for key in oldest_first {
        let (steps, blocked) = planner.steps(key, primary);
        plan.changes.extend(steps.into_iter().map(|step| Change { name: key.name.clone(), step }));
        plan.blocked.extend(blocked.filter(|blocked| !plan.blocked.contains(blocked)));
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
pub fn is_met(keys: &[KeyRecord], moment: Timestamp) -> bool {
    let newest = predecessor(keys).and_then(|key| key.facts.as_ref());
    newest.is_some_and(|facts| began_by(facts, moment))
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

struct Planner<'a> {
    policy: &'a RotationPolicy,
    keys: &'a [KeyRecord],
    compromised: Compromised,
    need: Option<&'a Need>,
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
        need: Option<&'a Need>,
        now: Timestamp,
    ) -> Self {
        Self { policy, keys, compromised: compromised(keys), need, now }
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

    fn leaders(&self) -> impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)> {
        self.candidates().filter(|(key, _)| key.label == KeyLabel::Active)
    }

    fn pinned(&self) -> Option<&'a KeyRecord> {
        let pin = self.policy.pin.as_deref()?;
        self.leaders().map(|(key, _)| key).find(|key| key.name == pin)
    }

    fn primary(&self) -> Option<&'a KeyRecord> {
        self.pinned().or_else(|| Self::newest(self.leaders()).map(|(key, _)| key))
    }

    fn unusable_pin(&self) -> Option<Blocked> {
        let pin = self.policy.pin.clone()?;
        self.pinned().is_none().then_some(Blocked::Pin(pin))
    }

    fn generation(&self) -> Option<Generation> {
        let occasion = self.occasion()?;
        let may_wait = matches!(occasion, Occasion::Requested | Occasion::PeriodOver);
        Some(Generation {
            occasion,
            pending: may_wait && self.policy.activation_delay > SignedDuration::ZERO,
        })
    }

    fn occasion(&self) -> Option<Occasion> {
        if self.is_past(self.compromise_without_successor(self.candidates().collect::<Vec<_>>().as_slice())) {
            return Some(Occasion::Compromised);
        }
        if self.newest_candidate().is_none() {
            return Some(Occasion::NoKey);
        }
        if self.unmet_requests().any(|moment| moment <= self.now) {
            return Some(Occasion::Requested);
        }
        let is_scheduled = !self.policy.suspended && !self.policy.external;
        (is_scheduled && self.is_past(self.period_over())).then_some(Occasion::PeriodOver)
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

    fn steps(&self, key: &KeyRecord, primary: Option<&KeyRecord>) -> (Vec<Step>, Option<Blocked>) {
        if key.is_restored() {
            return (vec![Step::Restore], None);
        }
        if key.is_undated() {
            return (vec![Step::NoteWish], None);
        }
        match key.label {
            KeyLabel::Active | KeyLabel::Pending => self.steps_on_ring(key, primary),
            _ if self.needs_a_date(key) => (vec![Step::NoteOffRing], None),
            // Of a compromised key the Secret stays, as long as it tells that: another one may hold the same key.
            KeyLabel::Retired if !key.is_compromised() => self.deletion(key),
            KeyLabel::Retired | KeyLabel::Compromised | KeyLabel::Other => (Vec::new(), None),
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
        depends || key.wish != Wish::Active
    }

    fn steps_on_ring(&self, key: &KeyRecord, primary: Option<&KeyRecord>) -> (Vec<Step>, Option<Blocked>) {
        let Some(facts) = &key.facts else { return (Vec::new(), None) };
        if key.is_compromised() && self.is_past(key.decrypt_until) {
            return (vec![Step::Expel], None);
        }
        let leads = primary.is_some_and(|primary| primary.name == key.name);
        match key.wish {
            Wish::Compromised { .. } => (Vec::new(), None),
            Wish::Retired if leads => (Vec::new(), Some(Blocked::RetiresWhileLeading(key.name.clone()))),
            Wish::Retired => match self.is_needed(facts) {
                None => (Vec::new(), Some(Blocked::ViewNotWhole(key.name.clone()))),
                Some(true) => (Vec::new(), Some(Blocked::RetiresWhileUsed(key.name.clone()))),
                Some(false) if key.is_compromised() => (vec![Step::Expel], None),
                Some(false) => (vec![Step::Retire], None),
            },
            // Another Secret with this key says that it is compromised: it stays as it is until a person speaks of this one.
            Wish::Active if self.compromised.contains_key(&facts.fingerprint) => (Vec::new(), None),
            Wish::Active if key.label == KeyLabel::Pending => {
                (self.may_lead_now(key, facts).then_some(Step::Activate).into_iter().collect(), None)
            }
            Wish::Active => self.steps_of_unused(key, facts, leads),
        }
    }

    /// Whether the key is needed; `None` when that cannot be said of any key.
    fn is_needed(&self, facts: &KeyFacts) -> Option<bool> {
        let need = self.need.filter(|need| need.is_whole())?;
        Some(need.used.contains(&facts.fingerprint))
    }

    /// Whether a pending key has waited long enough, or must lead because nothing else can.
    fn may_lead_now(&self, key: &KeyRecord, facts: &KeyFacts) -> bool {
        let leaders: Vec<_> = self.leaders().collect();
        let with_this: Vec<_> = self.leaders().chain([(key, facts)]).collect();
        let replaces_compromised = self.compromise_without_successor(&leaders).is_some()
            && self.compromise_without_successor(&with_this).is_none();
        activation_time(key, self.policy.activation_delay) <= self.now
            || (facts.has_certificate && (leaders.is_empty() || replaces_compromised))
    }

    fn steps_of_unused(
        &self,
        key: &KeyRecord,
        facts: &KeyFacts,
        leads: bool,
    ) -> (Vec<Step>, Option<Blocked>) {
        let newest = self.newest_candidate().is_some_and(|(newest, _)| newest.name == key.name);
        if self.policy.retire_when_unused_for.is_none() || leads || newest {
            return (Vec::new(), None);
        }
        let is_due = self.is_past(self.unused_long_enough(key));
        let step = match (self.is_needed(facts), key.unused_since) {
            (None, _) => return self.steps_of_unknown(key, is_due),
            (Some(true), None) => None,
            (Some(true), Some(_)) => Some(Step::NoteUsed),
            (Some(false), None) => Some(Step::NoteUnused),
            (Some(false), Some(_)) => is_due.then_some(Step::Retire),
        };
        (step.into_iter().collect(), None)
    }

    /// Of a key of which nobody knows whether something needs it. Where the view is known not to be whole, no time counts and it is
    /// said at once; where it is only not known yet, when something waits for it.
    fn steps_of_unknown(&self, key: &KeyRecord, is_due: bool) -> (Vec<Step>, Option<Blocked>) {
        let is_known = self.need.is_some();
        let forgotten = key.unused_since.filter(|_| is_known).map(|_| Step::NoteUsed);
        let could_retire = self.keys_without(&BTreeSet::new()) > self.policy.keep_at_least;
        let blocked = (could_retire && (is_known || is_due)).then_some(Blocked::Retention);
        (forgotten.into_iter().collect(), blocked)
    }

    fn unused_long_enough(&self, key: &KeyRecord) -> Option<Timestamp> {
        key.unused_since?.checked_add(self.policy.retire_when_unused_for?).ok()
    }

    fn deletion_time(&self, key: &KeyRecord) -> Option<Timestamp> {
        key.off_ring_since?.checked_add(self.policy.delete_after_retired?).ok()
    }

    fn deletion(&self, key: &KeyRecord) -> (Vec<Step>, Option<Blocked>) {
        if !self.is_past(self.deletion_time(key)) {
            return (Vec::new(), None);
        }
        // What it opened before it left the ring was not opened with the others yet.
        let is_needed = key.facts.as_ref().map_or(Some(false), |facts| self.is_needed(facts));
        let opens_elsewhere = self.is_on_ring_elsewhere(key);
        match (self.need, is_needed) {
            (Some(need), Some(needed)) if need.is_whole() && (!needed || opens_elsewhere) => {
                (vec![Step::Delete], None)
            }
            _ => (Vec::new(), Some(Blocked::ViewNotWhole(key.name.clone()))),
        }
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
        let wished = |change: &Change| {
            self.keys.iter().any(|key| key.name == change.name && key.wish == Wish::Retired)
        };
        let leaving = |change: &&Change| {
            matches!(change.step, Step::Expel) || (change.step == Step::Retire && wished(change))
        };
        let mut leaving: BTreeSet<String> =
            plan.changes.iter().filter(leaving).map(|change| change.name.clone()).collect();
        plan.changes.retain(|change| match change.step {
            Step::Retire if !wished(change) => {
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
            [decrypts_until, activation, retirement, self.deletion_time(key), key.wish_since]
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
