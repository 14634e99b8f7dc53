//! Which objects of a backlog come next, and when their Secrets are written. What is urgent passes only where its namespace has
//! too much of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::sync::Notify;

use super::round_robin::RoundRobin;
use super::versions::Key;

/// Objects of the backlog that are being opened at the same time: two processors are busy with fewer, and whatever is urgent
/// waits for no more than these.
const AT_ONCE: usize = 16;

/// Secrets of the backlog that are written together; and as many objects are reported at the same time, so that a slow answer of
/// the API server does not decide how long a first sync takes.
const BURST: usize = 32;

/// All objects of the backlog in work.
const IN_WORK: usize = 64;

/// Those of one namespace: the objects that are being opened and a burst that is being written.
const IN_WORK_OF_ONE: usize = AT_ONCE + BURST;

/// Urgent objects in work, of all namespaces and of one. What is urgent beyond that joins the backlog.
const URGENT: usize = 40;
const URGENT_OF_ONE: usize = 24;

/// The same where the namespace has no other one in work.
const URGENT_ALONE: usize = 56;

/// A Secret waits for others no longer than this, whatever takes long to open.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// What takes longer to open is set aside, so that others of the backlog go on.
const SLOW: Duration = Duration::from_millis(250);

/// Reports that may wait while there are still Secrets to be written.
const REPORTS_BEHIND: usize = 2_000;

/// Three queues of which the first goes first, and how much of all is in work. In each, namespaces take turns.
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
    backlog: RoundRobin,
    reports: RoundRobin,
    chores: RoundRobin,
    in_work: HashMap<Key, Stage>,
    urgent: BTreeSet<Key>,
    /// Urgent objects that were not admitted, until that attempt has ended.
    deferred: BTreeSet<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    /// Is being opened, and takes long: nothing waits for it.
    Aside,
    /// Waits for others to be written together with.
    Opened,
    Writing,
    /// Is told of, or is a chore.
    Reporting,
}

impl Lanes {
    /// Adds objects that are to be opened. One that waits already keeps its place.
    pub(super) fn open_later(&self, objects: impl IntoIterator<Item = Key>) {
        self.lock().backlog.extend(objects);
        self.changed.notify_one();
    }

