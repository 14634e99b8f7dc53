//! A semaphore that namespaces share: the namespace that has used least goes first.
//!
//! Start-time fair queueing. Each namespace has a usage, in the unit of its permits (private-key operations, microseconds, bytes);
//! the next permit goes to the namespace that waits with the least, and where several have used the same, to the one that has
//! waited longest for its turn. A namespace that comes back starts where the others are, so that nobody saves up turns.
//! So it waits for at most one permit of each other namespace and for those that are out, however many requests others have queued.
//!
//! Where a large request does not fit into what is free, smaller ones pass it until each other namespace has had as much as it asks
//! for. Then what comes back is kept for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The sizes of a [`FairSemaphore`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Units that may be out at the same time.
    pub(crate) units: usize,
    /// The most of them that one namespace may hold, unless it holds one permit only.
    pub(crate) units_of_one: usize,
    /// The usage that a unit is charged with until its permit says how much it was: the most that is expected.
    pub(crate) cost: u64,
}

/// The place of a request among those of its own namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Behind what was asked for earlier.
    New,
    /// Before everything else: the work has begun, and ends soon.
    Continued,
    /// Alternating with the others: the work takes long, or nobody waits for it.
    Slow,
}

/// Units that namespaces wait for and hold.
#[derive(Debug)]
pub(crate) struct FairSemaphore {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    is_closed: bool,
    /// The usage of the namespace that was served last, when it was served. No namespace that waits has less, unless it holds all
    /// that one may.
    level: u64,
    /// Counts turns, so that the one that has waited longest can be found.
    turns: u64,
    shares: HashMap<String, Share>,
}

/// A namespace that holds or waits for something, or has used more than others.
#[derive(Debug, Default)]
struct Share {
    used: u64,
    held: usize,
    /// The number of the turn since which it waits.
    since: u64,
    quick: VecDeque<Waiter>,
    slow: VecDeque<Waiter>,
    slow_comes_next: bool,
}

#[derive(Debug)]
struct Waiter {
    units: usize,
    granted: oneshot::Sender<Permit>,
}

/// Units that are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    semaphore: Arc<FairSemaphore>,
    namespace: String,
    units: usize,
    used: u64,
}

impl Permit {
    /// Gives the units back, and charges the namespace for what was really used.
    pub(crate) fn charge(mut self, used: u64) {
        self.used = used;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.semaphore.give_back(&self.namespace, self.units, self.used);
    }
}

impl FairSemaphore {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let state =
            State { free: limits.units, is_closed: false, level: 0, turns: 0, shares: HashMap::new() };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    /// Waits for so many units, or for all where there are fewer. `None` when the semaphore is closed.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        namespace: &str,
        units: usize,
        turn: Turn,
    ) -> Option<Permit> {
        self.request(namespace, units, turn).await.ok()
    }

    /// Ends all waiting, now and later. What was granted stays granted.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for share in state.shares.values_mut() {
            share.quick.clear();
            share.slow.clear();
        }
    }

    fn request(self: &Arc<Self>, namespace: &str, units: usize, turn: Turn) -> oneshot::Receiver<Permit> {
        let (granted, receiver) = oneshot::channel();
        let units = units.min(self.limits.units);
        self.lock().enqueue(namespace, Waiter { units, granted }, turn);
        self.serve();
        receiver
    }

    fn give_back(self: &Arc<Self>, namespace: &str, units: usize, used: u64) {
        let charged = self.charge(units);
        self.lock().give_back(namespace, units, charged, used);
        self.serve();
    }

    /// Grants what can be granted. A permit whose receiver has gone comes back by itself.
    fn serve(self: &Arc<Self>) {
        loop {
            let next = self.lock().next(self.limits);
            let Some((namespace, Waiter { units, granted })) = next else { return };
            let used = self.charge(units);
            drop(granted.send(Permit { semaphore: Arc::clone(self), namespace, units, used }));
        }
    }

    fn charge(&self, units: usize) -> u64 {
        self.limits.charge(units)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn charge(self, units: usize) -> u64 {
        self.cost.saturating_mul(u64::try_from(units).unwrap_or(u64::MAX))
    }
}

