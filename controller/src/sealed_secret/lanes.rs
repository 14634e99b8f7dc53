//! Which objects of a backlog come next, and when their Secrets are written. What is urgent passes only where its namespace has
//! too much of it. What takes long has queues and places of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::Notify;

use super::round_robin::RoundRobin;
use super::versions::Key;

/// Secrets of the backlog that are written together; and as many objects are reported at the same time, so that a slow answer of
/// the API server does not decide how long a first sync takes.
const BURST: usize = 32;

/// Objects that are opened and whose Secrets are not written yet: beyond that, no others are opened.
const UNWRITTEN: usize = 2 * BURST;

/// Objects of one namespace that are being opened or written and do not take long.
const IN_WORK_OF_ONE: usize = Work::Quick.places().of_one + BURST;

/// Urgent objects in work, of all namespaces and of one. What is urgent beyond that joins the backlog.
const URGENT: usize = 40;
const URGENT_OF_ONE: usize = 24;

/// The same where the namespace has no other one in work.
const URGENT_ALONE: usize = 56;

/// The most objects in work at the same time.
#[cfg(test)]
pub(super) const MOST: usize = UNWRITTEN
    + Work::Quick.places().alone
    + Work::Rendering.places().alone
    + Work::Large.places().alone
    + Work::Counting.places().alone
    + BURST
    + URGENT_ALONE;

/// A Secret waits for others no longer than this, whatever takes long to open.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Reports that may wait while there are still Secrets to be written.
const REPORTS_BEHIND: usize = 2_000;

/// What an object waits for. Each kind has a queue, in which namespaces take turns, and places: so nothing waits for what it does
/// not need, and the place of a quiet namespace depends on how many others there are, and not on what they have queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Opening a small object without templates, in one slice of private-key operations.
    Quick,
    /// Opening an object with templates.
    Rendering,
    /// Opening an object that is large or takes more than one slice.
    Large,
    /// Counting which keys an object needs.
    Counting,
}

/// How many objects may be in work of one kind.
#[derive(Clone, Copy, Debug)]
struct Places {
    all: usize,
    of_one: usize,
    /// The same where the namespace has no other one in this work: it does not wait for others before there are so many.
    alone: usize,
}

impl Work {
    const fn places(self) -> Places {
        match self {
            // Two processors are busy with fewer.
            Self::Quick => Places { all: 32, of_one: 16, alone: 96 },
            Self::Rendering | Self::Large => Places { all: 16, of_one: 4, alone: 48 },
            Self::Counting => Places { all: 1, of_one: 1, alone: 1 },
        }
    }
}

/// Queues of which the first goes first, and how much of all is in work. In each, namespaces take turns.
///
/// Objects of a list or of a new key ring wait to be opened; what was opened meanwhile waits to be reported. So a first sync
/// of thousands of objects writes the Secrets, which somebody waits for, before it writes status and events. It writes them in
/// bursts, which the API server and its store are done with sooner than with as many one by one. What nobody waits for, such as
/// a condition that a new key ring has changed, comes last.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    changed: Notify,
    burst: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Objects that are to be opened or counted.
    waiting: BTreeMap<Work, RoundRobin>,
    reports: RoundRobin,
    chores: RoundRobin,
    in_work: HashMap<Key, Stage>,
    urgent: BTreeSet<Key>,
    /// Those in work that take long: they have a place there, and none of the others.
    slow: HashMap<Key, Work>,
    /// Objects without a place, until that attempt has ended; and what they wait for then.
    deferred: BTreeMap<Key, Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    /// Waits for others to be written together with.
    Opened,
    Writing,
    /// Is told of, or is a chore.
    Reporting,
}

impl Lanes {
    /// Adds objects that are to be opened. One that waits already keeps its place.
    pub(super) fn open_later(&self, objects: impl IntoIterator<Item = Key>) {
        self.lock().queue(Work::Quick).extend(objects);
        self.changed.notify_one();
    }

