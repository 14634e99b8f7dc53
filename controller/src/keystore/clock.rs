//! Whether the clock here agrees with the API server's. Where it does not, nothing is done to a key that depends on the time.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use sealed_secrets_core::rotation::{KeyRecord, Plan, RotationPolicy, is_met};

use super::KeystoreError;
use super::view::Blocker;
use crate::clock;

/// Nothing is dated or judged by a clock that is further off than this.
const MAX: SignedDuration = SignedDuration::from_mins(5);
/// The first look after one that found the clock off; the pause doubles with each.
const FIRST: Duration = Duration::from_secs(2);
/// While the clock is off, and while only a request for later makes it worth a look.
const LONGEST: Duration = Duration::from_secs(30);

/// What the last looks at the API server's clock have found.
#[derive(Debug, Default)]
struct Skew {
    /// So many seconds ahead, where that is too much.
    off: Option<i64>,
    /// Looks in a row that have found so.
    found: u32,
    last: Option<Instant>,
}

impl Skew {
    /// How long the last look holds still, if what is due now can wait (`urgent` is false) or the clock is off.
    fn wait(&self, urgent: bool, now: Instant) -> Duration {
        let pause = match (self.off, urgent) {
            (None, true) => Duration::ZERO,
            (None, false) => LONGEST,
            (Some(_), _) => {
                FIRST.saturating_mul(2_u32.saturating_pow(self.found.saturating_sub(1))).min(LONGEST)
            }
        };
        self.last.map_or(Duration::ZERO, |last| (last + pause).saturating_duration_since(now))
    }

    /// Notes what a look has found. Returns whether it is news that the clock is off.
    fn note(&mut self, ahead: SignedDuration, now: Instant) -> bool {
        let was_off = self.off.is_some();
        self.off = (ahead.abs() > MAX).then_some(ahead.as_secs());
        self.found = if self.off.is_some() { self.found.saturating_add(1) } else { 0 };
        self.last = Some(now);
        self.off.is_some() && !was_off
    }

    /// Whether it was off when it was looked at last.
    fn is_off(&self) -> bool {
        self.off.is_some()
    }

    /// How long to wait at most for the next look, where one is due without any other reason.
    fn next_look(&self, now: Instant) -> Option<Duration> {
        self.is_off().then(|| self.wait(false, now))
    }

    fn blocker(&self) -> Option<Blocker> {
        self.off.map(Blocker::ClockSkew)
    }
}

/// Compares the clock here with the API server's.
pub(super) struct Clock {
    client: Client,
    skew: Skew,
}

impl Clock {
    pub(super) fn new(client: Client) -> Self {
        Self { client, skew: Skew::default() }
    }

    /// Asks for the API server's time if what is planned requires the time; otherwise that costs nothing.
    ///
    /// # Errors
    /// When the API server does not answer: then nothing is to be done that requires the time.
    pub(super) async fn check(
        &mut self,
        plan: &Plan,
        policy: &RotationPolicy,
        records: &[KeyRecord],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let is_due = plan.requires_clock();
        if !is_due && !waits_for_a_request(policy, records, now) {
            self.skew = Skew::default();
            return Ok(());
        }
        if !self.skew.wait(is_due, Instant::now()).is_zero() {
            return Ok(());
        }
        let theirs = self.of_api_server().await?;
        let ahead = theirs.map(|theirs| clock::now().duration_since(theirs)).unwrap_or_default();
        if self.skew.note(ahead, Instant::now()) {
            tracing::error!(
                "no key is made, activated, retired or deleted while the clock here is {} seconds away from the API server's; set the clock (ClockSkew)",
                ahead.as_secs().abs()
            );
        }
        Ok(())
    }

    /// The API server's time; `None` where it sends none.
    pub(super) async fn of_api_server(&self) -> Result<Option<Timestamp>, KeystoreError> {
        clock::of_api_server(&self.client).await.map_err(KeystoreError::Clock)
    }

    /// Whether the last check found the clock here off.
    pub(super) fn is_off(&self) -> bool {
        self.skew.is_off()
    }

