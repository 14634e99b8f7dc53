//! Priority queue for bulk work (initial list, new key ring), and the bursts in which its Secrets are written. Priority of live
//! edits over bulk work: `watch::objects` distinguishes them, and [`PriorityQueue::admit`] lets live edits bypass the queue, up to
//! a limit for each namespace. Slow work has queues and slots of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;

use futures::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::round_robin::RoundRobin;
use crate::sealed_secret::limits::{
    BURST, COUNTING, DIAGNOSIS, IN_FLIGHT_PER_NAMESPACE, LIVE, MAX_BURST_WAIT, QUICK, REPORTS_BEHIND,
    REPORTS_BESIDE, SLOW, Slots, UNWRITTEN, UNWRITTEN_WITH_FIRST,
};
use crate::sealed_secret::object::ObjectKey;

/// Kind of work that an object waits for. Each kind has a queue, in which namespaces take turns, and slots. So no object waits
/// for slots that it does not need, and the wait of a quiet namespace depends on the number of others, not on the length of their
/// queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkKind {
    /// Decryption of a small object without templates, in one slice of private-key operations.
    Quick,
    /// Decryption of an object with templates.
    Rendering,
    /// Decryption of an object that is large or takes more than one slice.
    Large,
    /// Diagnosis of an object that does not decrypt.
    Diagnosis,
    /// Counting of the keys that an object needs.
    Counting,
}

impl WorkKind {
    fn slots(self) -> Slots {
        match self {
            Self::Quick => QUICK,
            Self::Rendering | Self::Large => SLOW,
            Self::Diagnosis => DIAGNOSIS,
            Self::Counting => COUNTING,
        }
    }
}

/// Queues in order of priority, and the objects in flight. In each queue namespaces take turns.
///
/// Objects of a list or of a new key ring wait for their decryption; decrypted objects wait for their report. So a first sync of
/// thousands of objects writes the Secrets, which users wait for, before it writes status and events. It writes them in bursts,
/// which the API server and its store complete sooner than the same number one by one. Background work, such as a condition that
/// a new key ring has changed, comes last.
///
/// The lock is its own, because the queue orders and counts across objects.
#[derive(Debug, Default)]
pub(crate) struct PriorityQueue {
    state: Mutex<State>,
    changed: Notify,
    burst: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Objects to decrypt, to diagnose or to count.
    waiting: BTreeMap<WorkKind, RoundRobin>,
    reports: RoundRobin,
    background: RoundRobin,
    in_flight: HashMap<ObjectKey, Stage>,
    live: BTreeSet<ObjectKey>,
    /// Slow objects in flight: each has a slot of its kind, and no other slot.
    slow: HashMap<ObjectKey, WorkKind>,
    /// Objects without a slot, until their attempt has ended; and the work that they wait for then.
    deferred: BTreeMap<ObjectKey, WorkKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Decrypting,
    /// The Secret waits for others of its burst.
    Decrypted,
    Writing,
    /// A report, or background work.
    Reporting,
}

impl PriorityQueue {
    /// Queues objects for decryption. An object that waits already keeps its place.
    pub(crate) fn add_bulk(&self, objects: impl IntoIterator<Item = ObjectKey>) {
        self.state.lock().queue(WorkKind::Quick).extend(objects);
        self.changed.notify_one();
    }

    /// Admits `object` to work until [`Self::done`]. A live edit in a namespace with too many in flight joins the bulk work then.
    pub(crate) fn admit(&self, object: &ObjectKey) -> bool {
        self.state.lock().admit(object)
    }

    /// Requests a slot of slow work for `object`, which is in flight, and returns true if it has one. It then gives up its other
    /// slots; without one it is queued when this attempt ends, which it should do at once.
    pub(crate) fn begin(&self, object: &ObjectKey, kind: WorkKind) -> bool {
        let begins = self.state.lock().begin(object, kind);
        self.release_due_burst();
        self.changed.notify_one();
        begins
    }

