//! A candidate of the election: everything that a replica decides about the Lease, without requests and clocks.
//!
//! An attempt is a chain of requests, each of which follows from the answer to the one before: [`Candidate::request`]
//! returns the next one, [`Candidate::on_answer`] takes its answer. A request that writes is made only from the latest
//! version of the Lease, so at most one of several candidates succeeds.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::record::LeaseRecord;
use super::timing::Timing;

/// Interval at which a replica without an election checks its permission to take part.
const PERMISSION_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum number of requests of one attempt. Each conflict costs two. Such an attempt may take longer than a term
/// lasts, if others write the Lease again and again and each answer takes seconds: the term then ends on time, and the
/// claim that succeeds begins another one.
const MAX_REQUESTS: u32 = 6;

/// The decision on the latest Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reads the Lease, which was never read.
    Read,
    Create,
    Take,
    Renew,
    /// Waits until this time.
    Wait(Instant),
    /// Ends the term of this replica: another one holds the Lease.
    End,
}

/// A request about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Get,
    Create(LeaseRecord),
    /// Replaces the Lease of this resourceVersion.
    Replace {
        record: LeaseRecord,
        version: String,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The Lease after the request, with its resourceVersion.
    Lease(LeaseRecord, String),
    Absent,
    /// Another write came first.
    Conflict,
    /// The permission is missing, or the request cannot succeed for another reason that lasts.
    Refused,
    /// The API server did not answer, or cannot answer now.
    Failed,
}

/// The time for which a replica leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    Follows,
    /// Leads until this time.
    LeadsUntil(Instant),
    /// Works without an election.
    Unelected,
}

impl Tenure {
    /// Returns true if this replica may write.
    pub(crate) fn permits_writes(self, now: Instant) -> bool {
        match self {
            Self::Follows => false,
            Self::LeadsUntil(end) => now < end,
            Self::Unelected => true,
        }
    }
}

/// The last known state of the Lease.
#[derive(Debug)]
enum Knowledge {
    Nothing,
    Absent,
    Record {
        record: LeaseRecord,
        /// The time at which this renewal was first seen, by the monotonic clock here.
        first_seen: Instant,
        /// The time at which the last answer or watch event showed it.
        last_seen: Instant,
        jitter: Duration,
    },
}

/// Basis of a write: the last answer, if nothing has made it doubtful since.
#[derive(Debug, PartialEq, Eq)]
enum Basis {
    Stale,
    Absent,
    /// The resourceVersion.
    Version(String),
}

/// The way in which a replica takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Elected,
    /// Works without an election, because the permission to use the Lease is missing.
    Unelected,
    /// It only releases the Lease.
    Resigning,
}

/// The Lease as the watch shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    Lease(LeaseRecord),
    Absent,
}

/// A replica in the election.
#[derive(Debug)]
pub(crate) struct Candidate {
    identity: String,
    timing: Timing,
    knowledge: Knowledge,
    basis: Basis,
    /// True if the watch shows that this leader does not hold the Lease any more.
    is_lease_in_doubt: bool,
    /// True if an answer has shown a renewal that the watch should have shown long before.
    is_watch_silent: bool,
    /// True once this process has sent a claim, which may arrive at any time.
    has_claimed: bool,
    /// The time at which the last successful claim was sent.
    held_from: Option<Instant>,
    refused_since: Option<Instant>,
    mode: Mode,
    not_before: Option<Instant>,
    requests_left: u32,
}

