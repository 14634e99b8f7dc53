//! Requests of the replicas of a run: the holders of the Lease, and the writers.

use std::time::{Duration, Instant};

use http::Method;
use sealed_secrets_tests::Asked;

use super::replicas::is_about_lease;

/// A time from its begin to its end.
pub(super) type Span = (Instant, Instant);

/// The requests of one process.
#[derive(Default)]
pub(super) struct Life {
    /// The moments at which each successful claim or renewal arrived and was answered.
    claims: Vec<Span>,
    /// The moment at which each release arrived.
    releases: Vec<Instant>,
    /// The moments at which each answered request about the Lease arrived and was answered.
    looks: Vec<Span>,
    /// Writes of other objects.
    writes: Vec<(Instant, String)>,
    /// Events whose creation had no success.
    failed_events: usize,
    /// Times without a fault of the process or of its way to the API server.
    pub(super) healthy: Vec<Span>,
}

impl Life {
    /// The life with these requests.
    pub(super) fn of(asked: &[Asked]) -> Self {
        let mut life = Self::default();
        for asked in asked {
            life.note(asked);
        }
        life
    }

    pub(super) fn note(&mut self, asked: &Asked) {
        let Asked { at, answered, method, path, body, .. } = asked;
        let success = answered.filter(|(_, status)| (200..300).contains(status));
        if is_about_lease(path) {
            self.looks.extend(answered.map(|(answered, _)| (*at, answered)));
            let holder = body["spec"]["holderIdentity"].as_str().unwrap_or_default();
            match success {
                Some((answered, _)) if *method != Method::GET && !holder.is_empty() => {
                    self.claims.push((*at, answered));
                }
                Some(_) if *method != Method::GET => self.releases.push(*at),
                _ => {}
            }
            return;
        }
        if *method == Method::GET || path.contains("/selfsubject") {
            return;
        }
        self.writes.push((*at, format!("{method} {path}")));
        let is_told = success.is_some() || matches!(answered, Some((_, 409)));
        self.failed_events += usize::from(path.contains("/events") && !is_told);
    }

    /// Times in which this process reaches the API server: since its first answer about the Lease after each fault.
    fn reaches(&self) -> impl Iterator<Item = Span> {
        self.healthy.iter().filter_map(|(begin, end)| {
            let first = self.looks.iter().find(|(sent, _)| sent >= begin)?;
            (first.1 < *end).then_some((first.1, *end))
        })
    }
}

/// The times that this machine has lost: an allowance for what a busy one delays.
#[derive(Default)]
pub(super) struct Lateness {
    lost: Vec<Span>,
    /// The moment from which the present probe is late.
    due: Option<Instant>,
}

impl Lateness {
    /// Begins a probe that is late from this moment on.
    pub(super) fn expect(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// Ends the probe.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.lost.extend(self.due.take().filter(|due| *due < now).map(|due| (due, now)));
    }

    /// The time that was lost between two moments, also by a probe that has not ended yet.
    pub(super) fn between(&self, begin: Instant, end: Instant) -> Duration {
        let present = self.due.map(|due| (due, end));
        let lost = self.lost.iter().copied().chain(present);
        lost.map(|(from, until)| until.min(end).saturating_duration_since(from.max(begin))).sum()
    }
}

/// The processes of a run, and the times in which somebody has changed the Lease by hand.
#[derive(Default)]
pub(super) struct History {
    pub(super) lives: Vec<Life>,
    pub(super) edits: Vec<Span>,
}

impl History {
    pub(super) fn failed_events(&self) -> usize {
        self.lives.iter().map(|life| life.failed_events).sum()
    }

    /// Asserts that each write comes from a process that has claimed the Lease with success within its duration before.
    pub(super) fn assert_written_by_holders(&self, lease: Duration) {
        let mut writes = 0;
        for life in &self.lives {
            for (at, write) in &life.writes {
                let last = life.claims.iter().map(|(sent, _)| *sent).rfind(|sent| sent <= at);
                let since = last.map(|last| *at - last);
                assert!(since.is_some_and(|since| since <= lease), "{write} {since:?} after the last claim");
                writes += 1;
            }
        }
        assert!(writes > 10, "{writes} writes");
    }

    /// Asserts that no process claims a Lease that another has claimed within its duration before, unless it was released, or
    /// changed by hand.
    pub(super) fn assert_taken_when_expired(&self, lease: Duration) {
        let of_life = |(number, life): (usize, &Life)| {
            life.claims.iter().map(|(at, _)| (*at, number)).collect::<Vec<_>>()
        };
        let mut claims: Vec<_> = self.lives.iter().enumerate().flat_map(of_life).collect();
        claims.sort_unstable();
        let releases = self.lives.iter().flat_map(|life| &life.releases);
        let freed: Vec<_> = releases.map(|at| (*at, *at)).chain(self.edits.iter().copied()).collect();
        for pair in claims.windows(2) {
            let [(former, one), (at, other)] = pair else { continue };
            let is_freed = freed.iter().any(|(begin, end)| begin <= at && former <= end);
            let age = *at - *former;
            assert!(one == other || is_freed || age >= lease, "the Lease was taken after {age:?}");
        }
    }