impl State {
    fn enqueue(&mut self, namespace: &str, waiter: Waiter, turn: Turn) {
        if self.is_closed {
            return;
        }
        self.turns += 1;
        let (level, turns) = (self.level, self.turns);
        let share = self.shares.entry(namespace.to_owned()).or_default();
        if !share.is_waiting() {
            share.since = turns;
            share.used = share.used.max(level);
        }
        match turn {
            Turn::New => share.quick.push_back(waiter),
            Turn::Continued => share.quick.push_front(waiter),
            Turn::Slow => share.slow.push_back(waiter),
        }
    }

    /// The request that is served next, if there are units for it. Those that nobody waits for any more are forgotten.
    fn next(&mut self, limits: Limits) -> Option<(String, Waiter)> {
        self.shares.values_mut().for_each(Share::forget_cancelled);
        let fits = |share: &Share| share.first().is_some_and(|waiter| waiter.units <= self.free);
        let eligible = self.shares.iter().filter(|(_, share)| share.may_have_more(limits));
        let (passed, fitting): (Vec<_>, Vec<_>) = eligible.partition(|(_, share)| !fits(share));
        let limit = passed.into_iter().filter_map(|(_, share)| share.end_of_first(limits)).min();
        let (namespace, share) = fitting.into_iter().min_by_key(|(_, share)| share.place())?;
        if limit.is_some_and(|limit| share.place() >= limit) {
            return None;
        }
        let namespace = namespace.clone();
        let share = self.shares.get_mut(&namespace)?;
        let waiter = share.take()?;
        self.free -= waiter.units;
        self.turns += 1;
        share.since = self.turns;
        share.held += waiter.units;
        self.level = self.level.max(share.used);
        share.used = share.used.saturating_add(limits.charge(waiter.units));
        Some((namespace, waiter))
    }

    fn give_back(&mut self, namespace: &str, units: usize, charged: u64, used: u64) {
        self.free += units;
        if let Some(share) = self.shares.get_mut(namespace) {
            share.held -= units;
            // What was charged too much is given back, but no turn before those of others.
            share.used = share.used.saturating_sub(charged).saturating_add(used).max(self.level);
        }
        if !self.shares.values().any(Share::is_present) {
            self.shares.clear();
        }
        let level = self.level;
        self.shares.retain(|_, share| share.is_present() || share.used > level);
    }
}

impl Share {
    fn is_waiting(&self) -> bool {
        !self.quick.is_empty() || !self.slow.is_empty()
    }

    fn is_present(&self) -> bool {
        self.held > 0 || self.is_waiting()
    }

    fn may_have_more(&self, limits: Limits) -> bool {
        let fits = |waiter: &Waiter| self.held == 0 || self.held + waiter.units <= limits.units_of_one;
        self.first().is_some_and(fits)
    }

    /// Where it stands in the order: less is sooner.
    fn place(&self) -> (u64, u64) {
        (self.used, self.since)
    }

    /// Where it would stand if its first request had been granted.
    fn end_of_first(&self, limits: Limits) -> Option<(u64, u64)> {
        Some((self.used.saturating_add(limits.charge(self.first()?.units)), self.since))
    }

    fn forget_cancelled(&mut self) {
        let waits = |waiter: &Waiter| !waiter.granted.is_closed();
        self.quick.retain(waits);
        self.slow.retain(waits);
    }

    fn first(&self) -> Option<&Waiter> {
        self.queues().into_iter().find_map(VecDeque::front)
    }

    fn take(&mut self) -> Option<Waiter> {
        let slow_first = self.slow_comes_next;
        self.slow_comes_next = !slow_first;
        let (first, second) =
            if slow_first { (&mut self.slow, &mut self.quick) } else { (&mut self.quick, &mut self.slow) };
        first.pop_front().or_else(|| second.pop_front())
    }

