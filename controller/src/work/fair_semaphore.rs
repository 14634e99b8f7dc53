//! A semaphore that namespaces share fairly: the waiting namespace with the least usage is served first. Clients of the HTTP
//! interface share one in the same way, by their addresses.
//!
//! Start-time fair queueing. Each namespace has a usage, in the unit of its permits (private-key operations,
//! microseconds, bytes). The next permit goes to the waiting namespace with the least usage and, if several have the
//! same, to the one that has waited longest. A namespace that returns starts at the level of the others, so that no
//! namespace accumulates turns. So it waits for at most one permit of each other namespace and for the permits in use,
//! however many requests others have queued.
//!
//! If a large request does not fit into the free units, smaller ones overtake it until each other namespace has used as
//! much as it requests. Then returned units are reserved for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The sizes of a [`FairSemaphore`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Units that may be in use at the same time.
    pub(crate) units: usize,
    /// Maximum number of units of one namespace, unless it holds a single permit.
    pub(crate) units_per_namespace: usize,
    /// Provisional charge per unit until the permit reports the actual usage: the expected maximum.
    pub(crate) cost: u64,
}

/// The position of a request in the queue of its own namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkClass {
    /// After earlier requests.
    New,
    /// Before all others: the work has begun, and ends soon.
    Continued,
    /// Alternating with the others: the work takes long, or no request waits for its result.
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
    /// The usage of the last served namespace, at the time it was served. No waiting namespace has less, unless it
    /// holds the most units that one may.
    level: u64,
    /// Counts turns, to find the namespace that has waited longest.
    turns: u64,
    shares: HashMap<String, Share>,
}

/// A namespace that holds or waits for units, or has used more than others.
#[derive(Debug, Default)]
struct Share {
    used: u64,
    held: usize,
    /// The turn since which it waits.
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

/// Acquired units; released on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    semaphore: Arc<FairSemaphore>,
    namespace: String,
    units: usize,
    used: u64,
}

impl Permit {
    /// Releases the units, and charges the namespace for the actual usage.
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

    /// Waits for this number of units, at most for all. `None` if the semaphore is closed.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        namespace: &str,
        units: usize,
        class: WorkClass,
    ) -> Option<Permit> {
        self.request(namespace, units, class).await.ok()
    }

    /// Cancels all waiting requests, now and later. Granted permits remain valid.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        for share in state.shares.values_mut() {
            share.quick.clear();
            share.slow.clear();
        }
    }

    fn request(
        self: &Arc<Self>,
        namespace: &str,
        units: usize,
        class: WorkClass,
    ) -> oneshot::Receiver<Permit> {
        let (granted, receiver) = oneshot::channel();
        let units = units.min(self.limits.units);
        self.state.lock().enqueue(namespace, Waiter { units, granted }, class);
        self.serve();
        receiver
    }

    fn give_back(self: &Arc<Self>, namespace: &str, units: usize, used: u64) {
        let charged = self.charge(units);
        self.state.lock().give_back(namespace, units, charged, used);
        self.serve();
    }

    /// Grants all requests that can be granted. If the receiver is gone, the permit is dropped, and its units are
    /// released.
    fn serve(self: &Arc<Self>) {
        loop {
            let next = self.state.lock().next(self.limits);
            let Some((namespace, Waiter { units, granted })) = next else { return };
            let used = self.charge(units);
            drop(granted.send(Permit { semaphore: Arc::clone(self), namespace, units, used }));
        }
    }

    fn charge(&self, units: usize) -> u64 {
        self.limits.charge(units)
    }
}

impl Limits {
    fn charge(self, units: usize) -> u64 {
        self.cost.saturating_mul(u64::try_from(units).unwrap_or(u64::MAX))
    }
}

impl State {
    fn enqueue(&mut self, namespace: &str, waiter: Waiter, class: WorkClass) {
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
        match class {
            WorkClass::New => share.quick.push_back(waiter),
            WorkClass::Continued => share.quick.push_front(waiter),
            WorkClass::Slow => share.slow.push_back(waiter),
        }
    }