    /// Asserts that the Lease is claimed, renewed or changed by hand once in `bound`, while one process reaches the API server.
    /// As a term ends before its Lease may be taken, nobody leads for less than that.
    pub(super) fn assert_always_led(&self, bound: Duration, lateness: &Lateness) {
        let mut marks: Vec<_> =
            self.lives.iter().flat_map(|life| life.claims.iter().map(|(_, answered)| *answered)).collect();
        marks.extend(self.edits.iter().map(|(_, end)| *end));
        marks.sort_unstable();
        let mut longest = Duration::ZERO;
        for (begin, end) in self.lives.iter().flat_map(Life::reaches) {
            let within = marks.iter().copied().filter(|mark| (begin..end).contains(mark));
            let moments: Vec<_> = [begin].into_iter().chain(within).chain([end]).collect();
            for pair in moments.windows(2) {
                let (gap, late) = (pair[1] - pair[0], lateness.between(pair[0], pair[1]));
                longest = longest.max(gap.saturating_sub(late));
                assert!(gap <= bound + late, "no leader for {gap:?}; this machine was {late:?} late");
            }
        }
        println!("{} claims; the Lease was not claimed for {longest:?} at most", marks.len());
        assert!(marks.len() > 5, "{} claims", marks.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn life(start: Instant, claims: &[u64], looks: &[u64], healthy: &[(u64, u64)]) -> Life {
        let at = |second: &u64| start + Duration::from_secs(*second);
        let spans = |seconds: &[u64]| seconds.iter().map(|second| (at(second), at(second))).collect();
        let healthy = healthy.iter().map(|(begin, end)| (at(begin), at(end))).collect();
        Life { claims: spans(claims), looks: spans(looks), healthy, ..Life::default() }
    }

    /// A change by hand between this second and the next one.
    fn edit(start: Instant, second: u64) -> Span {
        (start + Duration::from_secs(second), start + Duration::from_secs(second + 1))
    }

    #[test]
    #[should_panic(expected = "no leader for 18s")]
    fn a_time_without_a_leader_is_noticed() {
        let start = Instant::now();
        let lives = vec![
            life(start, &[0, 5, 10, 15, 20, 25], &[], &[]),
            life(start, &[43, 48, 53, 58], &[1], &[(0, 60)]),
        ];
        History { lives, edits: Vec::new() }
            .assert_always_led(LEASE + Duration::from_secs(2), &Lateness::default());
    }

    #[test]
    fn a_time_without_a_leader_counts_from_an_edit_and_only_while_one_reaches_the_api_server() {
        let start = Instant::now();
        let lives = vec![
            life(start, &[0, 5, 10, 15, 20, 25], &[], &[]),
            life(start, &[58], &[1, 42], &[(0, 20), (40, 60)]),
        ];
        History { lives, edits: vec![edit(start, 41)] }
            .assert_always_led(LEASE + Duration::from_secs(2), &Lateness::default());
    }

    #[test]
    #[should_panic(expected = "the Lease was taken after 9s")]
    fn a_lease_that_is_taken_too_early_is_noticed() {
        let start = Instant::now();
        let lives = vec![life(start, &[0, 5], &[], &[]), life(start, &[14], &[], &[])];
        History { lives, edits: Vec::new() }.assert_taken_when_expired(LEASE);
    }

    #[test]
    fn a_lease_may_be_taken_at_once_while_it_is_changed_by_hand() {
        let start = Instant::now();
        let lives = || vec![life(start, &[0, 5], &[], &[]), life(start, &[8], &[], &[])];
        for second in [4, 5, 7, 8] {
            let edits = vec![edit(start, second)];
            History { lives: lives(), edits }.assert_taken_when_expired(LEASE);
        }
    }

    #[test]
    fn lost_time_counts_where_it_falls_and_while_it_lasts() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut lateness = Lateness::default();
        for (due, now) in [(2, 5), (8, 7)] {
            lateness.expect(at(due));
            lateness.arrived(at(now));
        }
        lateness.expect(at(10));
        let lost = |begin, end| lateness.between(at(begin), at(end)).as_secs();
        assert_eq!([lost(0, 9), lost(3, 4), lost(4, 9), lost(5, 10), lost(9, 14)], [3, 1, 1, 0, 4]);
    }

    #[test]
    #[should_panic(expected = "after the last claim")]
    fn a_write_of_an_old_term_is_noticed() {
        let start = Instant::now();
        let mut life = life(start, &[0, 5], &[], &[]);
        for second in [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 21] {
            life.writes.push((start + Duration::from_secs(second), "PUT".to_owned()));
        }
        History { lives: vec![life], edits: Vec::new() }.assert_written_by_holders(LEASE);
    }
}
