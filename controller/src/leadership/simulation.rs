//! A simulation of elections: messages are lost and late, processes are paused and killed, and clocks run at rates that
//! differ by up to three to two. Never do two replicas lead at the same moment, and after the last fault one does, though
//! another stays slow.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::candidate::{Answer, Candidate, Observed, Request};
use super::record::{LeaseRecord, identity};
use super::timing::{MAX_JITTER, Timing};

const REPLICAS: usize = 3;
const SEEDS: u64 = 400;
/// Microseconds of real time during which faults happen.
const FAULTS: u64 = 120_000_000;
/// Microseconds of observation after that.
const PEACE: u64 = 60_000_000;
/// Longest delay of a message in microseconds without a fault.
const DELAY: u64 = 50_000;
/// Longest delay with one.
const LONG_DELAY: u64 = 20_000_000;
/// Time after the last fault, beside the duration of the Lease, within which a replica leads.
const GRACE: u64 = 2_000_000;

/// Random numbers that depend on the seed alone (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn jitter(&mut self) -> Duration {
        MAX_JITTER.mul_f64(f64::from(u32::try_from(self.below(1_000)).unwrap()) / 1_000.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A replica does what is due.
    Wake(usize),
    /// A request of a process arrives at the API server.
    Arrives {
        replica: usize,
        process: u32,
        number: u64,
    },
    Answered {
        replica: usize,
        process: u32,
        number: u64,
    },
    TimedOut {
        replica: usize,
        process: u32,
        number: u64,
    },
    /// The watch of a replica shows the Lease.
    Observed {
        replica: usize,
        version: u64,
    },
    Fault,
    Peace,
}

struct Process {
    candidate: Candidate,
    number: u32,
    /// The request without an answer: its number, itself, and when it was sent.
    in_flight: Option<(u64, Request, Instant)>,
    is_attempting: bool,
    paused_until: u64,
    /// Microseconds that each message from and to this replica takes longer.
    slowness: u64,
    /// The version of the Lease that its watch has shown: a watch keeps the order.
    observed: u64,
    is_alive: bool,
    /// Clock: microseconds per thousand of real time, and its offset.
    rate: u64,
    offset: u64,
}

