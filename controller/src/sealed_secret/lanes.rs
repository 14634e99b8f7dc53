//! Which objects of a backlog come next. What is urgent does not pass here.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use tokio::sync::Notify;

use super::versions::Key;

/// Objects of the backlog in work at the same time: two processors are busy with fewer, and whatever is urgent waits for no
/// more than these.
const IN_WORK: usize = 16;

/// Reports that may wait while there are still Secrets to be written.
const REPORTS_BEHIND: usize = 2_000;

/// Three queues of which the first goes first, and how much of all is in work.
///
/// Objects of a list or of a new key ring wait to be opened; what was opened meanwhile waits to be reported. So a first sync
/// of thousands of objects writes the Secrets, which somebody waits for, before it writes status and events. What nobody waits
/// for, such as a condition that a new key ring has changed, comes last.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    backlog: BTreeSet<Key>,
    reports: BTreeSet<Key>,
    chores: BTreeSet<Key>,
    in_work: HashSet<Key>,
}

impl Lanes {
    /// Adds objects that are to be opened. One that waits already keeps its place.
    pub(super) fn open_later(&self, objects: impl IntoIterator<Item = Key>) {
        self.lock().backlog.extend(objects);
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

    /// Whether `object` is of the backlog, and others of it are still to be opened: then its report can wait.
    pub(super) fn others_come_first(&self, object: &Key) -> bool {
        let state = self.lock();
        state.in_work.contains(object) && !state.backlog.is_empty()
    }

    /// Whether `object` waits to be reported.
    pub(super) fn will_report(&self, object: &Key) -> bool {
        self.lock().reports.contains(object)
    }

    /// Notes the end of an attempt at `object`, whoever had asked for it.
    pub(super) fn done(&self, object: &Key) {
        if self.lock().in_work.remove(object) {
            self.changed.notify_one();
        }
    }

    /// The objects one by one, each as soon as fewer than 16 are in work; [`Self::done`] must be told of every one. Never
    /// ends, and is meant for one reader.
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Key> {
        if self.in_work.len() >= IN_WORK {
            return None;
        }
        let reports_first = self.reports.len() >= REPORTS_BEHIND;
        let next = if reports_first { None } else { self.backlog.pop_first() };
        let next = next.or_else(|| self.reports.pop_first()).or_else(|| self.chores.pop_first())?;
        self.in_work.insert(next.clone());
        Some(next)
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
        assert_eq!(first.len(), IN_WORK);
        lanes.done(&key("somebody else's"));
        assert_eq!(take_all(&lanes).len(), 0);
        lanes.done(&first[3]);
        assert_eq!(take_all(&lanes).len(), 1);
    }

    #[test]
    fn secrets_go_before_reports() {
        let lanes = Lanes::default();
        lanes.report_later(key("a report"));
        lanes.open_later([key("an object")]);
        assert!(lanes.will_report(&key("a report")));
        assert_eq!(take_all(&lanes), [key("an object"), key("a report")]);
        assert!(!lanes.will_report(&key("a report")));
    }

    #[test]
    fn what_nobody_waits_for_comes_last() {
        let lanes = Lanes::default();
        lanes.look_later([key("a chore")]);
        lanes.report_later(key("a report"));
        lanes.open_later([key("an object")]);
        assert_eq!(take_all(&lanes), [key("an object"), key("a report"), key("a chore")]);
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
        lanes.open_later(keys(IN_WORK + 1));
        let first = take_all(&lanes);
        assert!(lanes.others_come_first(&first[0]));
        assert!(!lanes.others_come_first(&key("urgent")));
        lanes.done(&first[0]);
        assert_eq!(take_all(&lanes).len(), 1);
        assert!(!lanes.others_come_first(&first[1]));
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
}