    /// Returns the slot of slow work, while `object` stays in flight.
    pub(crate) fn end(&self, object: &ObjectKey) {
        self.state.lock().slow.remove(object);
        self.changed.notify_one();
    }

    /// Queues an object for its report.
    pub(crate) fn add_report(&self, object: ObjectKey) {
        self.state.lock().reports.insert(object);
        self.changed.notify_one();
    }

    /// Queues objects for background work.
    pub(crate) fn add_background(&self, objects: impl IntoIterator<Item = ObjectKey>) {
        self.state.lock().background.extend(objects);
        self.changed.notify_one();
    }

    /// Returns true if `object` is of the bulk work, others of it are still to be decrypted, and it is not the turn of its report:
    /// then the report can wait. For slow work only reports of its own namespace wait.
    pub(crate) fn others_come_first(&self, object: &ObjectKey) -> bool {
        let state = self.state.lock();
        let is_of_bulk = state.in_flight.get(object).is_some_and(|stage| *stage != Stage::Reporting);
        is_of_bulk && (state.has_undecrypted() || state.has_secrets_to_write()(&object.namespace))
    }

    /// Returns true if `object` waits for its report.
    pub(crate) fn will_report(&self, object: &ObjectKey) -> bool {
        self.state.lock().reports.contains(object)
    }

    /// Waits until the Secret of `object`, which is decrypted, may be written: at once, unless it is of the bulk work and others
    /// are about to join its burst.
    pub(crate) async fn wait_to_write(&self, object: &ObjectKey) {
        // Registered before the stage changes, so that no burst is missed.
        let burst = self.burst.notified();
        if !self.enter(object, Stage::Decrypted) {
            return;
        }
        if !self.release_due_burst() {
            // An error means that the wait was long enough.
            let _ = tokio::time::timeout(MAX_BURST_WAIT, burst).await;
        }
        self.enter(object, Stage::Writing);
    }

    /// Ends an attempt at `object`, of the bulk work or not.
    pub(crate) fn done(&self, object: &ObjectKey) {
        let mut state = self.state.lock();
        state.live.remove(object);
        state.in_flight.remove(object);
        state.slow.remove(object);
        if let Some(kind) = state.deferred.remove(object) {
            state.queue(kind).insert(object.clone());
        }
        drop(state);
        self.release_due_burst();
        self.changed.notify_one();
    }

    /// Yields the objects one by one, each as soon as a slot is free; each must end with [`Self::done`]. Never ends, and is meant
    /// for one reader.
    pub(crate) fn next_objects(self: Arc<Self>) -> impl Stream<Item = ObjectKey> {
        stream::unfold(self, async |queue| Some((queue.next_object().await, queue)))
    }

    async fn next_object(&self) -> ObjectKey {
        loop {
            let next = self.state.lock().take();
            match next {
                Some(object) => return object,
                None => self.changed.notified().await,
            }
        }
    }

    /// Sets the stage of `object`, and returns true if it is of the bulk work.
    fn enter(&self, object: &ObjectKey, stage: Stage) -> bool {
        let known = self.state.lock().in_flight.get_mut(object).map(|known| *known = stage).is_some();
        self.changed.notify_one();
        known
    }

    /// Releases the decrypted objects if the burst is complete, or no others will join it.
    fn release_due_burst(&self) -> bool {
        let is_due = self.state.lock().is_burst_complete();
        if is_due {
            self.burst.notify_waiters();
        }
        is_due
    }
}

impl State {
    fn take(&mut self) -> Option<ObjectKey> {
        let (key, stage) = self
            .take_report()
            .or_else(|| self.take_undecrypted())
            .or_else(|| self.take_diagnosis())
            .or_else(|| self.take_counting())?;
        self.in_flight.insert(key.clone(), stage);
        Some(key)
    }