struct World {
    dice: Dice,
    now: u64,
    base: Instant,
    timing: Timing,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    replicas: Vec<Process>,
    lease: Option<(LeaseRecord, u64)>,
    version: u64,
    /// Every version of the Lease, for watches.
    history: Vec<Option<LeaseRecord>>,
    requests: Vec<Request>,
    answers: Vec<Option<Answer>>,
    is_faulty: bool,
    begun_terms: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let timing = Timing::new(Duration::from_secs([5, 15][usize::from(seed.is_multiple_of(2))]));
        let mut world = Self {
            now: 0,
            base: Instant::now(),
            timing,
            events: BinaryHeap::new(),
            serial: 0,
            replicas: Vec::new(),
            lease: None,
            version: 0,
            history: vec![None],
            requests: Vec::new(),
            answers: Vec::new(),
            is_faulty: true,
            begun_terms: 0,
            dice: Dice(dice.below(u64::MAX)),
        };
        for replica in 0..REPLICAS {
            // The extremes occur, and so does everything between them.
            let rate = [1_000, 1_500, 1_000 + dice.below(501)][usize::try_from(dice.below(3)).unwrap()];
            let offset = dice.below(3_600_000_000);
            let process = world.process(u32::try_from(replica).unwrap(), rate, offset);
            world.replicas.push(process);
            world.at(0, Event::Wake(replica));
        }
        world.at(1_000_000, Event::Fault);
        world.at(FAULTS, Event::Peace);
        world
    }

    fn process(&self, number: u32, rate: u64, offset: u64) -> Process {
        Process {
            candidate: Candidate::new(identity("pod", number), self.timing),
            number,
            in_flight: None,
            is_attempting: false,
            paused_until: 0,
            slowness: 0,
            observed: 0,
            is_alive: true,
            rate,
            offset,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((time.max(self.now), self.serial, event)));
    }

    /// The monotonic clock of a replica.
    fn clock(&self, replica: usize) -> Instant {
        let Process { rate, offset, .. } = self.replicas[replica];
        self.base + Duration::from_nanos(offset * 1_000 + self.now * rate)
    }

    /// The real time at which the clock of a replica has reached an instant.
    fn real_time(&self, replica: usize, instant: Instant) -> u64 {
        let Process { rate, offset, .. } = self.replicas[replica];
        let local = u64::try_from((instant - self.base).as_nanos()).unwrap().saturating_sub(offset * 1_000);
        local.div_ceil(rate)
    }

    /// Returns the time at which a message from or to this replica that is sent now arrives; `None` if it is lost.
    fn arrival(&mut self, replica: usize) -> Option<u64> {
        if !self.is_faulty {
            return Some(self.now + self.replicas[replica].slowness + self.dice.below(DELAY));
        }
        match self.dice.below(10) {
            0 | 1 => None,
            2 => Some((self.now + self.dice.below(LONG_DELAY)).min(FAULTS)),
            _ => Some(self.now + self.dice.below(DELAY)),
        }
    }

    fn run(&mut self) {
        let mut leads_by = None;
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            if time > FAULTS + PEACE {
                break;
            }
            if let Some(by) = leads_by.filter(|by| time > *by) {
                self.now = by;
                assert_eq!(self.leading().len(), 1, "no leader after the last fault");
                leads_by = Some(by + 500_000);
                self.at(time, event);
                continue;
            }
            self.now = time;
            self.handle(event);
            if event == Event::Peace {
                let duration = u64::try_from(self.timing.lease_duration().as_micros()).unwrap();
                let slowest = self.replicas.iter().map(|replica| replica.slowness).max().unwrap();
                leads_by = Some(FAULTS + duration + GRACE + 5 * slowest);
            }
            assert!(self.leading().len() <= 1, "two lead at {time}");
        }
        assert!(self.begun_terms > 0);
    }

    /// The replicas that may send a write at this moment, or may when they go on.
    fn leading(&self) -> Vec<usize> {
        let leads = |replica: &usize| {
            let process = &self.replicas[*replica];
            process.is_alive && process.candidate.tenure().permits_writes(self.clock(*replica))
        };
        (0..REPLICAS).filter(leads).collect()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrives { replica, process, number } => self.arrives(replica, process, number),
            Event::Fault => self.fault(),
            Event::Peace => self.make_peace(),
            Event::Wake(replica)
            | Event::Answered { replica, .. }
            | Event::TimedOut { replica, .. }
            | Event::Observed { replica, .. } => {
                let paused_until = self.replicas[replica].paused_until;
                if paused_until > self.now {
                    return self.at(paused_until + self.serial % 3, event);
                }
                if self.replicas[replica].is_alive {
                    self.note(replica, event);
                    self.drive(replica);
                }
            }
        }
    }

    fn note(&mut self, replica: usize, event: Event) {
        let (now, jitter) = (self.clock(replica), self.dice.jitter());
        let answers = &mut self.answers;
        let state = &mut self.replicas[replica];
        let answer = match event {
            Event::Observed { version, .. } if version < state.observed => return,
            Event::Observed { version, .. } => {
                state.observed = version;
                let observed = self.history[usize::try_from(version).unwrap()].clone();
                let observed = observed.map_or(Observed::Absent, Observed::Lease);
                return state.candidate.on_watch(observed, now, jitter);
            }
            Event::Answered { process, number, .. } if process == state.number => {
                (number, answers[usize::try_from(number).unwrap()].clone().unwrap())
            }
            Event::TimedOut { process, number, .. } if process == state.number => (number, Answer::Failed),
            _ => return,
        };
        let is_expected = state.in_flight.as_ref().is_some_and(|(number, ..)| *number == answer.0);
        if let Some((_, request, sent)) = state.in_flight.take_if(|_| is_expected) {
            let permitted_writes = state.candidate.tenure().permits_writes(now);
            // A reply that the process reads after its timeout counts as none, as both are ready.
            let is_late = now >= sent + self.timing.request_timeout();
            let answer = if is_late { Answer::Failed } else { answer.1 };
            state.candidate.on_answer(&request, answer, sent, now, jitter);
            self.begun_terms += u32::from(!permitted_writes && state.candidate.tenure().permits_writes(now));
        }
    }

    /// Lets a replica do what is due.
    fn drive(&mut self, replica: usize) {
        let now = self.clock(replica);
        let state = &mut self.replicas[replica];
        if state.in_flight.is_some() {
            return;
        }
        if !state.is_attempting {
            let due = state.candidate.due(now);
            if due > now {
                let wake = self.real_time(replica, due);
                return self.at(wake, Event::Wake(replica));
            }
            state.candidate.begin_attempt();
            state.is_attempting = true;
        }
        let time = Timestamp::from_microsecond(i64::try_from(self.now + state.offset).unwrap()).unwrap();
        match state.candidate.request(now, time) {
            None => {
                state.is_attempting = false;
                self.at(self.now + 1, Event::Wake(replica));
            }
            Some(request) => self.send(replica, request, now),
        }
    }

    fn send(&mut self, replica: usize, request: Request, now: Instant) {
        let number = self.requests.len() as u64;
        self.requests.push(request.clone());
        self.answers.push(None);
        let state = &mut self.replicas[replica];
        let process = state.number;
        state.in_flight = Some((number, request, now));
        let timeout = self.real_time(replica, now + self.timing.request_timeout());
        self.at(timeout, Event::TimedOut { replica, process, number });
        if let Some(arrival) = self.arrival(replica) {
            self.at(arrival, Event::Arrives { replica, process, number });
        }
    }

    /// The API server answers a request.
    fn arrives(&mut self, replica: usize, process: u32, number: u64) {
        let index = usize::try_from(number).unwrap();
        let answer =
            match (self.requests[index].clone(), &self.lease) {
                (Request::Get, Some((record, version))) => Answer::Lease(record.clone(), version.to_string()),
                (Request::Get | Request::Replace { .. }, None) => Answer::Absent,
                (Request::Create(_), Some(_)) => Answer::Conflict,
                (Request::Create(record), None) => self.write(record),
                (Request::Replace { record, version }, Some((_, current))) => {
                    if version == current.to_string() { self.write(record) } else { Answer::Conflict }
                }
            };
        self.answers[index] = Some(answer);
        if let Some(arrival) = self.arrival(replica) {
            self.at(arrival, Event::Answered { replica, process, number });
        }
    }

    fn write(&mut self, record: LeaseRecord) -> Answer {
        self.version += 1;
        self.lease = Some((record.clone(), self.version));
        self.history.push(Some(record.clone()));
        for replica in 0..REPLICAS {
            if let Some(arrival) = self.arrival(replica) {
                self.at(arrival, Event::Observed { replica, version: self.version });
            }
        }
        Answer::Lease(record, self.version.to_string())
    }

    /// Pauses a replica, or kills it and starts it again.
    fn fault(&mut self) {
        if !self.is_faulty {
            return;
        }
        let replica = usize::try_from(self.dice.below(REPLICAS as u64)).unwrap();
        let length = self.dice.below(25_000_000);
        match self.dice.below(3) {
            0 => self.replicas[replica].paused_until = (self.now + length).min(FAULTS),
            1 => self.restart(replica),
            _ => {}
        }
        let next = self.now + self.dice.below(8_000_000);
        self.at(next, Event::Fault);
    }

    fn restart(&mut self, replica: usize) {
        let Process { number, rate, offset, .. } = self.replicas[replica];
        let number = number + u32::try_from(REPLICAS).unwrap();
        self.replicas[replica] = self.process(number, rate, offset);
        self.at(self.now, Event::Wake(replica));
    }

    /// Ends the faults: one replica is gone for good, the answers to another arrive shortly before its timeout, and the
    /// watches of both work.
    fn make_peace(&mut self) {
        self.is_faulty = false;
        let gone = usize::try_from(self.dice.below(REPLICAS as u64)).unwrap();
        self.replicas[gone].is_alive = false;
        let slow = &mut self.replicas[(gone + 1) % REPLICAS];
        let timeout = u64::try_from(self.timing.request_timeout().as_micros()).unwrap();
        slow.slowness = timeout * 2 / 5 * 1_000 / slow.rate;
        for replica in 0..REPLICAS {
            let version = self.version;
            self.at(self.now + DELAY, Event::Observed { replica, version });
        }
    }
}

#[test]
fn two_replicas_never_lead_at_once_and_after_the_last_fault_one_does() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