    /// The longest wait for the next check, where one is due without any other reason.
    pub(super) fn next_check(&self, now: Instant) -> Option<Duration> {
        self.skew.next_look(now)
    }

    pub(super) fn blocker(&self) -> Option<Blocker> {
        self.skew.blocker()
    }
}

/// Whether a key is asked for that the clock here puts off.
fn waits_for_a_request(policy: &RotationPolicy, records: &[KeyRecord], now: Timestamp) -> bool {
    policy.requests.iter().any(|moment| *moment > now && !is_met(records, *moment))
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::rotation::{Change, DesiredState, KeyLabel, Step, UsageReport, plan};
    use sealed_secrets_crds::SealingKeyPhase;

    use super::super::fixtures::{key, moment};
    use super::*;

    #[test]
    fn a_clock_is_off_by_more_than_five_minutes_either_way_and_that_is_reported_once() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        let minutes = SignedDuration::from_mins;
        assert!(!skew.note(minutes(5), now) && !skew.is_off());
        assert!(skew.note(minutes(6), now) && skew.is_off());
        assert!(!skew.note(minutes(-600), now), "it is known");
        assert_eq!(skew.blocker(), Some(Blocker::ClockSkew(-36_000)));
        assert!(!skew.note(minutes(-4), now) && skew.blocker().is_none());
    }

    #[test]
    fn what_is_due_takes_a_look_and_what_is_not_at_most_one_every_half_a_minute() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        assert!(skew.wait(true, now).is_zero() && skew.wait(false, now).is_zero());
        skew.note(SignedDuration::ZERO, now);
        assert_eq!((skew.wait(true, now), skew.wait(false, now)), (Duration::ZERO, LONGEST));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_within_half_a_minute() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        let waits = [0; 6].map(|_| {
            skew.note(SignedDuration::from_hours(1), now);
            skew.wait(true, now).as_secs()
        });
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        assert_eq!(skew.next_look(now), Some(LONGEST));
    }

    #[test]
    fn only_what_is_right_at_any_time_is_done_while_the_clock_is_off() {
        let policy =
            RotationPolicy { delete_after_retired: Some(SignedDuration::ZERO), ..RotationPolicy::default() };
        let mut records: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|name| key(name, SealingKeyPhase::DecryptOnly).record).into();
        // Leads at once, since nothing else can; then expelled, deleted, put back by hand, and to be dated.
        records[0].label = KeyLabel::Pending;
        (records[1].desired, records[1].decrypt_until) =
            (DesiredState::Compromised { decrypt_until: Some(moment(20)) }, Some(moment(20)));
        (records[1].state_since, records[1].compromised_since) = (Some(moment(15)), Some(moment(15)));
        (records[2].label, records[2].off_ring_since) = (KeyLabel::Retired, Some(moment(20)));
        (records[3].label, records[3].desired) =
            (KeyLabel::Active, DesiredState::Compromised { decrypt_until: None });
        records[3].off_ring_since = None;
        (records[4].desired, records[4].off_ring_since) = (DesiredState::Retired, Some(moment(12)));
        records[4].facts.as_mut().unwrap().has_certificate = false;
        let usage = UsageReport::default();
        let planned = plan(&policy, &records, Some(&usage), moment(1_000));
        let steps = |changes: &[Change]| -> Vec<_> {
            changes.iter().map(|change| (change.name.clone(), change.step)).collect()
        };
        let timeless: Vec<_> =
            planned.changes.iter().filter(|change| !change.requires.clock).cloned().collect();
        assert!(steps(&planned.changes).contains(&("b".to_owned(), Step::RemoveCompromised)), "{planned:?}");
        assert!(steps(&planned.changes).contains(&("d".to_owned(), Step::RecordRequest)), "{planned:?}");
        assert_eq!(
            steps(&timeless),
            [("a".to_owned(), Step::Activate), ("e".to_owned(), Step::Restore)],
            "{planned:?}"
        );
    }
}