    /// Takes a report, or background work. Those of a namespace wait for its own Secrets; the Secrets of others only leave them
    /// fewer slots.
    fn take_report(&mut self) -> Option<(ObjectKey, Stage)> {
        let too_many = self.reports.len() >= REPORTS_BEHIND;
        let slots = if too_many || !self.has_undecrypted() { BURST } else { REPORTS_BESIDE };
        if self.count(Stage::Reporting) >= slots || self.reports.is_empty() && self.background.is_empty() {
            return None;
        }
        let (mut reports, mut background) = (take(&mut self.reports), take(&mut self.background));
        let secrets_come_first = self.has_secrets_to_write();
        let is_due = |namespace: &str| too_many || !secrets_come_first(namespace);
        let object = reports.pop(is_due).or_else(|| background.pop(is_due));
        drop(secrets_come_first);
        (self.reports, self.background) = (reports, background);
        object.map(|key| (key, Stage::Reporting))
    }

    fn take_undecrypted(&mut self) -> Option<(ObjectKey, Stage)> {
        if self.unwritten().count() >= UNWRITTEN_WITH_FIRST {
            return None;
        }
        let kinds = [WorkKind::Quick, WorkKind::Rendering, WorkKind::Large];
        kinds.into_iter().find_map(|kind| self.take_for(kind)).map(|key| (key, Stage::Decrypting))
    }

    fn take_diagnosis(&mut self) -> Option<(ObjectKey, Stage)> {
        self.take_for(WorkKind::Diagnosis).map(|key| (key, Stage::Reporting))
    }

    fn take_counting(&mut self) -> Option<(ObjectKey, Stage)> {
        if self.has_undecrypted() {
            return None;
        }
        self.take_for(WorkKind::Counting).map(|key| (key, Stage::Reporting))
    }

    fn take_for(&mut self, kind: WorkKind) -> Option<ObjectKey> {
        if self.in_flight_of_kind(kind).count() >= kind.slots().first_of_namespace {
            return None;
        }
        let mut queue = self.waiting.remove(&kind)?;
        let object = queue.pop(|namespace| self.may_write(namespace) && self.has_slot(kind, namespace));
        self.waiting.insert(kind, queue);
        if let Some(key) = object.as_ref().filter(|_| kind != WorkKind::Quick) {
            self.slow.insert(key.clone(), kind);
        }
        object
    }

    fn begin(&mut self, object: &ObjectKey, kind: WorkKind) -> bool {
        let slot = self.slow.get(object).copied();
        if slot == Some(kind) || kind == WorkKind::Large && slot == Some(WorkKind::Rendering) {
            return true;
        }
        // No object overtakes those that wait.
        let begins = self.queue(kind).is_empty() && self.has_slot(kind, &object.namespace);
        if begins {
            self.slow.insert(object.clone(), kind);
        } else {
            self.deferred.insert(object.clone(), kind);
        }
        begins
    }

    fn has_slot(&self, kind: WorkKind, namespace: &str) -> bool {
        let Slots { total, per_namespace, first_of_namespace } = kind.slots();
        let in_flight: Vec<_> = self.in_flight_of_kind(kind).map(|key| key.namespace == namespace).collect();
        let own = in_flight.iter().filter(|is_own| **is_own).count();
        let others =
            self.in_flight.keys().filter(|key| key.namespace == namespace && !self.slow.contains_key(*key));
        let most = if own == 0 { first_of_namespace } else { total };
        own < per_namespace && in_flight.len() < most && others.count() < IN_FLIGHT_PER_NAMESPACE
    }

    /// Returns true if one more object of this namespace may wait for the write of its Secret.
    fn may_write(&self, namespace: &str) -> bool {
        self.unwritten().count() < UNWRITTEN || !self.unwritten().any(|key| key.namespace == namespace)
    }

    /// Objects that are decrypted and whose Secrets are not written yet.
    fn unwritten(&self) -> impl Iterator<Item = &ObjectKey> {
        self.in_stage(Stage::Decrypted).chain(self.in_stage(Stage::Writing))
    }