impl Candidate {
    pub(crate) fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            knowledge: Knowledge::Nothing,
            basis: Basis::Stale,
            is_lease_in_doubt: false,
            is_watch_silent: false,
            has_claimed: false,
            held_from: None,
            refused_since: None,
            mode: Mode::Elected,
            not_before: None,
            requests_left: 0,
        }
    }

    /// Returns the time for which this replica leads.
    pub(crate) fn tenure(&self) -> Tenure {
        match self.held_from {
            _ if self.mode == Mode::Unelected => Tenure::Unelected,
            Some(sent) => Tenure::LeadsUntil(sent + self.timing.renew_deadline()),
            None => Tenure::Follows,
        }
    }

    /// Returns the last known record.
    pub(crate) fn record(&self) -> Option<&LeaseRecord> {
        match &self.knowledge {
            Knowledge::Record { record, .. } => Some(record),
            Knowledge::Nothing | Knowledge::Absent => None,
        }
    }

    /// Returns true if the record names this process, and this process may have written it.
    pub(crate) fn is_own(&self, record: &LeaseRecord) -> bool {
        self.has_claimed && record.holder == self.identity
    }

    /// Returns the step that the latest known Lease requires.
    pub(crate) fn decide(&self, now: Instant) -> Step {
        let Knowledge::Record { record, first_seen, jitter, .. } = &self.knowledge else {
            return if matches!(self.knowledge, Knowledge::Absent) { Step::Create } else { Step::Read };
        };
        if record.is_released() {
            return Step::Take;
        }
        if self.is_own(record) {
            let due = self.held_from.map(|sent| sent + self.timing.renew_interval());
            return due.filter(|due| *due > now).map_or(Step::Renew, Step::Wait);
        }
        if matches!(self.tenure(), Tenure::LeadsUntil(_)) {
            return Step::End;
        }
        let expiry = *first_seen + record.duration(self.timing.lease_duration()) + *jitter;
        if now < expiry { Step::Wait(expiry) } else { Step::Take }
    }

    /// Returns the time at which the next attempt is due.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        let due = match self.decide(now) {
            Step::Wait(until) if !self.is_lease_in_doubt && self.mode != Mode::Unelected => {
                self.read_due().map_or(until, |due| until.min(due))
            }
            _ => now,
        };
        self.not_before.map_or(due, |earliest| due.max(earliest))
    }

    /// Returns the time at which a follower reads the Lease itself, because the watch has not shown the renewal that is due:
    /// the holder is gone, or the watch is silent. Otherwise a renewal that the watch has lost would be seen only when the one
    /// before it expires, and the wait would start over.
    fn read_due(&self) -> Option<Instant> {
        let Knowledge::Record { record, first_seen, last_seen, .. } = &self.knowledge else { return None };
        if self.is_own(record) || record.is_released() {
            return None;
        }
        let theirs = Timing::new(record.duration(self.timing.lease_duration()));
        let pause = self.timing.retry_interval();
        Some((*first_seen + theirs.renew_interval() + pause).max(*last_seen + pause))
    }

    fn is_read_overdue(&self, now: Instant) -> bool {
        self.read_due().is_some_and(|due| due <= now)
    }

    /// Returns true, once, if the watch has lost a renewal and must begin anew.
    pub(crate) fn take_watch_silence(&mut self) -> bool {
        std::mem::take(&mut self.is_watch_silent)
    }

    /// Begins an attempt. Only a leader may write at once: nobody else has written since its own last write.
    pub(crate) fn begin_attempt(&mut self) {
        if self.held_from.is_none() && self.mode != Mode::Resigning {
            self.basis = Basis::Stale;
        }
        self.not_before = None;
        self.requests_left = MAX_REQUESTS;
    }

    /// Gives the Lease up: from now on, attempts only release it.
    pub(crate) fn resign(&mut self) {
        self.mode = Mode::Resigning;
        self.held_from = None;
    }

    /// Returns the next request of the attempt; `None` if the attempt is over. `time` is the wall clock's, for people.
    pub(crate) fn request(&mut self, now: Instant, time: Timestamp) -> Option<Request> {
        if self.not_before.is_some() {
            return None;
        }
        if self.requests_left == 0 {
            self.not_before = Some(now + self.timing.retry_interval());
            return None;
        }
        let request = if self.mode == Mode::Resigning { self.release(time) } else { self.claim(now, time) };
        self.requests_left -= u32::from(request.is_some());
        request
    }

    /// Returns the next request to hold the Lease.
    fn claim(&mut self, now: Instant, time: Timestamp) -> Option<Request> {
        let duration = self.timing.lease_duration();
        let step = self.decide(now);
        let is_overdue = self.is_read_overdue(now);
        let is_doubtful = self.is_lease_in_doubt || self.mode == Mode::Unelected || is_overdue;
        let needs_read = is_doubtful || !matches!(step, Step::Wait(_) | Step::End);
        if self.basis == Basis::Stale && needs_read {
            return Some(Request::Get);
        }
        let record = match (step, self.record()) {
            (Step::Create, _) => return Some(self.record_claim(Request::Create(self.first(time)))),
            (Step::Take, Some(record)) => record.taken_by(&self.identity, duration, time),
            (Step::Renew, Some(record)) => record.renewed(duration, time),
            (Step::Wait(_), _) => {
                self.join();
                return None;
            }
            (Step::Take | Step::Renew | Step::Read | Step::End, _) => return None,
        };
        let replace = self.replace(record)?;
        Some(self.record_claim(replace))
    }

    fn first(&self, time: Timestamp) -> LeaseRecord {
        LeaseRecord::first(&self.identity, self.timing.lease_duration(), time)
    }

    /// Records that a claim is sent, and returns it.
    fn record_claim(&mut self, claim: Request) -> Request {
        self.has_claimed = true;
        claim
    }

    /// Returns the next request to release the Lease.
    fn release(&self, time: Timestamp) -> Option<Request> {
        let record = self.record().filter(|record| self.is_own(record))?;
        Some(self.replace(record.released(time)).unwrap_or(Request::Get))
    }

    /// Returns the request that writes this record over the last known one.
    fn replace(&self, record: LeaseRecord) -> Option<Request> {
        match &self.basis {
            Basis::Version(version) => Some(Request::Replace { record, version: version.clone() }),
            Basis::Stale | Basis::Absent => None,
        }
    }

    /// Records that this replica may take part.
    fn join(&mut self) {
        self.refused_since = None;
        if self.mode == Mode::Unelected {
            self.mode = Mode::Elected;
        }
    }

    /// Takes the answer to a request that was sent at `sent`.
    pub(crate) fn on_answer(
        &mut self,
        request: &Request,
        answer: Answer,
        sent: Instant,
        now: Instant,
        jitter: Duration,
    ) {
        self.basis = match &answer {
            Answer::Lease(_, version) => Basis::Version(version.clone()),
            Answer::Absent => Basis::Absent,
            Answer::Conflict | Answer::Refused | Answer::Failed => Basis::Stale,
        };
        self.is_lease_in_doubt &= self.basis == Basis::Stale;
        match answer {
            Answer::Lease(record, _) => {
                let (is_claim, is_own) = (*request != Request::Get, self.is_own(&record));
                let is_overdue = self.is_read_overdue(now);
                self.is_watch_silent |= is_overdue && !is_claim && !self.is_known(&record);
                self.note(record, now, jitter);
                if is_claim && is_own {
                    self.held_from = Some(sent);
                    self.join();
                } else if self.decide(now) == Step::End {
                    self.held_from = None;
                }
            }
            Answer::Absent => self.knowledge = Knowledge::Absent,
            Answer::Conflict => {}
            Answer::Refused => {
                let since = *self.refused_since.get_or_insert(now);
                let is_lasting = now.duration_since(since) >= self.timing.renew_deadline();
                if is_lasting && self.mode == Mode::Elected {
                    self.mode = Mode::Unelected;
                    self.held_from = None;
                }
                self.pause(now);
            }
            Answer::Failed => {
                self.refused_since = None;
                self.pause(now);
            }
        }
    }

    fn pause(&mut self, now: Instant) {
        let pause = if self.mode == Mode::Unelected {
            PERMISSION_CHECK_INTERVAL
        } else {
            self.timing.retry_interval()
        };
        self.not_before = Some(now + pause);
    }

    /// Takes what the watch shows. It may be older than an answer, so it decides nothing: it lets an expiry begin, or
    /// causes an attempt.
    pub(crate) fn on_watch(&mut self, observed: Observed, now: Instant, jitter: Duration) {
        let is_known = match &observed {
            Observed::Lease(record) => self.is_known(record),
            Observed::Absent => matches!(self.knowledge, Knowledge::Absent),
        };
        if is_known {
            return;
        }
        if self.held_from.is_some() {
            self.is_lease_in_doubt = !matches!(&observed, Observed::Lease(observed) if self.is_own(observed));
            if self.is_lease_in_doubt {
                self.basis = Basis::Stale;
            }
            return;
        }
        self.basis = Basis::Stale;
        self.refused_since = None;
        match observed {
            Observed::Lease(record) => self.note(record, now, jitter),
            Observed::Absent => self.knowledge = Knowledge::Absent,
        }
    }

    /// Returns true if this renewal is the one that is known.
    fn is_known(&self, record: &LeaseRecord) -> bool {
        self.record().is_some_and(|known| known.is_same_renewal(record))
    }

    /// Records the Lease as it was read. Its expiry starts over, unless this renewal is known already.
    fn note(&mut self, record: LeaseRecord, now: Instant, jitter: Duration) {
        match &mut self.knowledge {
            Knowledge::Record { record: known, last_seen, .. } if known.is_same_renewal(&record) => {
                (*known, *last_seen) = (record, now);
            }
            _ => self.knowledge = Knowledge::Record { record, first_seen: now, last_seen: now, jitter },
        }
    }
}