    /// Removes the request that is served next, if there are enough free units. Cancelled requests are removed.
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
            // An excessive charge is refunded, but not below the level of the others.
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
        let fits = |waiter: &Waiter| self.held == 0 || self.held + waiter.units <= limits.units_per_namespace;
        self.first().is_some_and(fits)
    }

    /// Returns its position in the order; the smallest is served first.
    fn place(&self) -> (u64, u64) {
        (self.used, self.since)
    }

    /// Returns its position after its first request is granted.
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

    /// Returns both queues, in the order in which they are served.
    fn queues(&self) -> [&VecDeque<Waiter>; 2] {
        if self.slow_comes_next { [&self.slow, &self.quick] } else { [&self.quick, &self.slow] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: u64 = 25;
    const PROCESSORS: usize = 2;

    /// Processes requests one after the other, in the order in which they were granted.
    struct Line {
        semaphore: Arc<FairSemaphore>,
        waiting: Vec<(String, u64, oneshot::Receiver<Permit>)>,
    }

    impl Line {
        fn new(units: usize, units_per_namespace: usize) -> Self {
            let semaphore = FairSemaphore::new(Limits { units, units_per_namespace, cost: SLICE });
            Self { semaphore, waiting: Vec::new() }
        }

        fn ask(&mut self, namespace: &str, operations: u64, class: WorkClass) {
            let receiver = self.semaphore.request(namespace, 1, class);
            self.waiting.push((namespace.to_owned(), operations, receiver));
        }

        fn ask_often(&mut self, namespace: &str, operations: u64, times: usize) {
            (0..times).for_each(|_| self.ask(namespace, operations, WorkClass::New));
        }

        /// Returns the permits that were granted in the meantime: namespace, operations and permit.
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

        /// Returns the number of operations of others until `namespace` has a permit.
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
        line.ask("quiet", 1, WorkClass::New);
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
            line.ask("quiet", 1, WorkClass::New);
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
        line.ask("quiet", 1, WorkClass::New);
        assert_eq!(line.granted().len(), 1, "it has the other one at once");
    }

    #[test]
    fn in_a_namespace_started_work_ends_first_and_slow_work_alternates_with_the_rest() {
        let mut line = Line::new(1, 1);
        line.ask("a", 0, WorkClass::New);
        let running = line.granted();
        line.ask("a", 1, WorkClass::New);
        line.ask("a", 2, WorkClass::New);
        line.ask("a", 3, WorkClass::Slow);
        line.ask("a", 4, WorkClass::Slow);
        line.ask("a", 5, WorkClass::Continued);
        drop(running);
        let order: Vec<_> =
            std::iter::from_fn(|| line.granted().pop().map(|(_, number, _)| number)).collect();
        assert_eq!(order, [3, 5, 4, 1, 2]);
    }

    #[test]
    fn the_largest_request_fits_alone_and_a_namespace_has_its_share_otherwise() {
        let semaphore = FairSemaphore::new(Limits { units: 10, units_per_namespace: 6, cost: 1 });
        let held = semaphore.request("a", 100, WorkClass::New).try_recv().unwrap();
        let mut second = semaphore.request("b", 4, WorkClass::New);
        assert!(second.try_recv().is_err(), "nothing is left");
        drop(held);
        let _held = second.try_recv().unwrap();
        assert!(semaphore.request("b", 3, WorkClass::New).try_recv().is_err(), "7 are more than its share");
        assert!(semaphore.request("c", 6, WorkClass::New).try_recv().is_ok());
    }

    #[test]
    fn small_requests_pass_a_large_one_that_does_not_fit_until_each_namespace_has_had_as_much() {
        let semaphore = FairSemaphore::new(Limits { units: 10, units_per_namespace: 10, cost: 1 });
        let begun = semaphore.request("small-0", 1, WorkClass::New).try_recv().unwrap();
        let mut large = semaphore.request("large", 10, WorkClass::New);
        let mut passed = HashMap::new();
        let mut waiting: Vec<_> = (0..300)
            .map(|number| {
                (number % 3, semaphore.request(&format!("small-{}", number % 3), 1, WorkClass::New))
            })
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
    fn cancelled_waiters_are_passed_over_and_leave_nothing_behind() {
        let semaphore = FairSemaphore::new(Limits { units: 1, units_per_namespace: 1, cost: SLICE });
        let mut held = semaphore.request("a", 1, WorkClass::New);
        let permit = held.try_recv().unwrap();
        for _ in 0..100 {
            drop(semaphore.request("b", 1, WorkClass::New));
        }
        let mut last = semaphore.request("b", 1, WorkClass::New);
        permit.charge(3);
        drop(last.try_recv().unwrap());
        let ungathered = semaphore.request("c", 1, WorkClass::New);
        drop(ungathered);
        assert_eq!(semaphore.state.lock().free, 1);
        assert!(semaphore.state.lock().shares.is_empty());
    }

    #[tokio::test]
    async fn closing_it_ends_all_waiting() {
        let semaphore = FairSemaphore::new(Limits { units: 1, units_per_namespace: 1, cost: 1 });
        let held = semaphore.acquire("a", 1, WorkClass::New).await.unwrap();
        let waiting = semaphore.acquire("a", 1, WorkClass::New);
        futures::pin_mut!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        semaphore.close();
        assert!(waiting.await.is_none());
        drop(held);
        assert!(semaphore.acquire("a", 1, WorkClass::New).await.is_none());
    }
}