    /// Admits `object` to work until [`Self::done`]. An urgent one of a namespace that has too many in work joins the backlog then.
    pub(super) fn admit(&self, object: &Key) -> bool {
        self.lock().admit(object)
    }

    /// Whether `object`, which is in work, has a place in `work`, which takes long. It gives up its other places then; without
    /// one it waits for its turn when this attempt ends, which it should do at once.
    pub(super) fn begin(&self, object: &Key, work: Work) -> bool {
        let begins = self.lock().begin(object, work);
        self.burst_is_due();
        self.changed.notify_one();
        begins
    }

    /// Notes that what takes long has ended, while `object` stays in work.
    pub(super) fn end(&self, object: &Key) {
        self.lock().slow.remove(object);
        self.changed.notify_one();
    }

    /// Adds an object that was opened and is to be reported.
    pub(super) fn report_later(&self, object: Key) {
        self.lock().reports.insert(object);
        self.changed.notify_one();
    }

    /// Adds objects that are to be looked at when nothing else waits.
    pub(super) fn look_later(&self, objects: impl IntoIterator<Item = Key>) {
        self.lock().chores.extend(objects);
        self.changed.notify_one();
    }

    /// Whether `object` is of the backlog, and others of it are still to be opened: then its report can wait. For what takes
    /// long, only reports of its own namespace wait.
    pub(super) fn others_come_first(&self, object: &Key) -> bool {
        let state = self.lock();
        state.in_work.contains_key(object) && (state.has_unopened() || is_behind(&state.waiting, &object.0))
    }

    /// Whether `object` waits to be reported.
    pub(super) fn will_report(&self, object: &Key) -> bool {
        self.lock().reports.contains(object)
    }

    /// Returns when the Secret of `object`, which was opened, may be written: at once, unless it is of the backlog and others
    /// are about to join it.
    pub(super) async fn may_write(&self, object: &Key) {
        // Hears of a burst from here on.
        let burst = self.burst.notified();
        if !self.enter(object, Stage::Opened) {
            return;
        }
        if !self.burst_is_due() {
            // An error means that the wait was long enough.
            let _ = tokio::time::timeout(LONGEST_WAIT, burst).await;
        }
        self.enter(object, Stage::Writing);
    }

    /// Notes the end of an attempt at `object`, whoever had asked for it.
    pub(super) fn done(&self, object: &Key) {
        let mut state = self.lock();
        state.urgent.remove(object);
        state.in_work.remove(object);
        state.slow.remove(object);
        if let Some(work) = state.deferred.remove(object) {
            state.queue(work).insert(object.clone());
        }
        drop(state);
        self.burst_is_due();
        self.changed.notify_one();
    }

    /// The objects one by one, each as soon as there is room; [`Self::done`] must be told of every one. Never ends, and is meant
    /// for one reader.
    pub(super) fn turns(self: Arc<Self>) -> impl Stream<Item = Key> {
        stream::unfold(self, async |lanes| Some((lanes.turn().await, lanes)))
    }

    async fn turn(&self) -> Key {
        loop {
            let next = self.lock().take();
            match next {
                Some(object) => return object,
                None => self.changed.notified().await,
            }
        }
    }

    /// Whether `object` is of the backlog, and so has come to this stage.
    fn enter(&self, object: &Key, stage: Stage) -> bool {
        let known = self.lock().in_work.get_mut(object).map(|known| *known = stage).is_some();
        self.changed.notify_one();
        known
    }