    /// Both queues, the one whose turn it is first.
    fn queues(&self) -> [&VecDeque<Waiter>; 2] {
        if self.slow_comes_next { [&self.slow, &self.quick] } else { [&self.quick, &self.slow] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: u64 = 25;
    const PROCESSORS: usize = 2;

    /// Requests in the order in which they were granted, each worked on to its end one after the other.
    struct Line {
        semaphore: Arc<FairSemaphore>,
        waiting: Vec<(String, u64, oneshot::Receiver<Permit>)>,
    }

    impl Line {
        fn new(units: usize, units_of_one: usize) -> Self {
            let semaphore = FairSemaphore::new(Limits { units, units_of_one, cost: SLICE });
            Self { semaphore, waiting: Vec::new() }
        }

        fn ask(&mut self, namespace: &str, operations: u64, turn: Turn) {
            let receiver = self.semaphore.request(namespace, 1, turn);
            self.waiting.push((namespace.to_owned(), operations, receiver));
        }

        fn ask_often(&mut self, namespace: &str, operations: u64, times: usize) {
            (0..times).for_each(|_| self.ask(namespace, operations, Turn::New));
        }

        /// Takes what has been granted meanwhile: the namespace, its operations and the permit.
        fn granted(&mut self) -> Vec<(String, u64, Permit)> {
            let (mut granted, mut still) = (Vec::new(), Vec::new());
            for (namespace, operations, mut receiver) in std::mem::take(&mut self.waiting) {
                match receiver.try_recv() {
                    Ok(permit) => granted.push((namespace, operations, permit)),
                    Err(_) => still.push((namespace, operations, receiver)),
                }
            }
            self.waiting = still;
            granted
        }

        /// Operations of others from now until `namespace` has a permit.
        fn operations_before(&mut self, namespace: &str) -> u64 {
            let mut running: VecDeque<_> = self.granted().into();
            let mut operations = 0;
            while !running.iter().any(|(of, ..)| of == namespace) {
                let (_, used, permit) = running.pop_front().expect("something runs");
                operations += used;
                permit.charge(used);
                running.extend(self.granted());
            }
            operations
        }
    }

    #[test]
    fn one_item_waits_for_one_slice_of_another_namespace_and_those_in_work_whatever_is_queued() {
        let mut line = Line::new(PROCESSORS, PROCESSORS);
        line.ask_often("noisy", SLICE, 60 * 200 / 25);
        line.ask("quiet", 1, Turn::New);
        assert!(line.operations_before("quiet") <= 3 * SLICE);
    }

    #[test]
    fn one_item_waits_for_at_most_one_slice_of_each_other_namespace_also_after_they_have_worked_for_long() {
        for done in [0, 1, 7, 40, 333] {
            let mut line = Line::new(PROCESSORS, PROCESSORS);
            for number in 0..10 {
                line.ask_often(&format!("noisy-{number}"), SLICE - number, 100);
            }
            for _ in 0..done {
                let (_, used, permit) = line.granted().pop().expect("something runs");
                permit.charge(used);
            }
            line.ask("quiet", 1, Turn::New);
            let bound = (10 + u64::try_from(PROCESSORS).unwrap()) * SLICE;
            let before = line.operations_before("quiet");
            assert!(before <= bound, "{before} after {done}");
        }
    }

    #[test]
    fn namespaces_share_by_operations_and_not_by_requests() {
        let mut line = Line::new(1, 1);
        line.ask_often("many-small", 1, 1_000);
        line.ask_often("few-large", SLICE, 1_000);
        let mut used = HashMap::<String, u64>::new();
        for _ in 0..500 {
            let (namespace, operations, permit) = line.granted().pop().expect("something runs");
            *used.entry(namespace).or_default() += operations;
            permit.charge(operations);
        }
        assert!(used["many-small"].abs_diff(used["few-large"]) <= SLICE, "{used:?}");
    }

    #[test]
    fn a_namespace_that_has_done_nothing_for_long_does_not_keep_others_waiting_for_it() {
        let mut line = Line::new(1, 1);
        line.ask_often("busy", SLICE, 200);
        for _ in 0..100 {
            line.granted().pop().expect("it runs").2.charge(SLICE);
        }
        line.ask_often("back-again", SLICE, 100);
        let mut order = Vec::new();
        for _ in 0..20 {
            let (namespace, used, permit) = line.granted().pop().expect("something runs");
            order.push(namespace);
            permit.charge(used);
        }
        assert!(order.iter().filter(|name| *name == "busy").count() >= 9, "{order:?}");
    }

    #[test]
    fn one_namespace_never_holds_all_where_that_is_a_limit() {
        let mut line = Line::new(2, 1);
        line.ask_often("noisy", SLICE, 10);
        let held = line.granted();
        assert_eq!(held.len(), 1);
        line.ask("quiet", 1, Turn::New);
        assert_eq!(line.granted().len(), 1, "it has the other one at once");
    }

    #[test]
    fn in_a_namespace_what_has_begun_ends_first_and_what_takes_long_alternates_with_the_rest() {
        let mut line = Line::new(1, 1);
        line.ask("a", 0, Turn::New);
        let running = line.granted();
        line.ask("a", 1, Turn::New);
        line.ask("a", 2, Turn::New);
        line.ask("a", 3, Turn::Slow);
        line.ask("a", 4, Turn::Slow);
        line.ask("a", 5, Turn::Continued);
        drop(running);
        let order: Vec<_> =
            std::iter::from_fn(|| line.granted().pop().map(|(_, number, _)| number)).collect();
        assert_eq!(order, [3, 5, 4, 1, 2]);
    }

    #[test]
    fn the_largest_request_fits_alone_and_a_namespace_has_its_share_otherwise() {
        let semaphore = FairSemaphore::new(Limits { units: 10, units_of_one: 6, cost: 1 });
        let held = semaphore.request("a", 100, Turn::New).try_recv().unwrap();
        let mut second = semaphore.request("b", 4, Turn::New);
        assert!(second.try_recv().is_err(), "nothing is left");
        drop(held);
        let _held = second.try_recv().unwrap();
        assert!(semaphore.request("b", 3, Turn::New).try_recv().is_err(), "7 are more than its share");
        assert!(semaphore.request("c", 6, Turn::New).try_recv().is_ok());
    }

    #[test]
    fn small_requests_pass_a_large_one_that_does_not_fit_until_each_namespace_has_had_as_much() {
        let semaphore = FairSemaphore::new(Limits { units: 10, units_of_one: 10, cost: 1 });
        let begun = semaphore.request("small-0", 1, Turn::New).try_recv().unwrap();
        let mut large = semaphore.request("large", 10, Turn::New);
        let mut passed = HashMap::new();
        let mut waiting: Vec<_> = (0..300)
            .map(|number| (number % 3, semaphore.request(&format!("small-{}", number % 3), 1, Turn::New)))
            .collect();
        loop {
            let (granted, still): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .map(|(of, mut receiver)| (of, receiver.try_recv().ok(), receiver))
                .partition(|(_, permit, _)| permit.is_some());
            waiting = still.into_iter().map(|(of, _, receiver)| (of, receiver)).collect();
            if granted.is_empty() {
                break;
            }
            for (of, ..) in granted {
                *passed.entry(of).or_insert(0) += 1;
            }
        }
        assert!(passed.len() == 3 && passed.values().all(|times| (9..=10).contains(times)), "{passed:?}");
        assert!(large.try_recv().is_err(), "one unit is still out");
        drop(begun);
        assert!(large.try_recv().is_ok());
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_passed_over_and_nothing_is_left_behind() {
        let semaphore = FairSemaphore::new(Limits { units: 1, units_of_one: 1, cost: SLICE });
        let mut held = semaphore.request("a", 1, Turn::New);
        let permit = held.try_recv().unwrap();
        for _ in 0..100 {
            drop(semaphore.request("b", 1, Turn::New));
        }
        let mut last = semaphore.request("b", 1, Turn::New);
        permit.charge(3);
        drop(last.try_recv().unwrap());
        let ungathered = semaphore.request("c", 1, Turn::New);
        drop(ungathered);
        assert_eq!(semaphore.lock().free, 1);
        assert!(semaphore.lock().shares.is_empty());
    }

    #[tokio::test]
    async fn closing_it_ends_all_waiting() {
        let semaphore = FairSemaphore::new(Limits { units: 1, units_of_one: 1, cost: 1 });
        let held = semaphore.acquire("a", 1, Turn::New).await.unwrap();
        let waiting = semaphore.acquire("a", 1, Turn::New);
        futures::pin_mut!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        semaphore.close();
        assert!(waiting.await.is_none());
        drop(held);
        assert!(semaphore.acquire("a", 1, Turn::New).await.is_none());
    }
}