    /// Admits `object` to work until [`Self::done`]. An urgent one of a namespace that has too many in work joins the backlog then.
    pub(super) fn admit(&self, object: &Key) -> bool {
        self.lock().admit(object)
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

    /// Whether `object` is of the backlog, and others of it are still to be opened: then its report can wait.
    pub(super) fn others_come_first(&self, object: &Key) -> bool {
        let state = self.lock();
        state.in_work.contains_key(object) && state.has_unopened()
    }

    /// Whether `object` waits to be reported.
    pub(super) fn will_report(&self, object: &Key) -> bool {
        self.lock().reports.contains(object)
    }

    /// The outcome of `opening`, which opens `object`: if that takes long, it no longer counts as one of those that are being opened.
    pub(super) async fn opened<T>(&self, object: &Key, opening: impl Future<Output = T>) -> T {
        tokio::pin!(opening);
        if let Ok(outcome) = tokio::time::timeout(SLOW, &mut opening).await {
            return outcome;
        }
        self.enter(object, Stage::Aside);
        self.burst_is_due();
        opening.await
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
        if state.deferred.remove(object) {
            state.backlog.insert(object.clone());
            return self.changed.notify_one();
        }
        state.urgent.remove(object);
        let was_in_work = state.in_work.remove(object).is_some();
        drop(state);
        if was_in_work {
            self.burst_is_due();
            self.changed.notify_one();
        }
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
        let (key, stage) = self.take_report().or_else(|| self.take_unopened())?;
        self.in_work.insert(key.clone(), stage);
        Some(key)
    }

    fn take_report(&mut self) -> Option<(Key, Stage)> {
        let (too_many, nothing_else) = (self.reports.len() >= REPORTS_BEHIND, !self.has_unopened());
        if !too_many && !nothing_else || self.count(Stage::Reporting) >= BURST {
            return None;
        }
        let object = self.reports.pop(|_| true).or_else(|| self.chores.pop(|_| true));
        object.map(|key| (key, Stage::Reporting))
    }

    fn take_unopened(&mut self) -> Option<(Key, Stage)> {
        let has_room = self.count(Stage::Opening) < AT_ONCE && self.in_work.len() < IN_WORK;
        let Self { backlog, in_work, .. } = self;
        let has_few =
            |namespace: &str| in_work.keys().filter(|key| key.0 == namespace).count() < IN_WORK_OF_ONE;
        let object = if has_room { backlog.pop(has_few) } else { None };
        object.map(|key| (key, Stage::Opening))
    }

    fn admit(&mut self, object: &Key) -> bool {
        if self.in_work.contains_key(object) || self.urgent.contains(object) {
            return true;
        }
        let own = self.urgent.iter().filter(|key| key.0 == object.0).count();
        let most = if own == 0 { URGENT_ALONE } else { URGENT };
        let has_room = own < URGENT_OF_ONE && self.urgent.len() < most;
        let joined = if has_room { &mut self.urgent } else { &mut self.deferred };
        joined.insert(object.clone());
        has_room
    }

    fn has_unopened(&self) -> bool {
        !self.backlog.is_empty() || self.count(Stage::Opening) + self.count(Stage::Opened) > 0
    }

    fn burst_is_due(&self) -> bool {
        self.count(Stage::Opened) >= BURST || self.count(Stage::Opening) == 0
    }

    fn count(&self, stage: Stage) -> usize {
        self.in_work.values().filter(|known| **known == stage).count()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

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
        assert_eq!(first.len(), AT_ONCE);
        lanes.done(&key("somebody else's"));
        assert_eq!(take_all(&lanes).len(), 0);
        lanes.done(&first[3]);
        assert_eq!(take_all(&lanes).len(), 1);
    }

    #[test]
    fn namespaces_take_turns_in_a_backlog_and_one_that_is_slow_leaves_workers_to_others() {
        let lanes = Lanes::default();
        let quiet = ("quiet".to_owned(), "db".to_owned());
        lanes.open_later(keys(1_000));
        let mut slow = Vec::new();
        loop {
            let next = lanes.lock().take();
            let Some(object) = next else { break };
            lanes.enter(&object, Stage::Aside);
            slow.push(object);
        }
        assert_eq!(slow.len(), IN_WORK_OF_ONE);
        lanes.open_later([quiet.clone()]);
        assert_eq!(take_all(&lanes), [quiet]);
    }

    #[test]
    fn what_is_urgent_beyond_the_share_of_its_namespace_joins_the_backlog_and_others_are_admitted() {
        let lanes = Lanes::default();
        let (admitted, deferred): (Vec<_>, Vec<_>) = keys(1_000).partition(|object| lanes.admit(object));
        for object in &deferred {
            lanes.done(object);
        }
        assert_eq!((admitted.len(), lanes.lock().backlog.len()), (URGENT_OF_ONE, 1_000 - URGENT_OF_ONE));
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
    async fn what_takes_long_to_open_holds_up_nothing() {
        let lanes = Lanes::default();
        lanes.report_later(key("a report"));
        lanes.open_later(keys(AT_ONCE + 1));
        let slow = take_all(&lanes);
        assert_eq!(slow.len(), AT_ONCE);
        let opening = slow.iter().map(|object| lanes.opened(object, std::future::pending::<()>()));
        let mut opening = Box::pin(futures::future::join_all(opening));
        assert!(tokio::time::timeout(SLOW * 2, &mut opening).await.is_err());
        let next = take_all(&lanes);
        assert_eq!(next.len(), 1, "the next of the backlog has its turn");
        lanes.done(&next[0]);
        assert_eq!(take_all(&lanes), [key("a report")]);
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