    fn in_flight_of_kind(&self, kind: WorkKind) -> impl Iterator<Item = &ObjectKey> {
        let quick = self.in_stage(Stage::Decrypting).filter(move |_| kind == WorkKind::Quick);
        let slow = self.slow.iter().filter(move |(_, known)| **known == kind).map(|(key, _)| key);
        quick.chain(slow)
    }

    fn admit(&mut self, object: &ObjectKey) -> bool {
        if self.in_flight.contains_key(object) || self.live.contains(object) {
            return true;
        }
        let live: Vec<_> = self.live.iter().filter(|key| !self.slow.contains_key(*key)).collect();
        let own = live.iter().filter(|key| key.namespace == object.namespace).count();
        let most = if own == 0 { LIVE.first_of_namespace } else { LIVE.total };
        let is_admitted = own < LIVE.per_namespace && live.len() < most;
        if is_admitted {
            self.live.insert(object.clone());
        } else {
            self.deferred.insert(object.clone(), WorkKind::Quick);
        }
        is_admitted
    }

    fn queue(&mut self, kind: WorkKind) -> &mut RoundRobin {
        self.waiting.entry(kind).or_default()
    }

    /// Returns true if objects are to be decrypted, without slow work.
    fn has_undecrypted(&self) -> bool {
        let is_waiting = self.waiting.get(&WorkKind::Quick).is_some_and(|queue| !queue.is_empty());
        is_waiting || self.count(Stage::Decrypting) + self.count(Stage::Decrypted) > 0
    }

    /// Returns a predicate for namespaces with Secrets that are still to be written.
    fn has_secrets_to_write(&self) -> impl Fn(&str) -> bool {
        let stages = [Stage::Decrypting, Stage::Decrypted].into_iter();
        let in_decryption: BTreeSet<&str> =
            stages.flat_map(|stage| self.in_stage(stage)).map(|key| key.namespace.as_str()).collect();
        let kinds = [WorkKind::Quick, WorkKind::Rendering, WorkKind::Large].into_iter();
        let waiting: Vec<_> = kinds.filter_map(|kind| self.waiting.get(&kind)).collect();
        move |namespace| {
            in_decryption.contains(namespace) || waiting.iter().any(|queue| queue.has_any_of(namespace))
        }
    }

    fn is_burst_complete(&self) -> bool {
        self.count(Stage::Decrypted) >= BURST || self.count(Stage::Decrypting) == 0
    }

    fn count(&self, stage: Stage) -> usize {
        self.in_stage(stage).count()
    }