    /// Lets those that were opened go if they are enough, or no others will join them.
    fn burst_is_due(&self) -> bool {
        let is_due = self.lock().burst_is_due();
        if is_due {
            self.burst.notify_waiters();
        }
        is_due
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Key> {
        let (key, stage) =
            self.take_report().or_else(|| self.take_unopened()).or_else(|| self.take_counting())?;
        self.in_work.insert(key.clone(), stage);
        Some(key)
    }

    fn take_report(&mut self) -> Option<(Key, Stage)> {
        let (too_many, nothing_else) = (self.reports.len() >= REPORTS_BEHIND, !self.has_unopened());
        if !too_many && !nothing_else || self.count(Stage::Reporting) >= BURST {
            return None;
        }
        let Self { reports, chores, waiting, .. } = self;
        let is_due = |namespace: &str| too_many || !is_behind(waiting, namespace);
        let object = reports.pop(is_due).or_else(|| chores.pop(is_due));
        object.map(|key| (key, Stage::Reporting))
    }

    fn take_unopened(&mut self) -> Option<(Key, Stage)> {
        if self.count(Stage::Opened) + self.count(Stage::Writing) >= UNWRITTEN {
            return None;
        }
        let works = [Work::Quick, Work::Rendering, Work::Large];
        works.into_iter().find_map(|work| self.take_for(work)).map(|key| (key, Stage::Opening))
    }

    fn take_counting(&mut self) -> Option<(Key, Stage)> {
        if self.has_unopened() {
            return None;
        }
        self.take_for(Work::Counting).map(|key| (key, Stage::Reporting))
    }

    fn take_for(&mut self, work: Work) -> Option<Key> {
        if self.in_this_work(work).count() >= work.places().alone {
            return None;
        }
        let mut queue = self.waiting.remove(&work)?;
        let object = queue.pop(|namespace| self.has_place(work, namespace));
        self.waiting.insert(work, queue);
        if let Some(key) = object.as_ref().filter(|_| work != Work::Quick) {
            self.slow.insert(key.clone(), work);
        }
        object
    }

    fn begin(&mut self, object: &Key, work: Work) -> bool {
        let place = self.slow.get(object).copied();
        if place == Some(work) || work == Work::Large && place == Some(Work::Rendering) {
            return true;
        }
        // Nothing overtakes what waits.
        let begins = self.queue(work).is_empty() && self.has_place(work, &object.0);
        if begins {
            self.slow.insert(object.clone(), work);
        } else {
            self.deferred.insert(object.clone(), work);
        }
        begins
    }

    fn has_place(&self, work: Work, namespace: &str) -> bool {
        let Places { all, of_one, alone } = work.places();
        let in_work: Vec<_> = self.in_this_work(work).map(|key| key.0 == namespace).collect();
        let own = in_work.iter().filter(|is_own| **is_own).count();
        let others = self.in_work.keys().filter(|key| key.0 == namespace && !self.slow.contains_key(*key));
        let most = if own == 0 { alone } else { all };
        own < of_one && in_work.len() < most && others.count() < IN_WORK_OF_ONE
    }

    fn in_this_work(&self, work: Work) -> impl Iterator<Item = &Key> {
        let quick = self.in_stage(Stage::Opening).filter(move |_| work == Work::Quick);
        let slow = self.slow.iter().filter(move |(_, known)| **known == work).map(|(key, _)| key);
        quick.chain(slow)
    }

    fn admit(&mut self, object: &Key) -> bool {
        if self.in_work.contains_key(object) || self.urgent.contains(object) {
            return true;
        }
        let urgent: Vec<_> = self.urgent.iter().filter(|key| !self.slow.contains_key(*key)).collect();
        let own = urgent.iter().filter(|key| key.0 == object.0).count();
        let most = if own == 0 { URGENT_ALONE } else { URGENT };
        let has_room = own < URGENT_OF_ONE && urgent.len() < most;
        if has_room {
            self.urgent.insert(object.clone());
        } else {
            self.deferred.insert(object.clone(), Work::Quick);
        }
        has_room
    }

    fn queue(&mut self, work: Work) -> &mut RoundRobin {
        self.waiting.entry(work).or_default()
    }

    /// Whether anything is to be opened that does not take long.
    fn has_unopened(&self) -> bool {
        let is_waiting = self.waiting.get(&Work::Quick).is_some_and(|queue| !queue.is_empty());
        is_waiting || self.count(Stage::Opening) + self.count(Stage::Opened) > 0
    }

    fn burst_is_due(&self) -> bool {
        self.count(Stage::Opened) >= BURST || self.count(Stage::Opening) == 0
    }

    fn count(&self, stage: Stage) -> usize {
        self.in_stage(stage).count()
    }

    /// Objects of the backlog that have come to this stage, without those that take long.
    fn in_stage(&self, stage: Stage) -> impl Iterator<Item = &Key> {
        let in_stage = self.in_work.iter().filter(move |(_, known)| **known == stage);
        in_stage.map(|(key, _)| key).filter(|key| !self.slow.contains_key(*key))
    }
}

/// Whether objects of this namespace wait to be opened that take long.
fn is_behind(waiting: &BTreeMap<Work, RoundRobin>, namespace: &str) -> bool {
    let queues = [Work::Rendering, Work::Large].into_iter().filter_map(|work| waiting.get(&work));
    queues.into_iter().any(|queue| queue.has_any_of(namespace))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const AT_ONCE_OF_ONE: usize = Work::Quick.places().of_one;
    const RENDERED_OF_ONE: usize = Work::Rendering.places().of_one;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    fn keys(count: usize) -> impl Iterator<Item = Key> {
        (0..count).map(|number| key(&number.to_string()))
    }

    fn take_all(lanes: &Lanes) -> Vec<Key> {
        std::iter::from_fn(|| lanes.lock().take()).collect()
    }

    #[test]
    fn no_more_than_the_limit_is_in_work_and_each_end_lets_one_in() {
        let lanes = Lanes::default();
        lanes.open_later(keys(100));
        let first = take_all(&lanes);
        assert_eq!(first.len(), AT_ONCE_OF_ONE);
        lanes.done(&key("somebody else's"));
        assert_eq!(take_all(&lanes).len(), 0);
        lanes.done(&first[3]);
        assert_eq!(take_all(&lanes).len(), 1);
    }

    fn objects(namespaces: usize, of_each: usize) -> Vec<Key> {
        let names = |space| (0..of_each).map(move |name| (format!("hostile-{space:03}"), name.to_string()));
        (0..namespaces).flat_map(names).collect()
    }

    fn of_quiet(count: usize) -> Vec<Key> {
        (0..count).map(|name| ("quiet".to_owned(), name.to_string())).collect()
    }

    /// Takes whatever has its turn, and returns what needs no more than that, in its order. What is hostile begins `work` if it
    /// may, and then never ends. What is not done long.
    fn done_beside(lanes: &Lanes, work: Work) -> Vec<Key> {
        let mut done = Vec::new();
        loop {
            let next = lanes.lock().take();
            let Some(object) = next else { return done };
            if object.0 == "quiet" {
                done.push(object.clone());
            } else if lanes.begin(&object, work) {
                continue;
            }
            lanes.done(&object);
        }
    }

    #[test]
    fn what_is_quick_is_all_done_though_what_takes_long_elsewhere_never_ends() {
        for (namespaces, of_each) in [(1, 1_000), (2, 100), (60, 3), (1_000, 2)] {
            for work in [Work::Rendering, Work::Large] {
                let lanes = Lanes::default();
                lanes.open_later(objects(namespaces, of_each));
                lanes.open_later(of_quiet(100));
                assert_eq!(done_beside(&lanes, work).len(), 100, "{namespaces} x {of_each}, {work:?}");
                assert!(lanes.lock().slow.len() <= work.places().alone);
            }
        }
    }

    #[test]
    fn a_rendering_has_its_turn_after_at_most_one_of_each_other_namespace() {
        for (namespaces, of_each) in [(2, 100), (60, 3), (60, 100)] {
            let lanes = Lanes::default();
            lanes.open_later(objects(namespaces, of_each));
            done_beside(&lanes, Work::Rendering);
            let quiet = of_quiet(1).remove(0);
            assert!(lanes.admit(&quiet));
            let mut has_begun = lanes.begin(&quiet, Work::Rendering);
            lanes.done(&quiet);
            let mut ended = 0;
            while !has_begun {
                let oldest = lanes.lock().slow.keys().min().cloned().unwrap();
                lanes.done(&oldest);
                ended += 1;
                for next in take_all(&lanes) {
                    has_begun |= next == quiet;
                }
            }
            assert!(ended <= namespaces, "{ended} others have ended before");
        }
    }

    #[test]
    fn one_namespace_renders_few_objects_at_a_time_and_nothing_overtakes_what_waits() {
        let lanes = Lanes::default();
        lanes.open_later(keys(100));
        let (begun, deferred): (Vec<_>, Vec<_>) =
            take_all(&lanes).into_iter().partition(|next| lanes.begin(next, Work::Rendering));
        assert_eq!(begun.len(), RENDERED_OF_ONE);
        assert!(begun.iter().all(|object| lanes.begin(object, Work::Rendering)), "they have a place");
        assert!(begun.iter().all(|object| lanes.begin(object, Work::Large)), "which is enough");
        lanes.done(&deferred[0]);
        lanes.end(&begun[0]);
        assert!(!lanes.begin(&key("later"), Work::Rendering), "another one waits");
        assert!(take_all(&lanes).contains(&deferred[0]));
    }

    #[test]
    fn what_is_urgent_and_takes_long_leaves_its_place_to_others() {
        let lanes = Lanes::default();
        let admitted: Vec<_> = keys(1_000).filter(|object| lanes.admit(object)).collect();
        assert_eq!(admitted.len(), URGENT_OF_ONE);
        let deferred: Vec<_> =
            admitted.into_iter().filter(|object| !lanes.begin(object, Work::Rendering)).collect();
        assert_eq!(deferred.len(), URGENT_OF_ONE - RENDERED_OF_ONE);
        for object in &deferred {
            lanes.done(object);
        }
        assert_eq!((1_000..2_000).filter(|name| lanes.admit(&key(&name.to_string()))).count(), URGENT_OF_ONE);
    }

    #[test]
    fn what_waits_to_be_counted_is_in_the_way_of_no_report() {
        let lanes = Lanes::default();
        lanes.look_later(objects(2, 100));
        assert!(done_beside(&lanes, Work::Counting).is_empty());
        assert_eq!(lanes.lock().slow.len(), 1, "one is counted, and the others wait");
        for object in of_quiet(BURST) {
            lanes.report_later(object);
        }
        assert_eq!(take_all(&lanes).len(), BURST);
    }

    #[test]
    fn what_takes_long_delays_only_reports_of_its_own_namespace() {
        let lanes = Lanes::default();
        lanes.open_later(keys(RENDERED_OF_ONE + 1));
        for object in take_all(&lanes) {
            if !lanes.begin(&object, Work::Rendering) {
                lanes.done(&object);
            }
        }
        let quiet = of_quiet(1).remove(0);
        lanes.report_later(key("report"));
        lanes.report_later(quiet.clone());
        assert_eq!(take_all(&lanes), [quiet]);
        assert!(lanes.others_come_first(&key("0")));
        lanes.done(&key("0"));
        assert_eq!(take_all(&lanes), [key("4"), key("report")], "no other one waits");
    }

    #[test]
    fn what_is_urgent_beyond_the_share_of_its_namespace_joins_the_backlog_and_others_are_admitted() {
        let lanes = Lanes::default();
        let (admitted, deferred): (Vec<_>, Vec<_>) = keys(1_000).partition(|object| lanes.admit(object));
        for object in &deferred {
            lanes.done(object);
        }
        assert_eq!(
            (admitted.len(), lanes.lock().queue(Work::Quick).len()),
            (URGENT_OF_ONE, 1_000 - URGENT_OF_ONE)
        );
        for number in 0..8 {
            assert!(lanes.admit(&(format!("quiet-{number}"), "db".to_owned())));
        }
        let from_backlog = lanes.lock().take().unwrap();
        assert!(lanes.admit(&from_backlog), "it has its turn");
        assert!(lanes.admit(&key("0")), "it is in work already");
        lanes.done(&key("0"));
        assert!(lanes.admit(&key("later")));
    }

    #[test]
    fn secrets_go_before_reports() {
        let lanes = Lanes::default();
        lanes.report_later(key("a report"));
        lanes.open_later([key("an object")]);
        assert_eq!(take_all(&lanes), [key("an object")]);
        assert!(lanes.will_report(&key("a report")));
        lanes.done(&key("an object"));
        assert_eq!(take_all(&lanes), [key("a report")]);
        assert!(!lanes.will_report(&key("a report")));
    }

    #[test]
    fn what_nobody_waits_for_comes_last() {
        let lanes = Lanes::default();
        lanes.look_later([key("a chore")]);
        lanes.report_later(key("a report"));
        lanes.open_later([key("an object")]);
        assert_eq!(take_all(&lanes), [key("an object")]);
        lanes.done(&key("an object"));
        assert_eq!(take_all(&lanes), [key("a report"), key("a chore")]);
    }

    #[test]
    fn too_many_reports_go_before_secrets() {
        let lanes = Lanes::default();
        keys(REPORTS_BEHIND).for_each(|object| lanes.report_later(object));
        lanes.open_later([key("an object")]);
        assert_eq!(take_all(&lanes)[..2], [key("0"), key("an object")]);
    }

    #[test]
    fn only_what_is_of_the_backlog_reports_later_and_only_while_others_wait() {
        let lanes = Lanes::default();
        lanes.open_later(keys(2));
        let both = take_all(&lanes);
        lanes.enter(&both[0], Stage::Writing);
        assert!(lanes.others_come_first(&both[0]));
        assert!(!lanes.others_come_first(&key("urgent")));
        lanes.enter(&both[1], Stage::Writing);
        assert!(!lanes.others_come_first(&both[0]));
    }

    #[test]
    fn an_object_that_is_added_twice_has_one_turn() {
        let lanes = Lanes::default();
        lanes.open_later([key("a"), key("b"), key("a")]);
        assert_eq!(take_all(&lanes), [key("a"), key("b")]);
    }

    #[tokio::test]
    async fn a_turn_waits_until_something_is_added() {
        let lanes = Lanes::default();
        let turn = lanes.turn();
        futures::pin_mut!(turn);
        assert_eq!((&mut turn).now_or_never(), None);
        lanes.open_later([key("a")]);
        assert_eq!(turn.await, key("a"));
    }

    #[test]
    fn a_burst_waits_for_those_that_are_being_opened() {
        let lanes = Lanes::default();
        lanes.open_later(keys(3));
        let all = take_all(&lanes);
        lanes.enter(&all[0], Stage::Opened);
        assert!(!lanes.burst_is_due(), "two others may join it");
        lanes.done(&all[1]);
        assert!(!lanes.burst_is_due(), "one other may join it");
        lanes.enter(&all[2], Stage::Opened);
        assert!(lanes.burst_is_due());
    }

    #[tokio::test]
    async fn what_is_urgent_or_waits_for_what_takes_long_is_written_in_the_end() {
        let lanes = Lanes::default();
        lanes.may_write(&key("urgent")).await;
        lanes.open_later(keys(2));
        let both = take_all(&lanes);
        lanes.may_write(&both[0]).await;
        assert_eq!(lanes.lock().count(Stage::Writing), 1);
    }

    #[test]
    fn a_burst_is_enough_though_others_are_being_opened() {
        let lanes = Lanes::default();
        lanes.open_later(keys(BURST + 1));
        lanes.lock().take();
        for _ in 0..BURST {
            assert!(!lanes.burst_is_due());
            let object = lanes.lock().take().unwrap();
            lanes.enter(&object, Stage::Opened);
        }
        assert!(lanes.burst_is_due());
    }
}