    /// Objects of the bulk work in this stage, without slow ones.
    fn in_stage(&self, stage: Stage) -> impl Iterator<Item = &ObjectKey> {
        let in_stage = self.in_flight.iter().filter(move |(_, known)| **known == stage);
        in_stage.map(|(key, _)| key).filter(|key| !self.slow.contains_key(*key))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const AT_ONCE_PER_NAMESPACE: usize = QUICK.per_namespace;
    const RENDERED_PER_NAMESPACE: usize = SLOW.per_namespace;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn keys(count: usize) -> impl Iterator<Item = ObjectKey> {
        (0..count).map(|number| key(&number.to_string()))
    }

    fn take_all(queue: &PriorityQueue) -> Vec<ObjectKey> {
        std::iter::from_fn(|| queue.state.lock().take()).collect()
    }

    #[test]
    fn no_more_than_the_limit_is_in_work_and_each_end_lets_one_in() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(100));
        let first = take_all(&queue);
        assert_eq!(first.len(), AT_ONCE_PER_NAMESPACE);
        queue.done(&key("somebody else's"));
        assert_eq!(take_all(&queue).len(), 0);
        queue.done(&first[3]);
        assert_eq!(take_all(&queue).len(), 1);
    }

    fn objects(namespaces: usize, of_each: usize) -> Vec<ObjectKey> {
        let names = |space| {
            (0..of_each).map(move |name| ObjectKey::new(format!("hostile-{space:03}"), name.to_string()))
        };
        (0..namespaces).flat_map(names).collect()
    }

    fn of_quiet(count: usize) -> Vec<ObjectKey> {
        (0..count).map(|name| ObjectKey::new("quiet", name.to_string())).collect()
    }

    /// Takes every object that gets a slot, and returns the quick ones in their order. Hostile objects begin slow work if they
    /// may, and then never end; the others end at once.
    fn done_beside(queue: &PriorityQueue, kind: WorkKind) -> Vec<ObjectKey> {
        let mut done = Vec::new();
        loop {
            let next = queue.state.lock().take();
            let Some(object) = next else { return done };
            if object.namespace == "quiet" {
                done.push(object.clone());
            } else if queue.begin(&object, kind) {
                continue;
            }
            queue.done(&object);
        }
    }

    /// Lets an object of the namespace quiet ask for a slot, and slow work end, the oldest first, until it has one. Returns how
    /// much has ended before.
    fn ended_before_quiet(queue: &PriorityQueue, kind: WorkKind) -> usize {
        let quiet = of_quiet(1).remove(0);
        assert!(queue.admit(&quiet));
        let mut has_begun = queue.begin(&quiet, kind);
        queue.done(&quiet);
        let mut ended = 0;
        while !has_begun {
            let oldest = queue.state.lock().slow.keys().min().cloned().unwrap();
            queue.done(&oldest);
            ended += 1;
            has_begun = take_all(queue).contains(&quiet);
        }
        ended
    }

    #[test]
    fn quick_work_completes_while_slow_work_hangs() {
        for (namespaces, of_each) in [(1, 1_000), (2, 100), (60, 3), (1_000, 2)] {
            for kind in [WorkKind::Rendering, WorkKind::Large] {
                let queue = PriorityQueue::default();
                queue.add_bulk(objects(namespaces, of_each));
                queue.add_bulk(of_quiet(100));
                assert_eq!(done_beside(&queue, kind).len(), 100, "{namespaces} x {of_each}, {kind:?}");
                assert!(queue.state.lock().slow.len() <= kind.slots().first_of_namespace);
            }
        }
    }

    #[test]
    fn writes_that_never_end_in_some_namespaces_do_not_hold_up_the_bulk_work_of_others() {
        for namespaces in [2, 10, 30] {
            let queue = PriorityQueue::default();
            queue.add_bulk(objects(namespaces, 100));
            loop {
                let taken = take_all(&queue);
                if taken.is_empty() {
                    break;
                }
                for object in &taken {
                    queue.enter(object, Stage::Writing);
                }
            }
            queue.add_bulk(of_quiet(100));
            assert_eq!(done_beside(&queue, WorkKind::Rendering).len(), 100, "{namespaces} namespaces");
        }
    }

    #[test]
    fn a_rendering_has_its_turn_after_at_most_one_of_each_other_namespace() {
        for (namespaces, of_each) in [(2, 100), (60, 3), (60, 100)] {
            let queue = PriorityQueue::default();
            queue.add_bulk(objects(namespaces, of_each));
            done_beside(&queue, WorkKind::Rendering);
            let ended = ended_before_quiet(&queue, WorkKind::Rendering);
            assert!(ended <= namespaces, "{ended} others have ended before");
        }
    }

    #[test]
    fn a_diagnosis_has_its_turn_after_at_most_one_of_each_other_namespace() {
        for (namespaces, of_each) in [(1, 1_000), (3, 100), (60, 3)] {
            let queue = PriorityQueue::default();
            for object in objects(namespaces, of_each) {
                queue.add_bulk([object]);
            }
            assert!(done_beside(&queue, WorkKind::Diagnosis).is_empty());
            let ended = ended_before_quiet(&queue, WorkKind::Diagnosis);
            assert!(ended <= namespaces, "{ended} others have ended before");
        }
    }

    #[test]
    fn one_namespace_renders_few_objects_at_a_time_and_no_object_overtakes_a_waiting_one() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(100));
        let (begun, deferred): (Vec<_>, Vec<_>) =
            take_all(&queue).into_iter().partition(|next| queue.begin(next, WorkKind::Rendering));
        assert_eq!(begun.len(), RENDERED_PER_NAMESPACE);
        assert!(begun.iter().all(|object| queue.begin(object, WorkKind::Rendering)), "they have a place");
        assert!(begun.iter().all(|object| queue.begin(object, WorkKind::Large)), "which is enough");
        queue.done(&deferred[0]);
        queue.end(&begun[0]);
        assert!(!queue.begin(&key("later"), WorkKind::Rendering), "another one waits");
        assert!(take_all(&queue).contains(&deferred[0]));
    }

    #[test]
    fn a_slow_live_change_leaves_its_slot_to_others() {
        let queue = PriorityQueue::default();
        let admitted: Vec<_> = keys(1_000).filter(|object| queue.admit(object)).collect();
        assert_eq!(admitted.len(), LIVE.per_namespace);
        let deferred: Vec<_> =
            admitted.into_iter().filter(|object| !queue.begin(object, WorkKind::Rendering)).collect();
        assert_eq!(deferred.len(), LIVE.per_namespace - RENDERED_PER_NAMESPACE);
        for object in &deferred {
            queue.done(object);
        }
        assert_eq!(
            (1_000..2_000).filter(|name| queue.admit(&key(&name.to_string()))).count(),
            LIVE.per_namespace
        );
    }

    #[test]
    fn objects_that_wait_for_counting_delay_no_report() {
        let queue = PriorityQueue::default();
        queue.add_background(objects(2, 100));
        assert!(done_beside(&queue, WorkKind::Counting).is_empty());
        assert_eq!(queue.state.lock().slow.len(), 1, "one is counted, and the others wait");
        for object in of_quiet(BURST) {
            queue.add_report(object);
        }
        assert_eq!(take_all(&queue).len(), BURST);
    }

    #[test]
    fn slow_work_delays_only_reports_of_its_own_namespace() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(RENDERED_PER_NAMESPACE + 1));
        for object in take_all(&queue) {
            if !queue.begin(&object, WorkKind::Rendering) {
                queue.done(&object);
            }
        }
        let quiet = of_quiet(1).remove(0);
        queue.add_report(key("report"));
        queue.add_report(quiet.clone());
        assert_eq!(take_all(&queue), [quiet]);
        assert!(queue.others_come_first(&key("0")));
        queue.done(&key("0"));
        assert_eq!(take_all(&queue), [key("4"), key("report")], "no other one waits");
    }

    #[test]
    fn live_changes_beyond_the_share_of_their_namespace_join_the_bulk_and_others_are_admitted() {
        let queue = PriorityQueue::default();
        let (admitted, deferred): (Vec<_>, Vec<_>) = keys(1_000).partition(|object| queue.admit(object));
        for object in &deferred {
            queue.done(object);
        }
        assert_eq!(
            (admitted.len(), queue.state.lock().queue(WorkKind::Quick).len()),
            (LIVE.per_namespace, 1_000 - LIVE.per_namespace)
        );
        for number in 0..8 {
            assert!(queue.admit(&ObjectKey::new(format!("quiet-{number}"), "db")));
        }
        let from_bulk = queue.state.lock().take().unwrap();
        assert!(queue.admit(&from_bulk), "it has its turn");
        assert!(queue.admit(&key("0")), "it is in flight already");
        queue.done(&key("0"));
        assert!(queue.admit(&key("later")));
    }

    #[test]
    fn secrets_go_before_reports() {
        let queue = PriorityQueue::default();
        queue.add_report(key("a report"));
        queue.add_bulk([key("an object")]);
        assert_eq!(take_all(&queue), [key("an object")]);
        assert!(queue.will_report(&key("a report")));
        queue.done(&key("an object"));
        assert_eq!(take_all(&queue), [key("a report")]);
        assert!(!queue.will_report(&key("a report")));
    }

    #[test]
    fn a_report_does_not_wait_for_the_secrets_of_another_namespace() {
        let queue = PriorityQueue::default();
        queue.add_bulk(objects(1, 1_000));
        take_all(&queue);
        for object in of_quiet(10) {
            queue.add_report(object);
        }
        queue.add_background([ObjectKey::new("calm", "a chore")]);
        let mut reported = Vec::new();
        let next = || queue.state.lock().take();
        while let Some(object) = next() {
            assert!(!queue.others_come_first(&object), "it is its turn");
            reported.push(object.namespace.clone());
            queue.done(&object);
        }
        assert_eq!(reported, [vec!["quiet"; 10], vec!["calm"]].concat());
    }

    #[test]
    fn reports_beside_the_secrets_of_others_take_few_slots() {
        let queue = PriorityQueue::default();
        queue.add_bulk(objects(1, 1_000));
        for object in of_quiet(BURST) {
            queue.add_report(object);
        }
        let quiet = take_all(&queue).iter().filter(|object| object.namespace == "quiet").count();
        assert_eq!(quiet, REPORTS_BESIDE);
    }

    #[test]
    fn background_work_comes_last() {
        let queue = PriorityQueue::default();
        queue.add_background([key("a chore")]);
        queue.add_report(key("a report"));
        queue.add_bulk([key("an object")]);
        assert_eq!(take_all(&queue), [key("an object")]);
        queue.done(&key("an object"));
        assert_eq!(take_all(&queue), [key("a report"), key("a chore")]);
    }

    #[test]
    fn too_many_reports_go_before_secrets() {
        let queue = PriorityQueue::default();
        keys(REPORTS_BEHIND).for_each(|object| queue.add_report(object));
        queue.add_bulk([key("an object")]);
        assert_eq!(take_all(&queue)[..2], [key("0"), key("an object")]);
    }

    #[test]
    fn only_bulk_work_reports_later_and_only_while_others_wait() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(2));
        let both = take_all(&queue);
        queue.enter(&both[0], Stage::Writing);
        assert!(queue.others_come_first(&both[0]));
        assert!(!queue.others_come_first(&key("live")));
        queue.enter(&both[1], Stage::Writing);
        assert!(!queue.others_come_first(&both[0]));
    }

    #[test]
    fn an_object_that_is_added_twice_has_one_turn() {
        let queue = PriorityQueue::default();
        queue.add_bulk([key("a"), key("b"), key("a")]);
        assert_eq!(take_all(&queue), [key("a"), key("b")]);
    }

    #[tokio::test]
    async fn the_next_object_is_awaited_until_one_is_added() {
        let queue = PriorityQueue::default();
        let next = queue.next_object();
        futures::pin_mut!(next);
        assert_eq!((&mut next).now_or_never(), None);
        queue.add_bulk([key("a")]);
        assert_eq!(next.await, key("a"));
    }

    #[test]
    fn a_burst_waits_for_objects_that_are_being_decrypted() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(3));
        let all = take_all(&queue);
        queue.enter(&all[0], Stage::Decrypted);
        assert!(!queue.release_due_burst(), "two others may join it");
        queue.done(&all[1]);
        assert!(!queue.release_due_burst(), "one other may join it");
        queue.enter(&all[2], Stage::Decrypted);
        assert!(queue.release_due_burst());
    }

    #[tokio::test]
    async fn a_live_change_and_one_behind_slow_work_are_written_in_the_end() {
        let queue = PriorityQueue::default();
        queue.wait_to_write(&key("live")).await;
        queue.add_bulk(keys(2));
        let both = take_all(&queue);
        queue.wait_to_write(&both[0]).await;
        assert_eq!(queue.state.lock().count(Stage::Writing), 1);
    }

    #[test]
    fn a_full_burst_is_released_while_others_are_being_decrypted() {
        let queue = PriorityQueue::default();
        queue.add_bulk(keys(BURST + 1));
        queue.state.lock().take();
        for _ in 0..BURST {
            assert!(!queue.release_due_burst());
            let object = queue.state.lock().take().unwrap();
            queue.enter(&object, Stage::Decrypted);
        }
        assert!(queue.release_due_burst());
    }
}
