//! Detects clock skew: whether the clock here agrees with the API server's. While it does not, no change of a key is
//! made that depends on the time.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use sealed_secrets_core::rotation::{KeyRecord, Plan, RotationPolicy, is_met};

use super::error::KeystoreError;
use super::view::Blocker;
use crate::api::backoff::doubled;
use crate::clock;

/// Tolerated clock skew. Beyond it, nothing is dated or decided by this clock.
const MAX: SignedDuration = SignedDuration::from_mins(5);
/// Interval of the first check after the clock was found to be off; it doubles with each further check.
const FIRST: Duration = Duration::from_secs(2);
/// Longest interval while the clock is off, and the interval while the only reason for a check is a request for a later
/// moment.
const MAX_INTERVAL: Duration = Duration::from_secs(30);

/// Results of the last checks of the clock.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// Seconds by which the clock here is ahead, if that exceeds the tolerance.
    off: Option<i64>,
    /// Number of consecutive checks that found the clock off.
    found: u32,
    last: Option<Instant>,
}

impl Skew {
    /// Returns the time for which the last check remains valid, if what is due now can wait (`is_due_now` is false) or the clock is
    /// off.
    fn wait(&self, is_due_now: bool, now: Instant) -> Duration {
        let pause = match (self.off, is_due_now) {
            (None, true) => Duration::ZERO,
            (None, false) => MAX_INTERVAL,
            (Some(_), _) => doubled(FIRST, self.found, MAX_INTERVAL),
        };
        self.last.map_or(Duration::ZERO, |last| (last + pause).saturating_duration_since(now))
    }

    /// Records the result of a check. Returns true if the clock has just been found to be off.
    fn note(&mut self, ahead: SignedDuration, now: Instant) -> bool {
        let was_off = self.off.is_some();
        self.off = (ahead.abs() > MAX).then_some(ahead.as_secs());
        self.found = if self.off.is_some() { self.found.saturating_add(1) } else { 0 };
        self.last = Some(now);
        self.off.is_some() && !was_off
    }

    /// Converts a time of the clock here to the API server's, as far as the skew is known.
    pub(super) fn time_of_api_server(&self, now: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.off.unwrap_or_default());
        now.checked_sub(ahead).unwrap_or(now)
    }

    /// Returns true if the last check found the clock off.
    pub(super) fn is_off(&self) -> bool {
        self.off.is_some()
    }

    /// Returns the longest wait before the next check, if one is due independently of the plan.
    pub(super) fn next_check(&self, now: Instant) -> Option<Duration> {
        self.is_off().then(|| self.wait(false, now))
    }

    pub(super) fn blocker(&self) -> Option<Blocker> {
        self.off.map(Blocker::ClockSkew)
    }
}

/// Compares the clock here with the API server's.
pub(super) struct Clock {
    client: Client,
    /// The result of the last check.
    pub(super) skew: Skew,
}

impl Clock {
    pub(super) fn new(client: Client) -> Self {
        Self { client, skew: Skew::default() }
    }

    /// Asks for the API server's time if the plan requires the clock; otherwise sends no request.
    ///
    /// # Errors
    /// If the API server does not answer: then no step that requires the clock may be taken.
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
                "the controller's clock is {} seconds away from the API server's, so no key is generated, activated, retired or deleted; correct the clock (ClockSkew)",
                ahead.as_secs().abs()
            );
        }
        Ok(())
    }

    /// Returns the API server's time; `None` if the answer contains none.
    pub(super) async fn of_api_server(&self) -> Result<Option<Timestamp>, KeystoreError> {
        clock::of_api_server(&self.client).await.map_err(KeystoreError::Clock)
    }
}

/// Returns true if a key is requested for a time that is still in the future by the clock here.
fn waits_for_a_request(policy: &RotationPolicy, records: &[KeyRecord], now: Timestamp) -> bool {
    policy.requests.iter().any(|time| *time > now && !is_met(records, *time))
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::rotation::{Change, DesiredState, KeyLabel, Step, UsageReport, plan};
    use sealed_secrets_crds::SealingKeyPhase;

    use super::super::fixtures::{key, time_at};
    use super::*;

    #[test]
    fn a_clock_is_off_by_more_than_five_minutes_either_way_and_that_is_reported_once() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        let minutes = SignedDuration::from_mins;
        assert!(!skew.note(minutes(5), now) && !skew.is_off());
        assert!(skew.note(minutes(6), now) && skew.is_off());
        assert_eq!(skew.time_of_api_server(time_at(1_000)), time_at(640));
        assert!(!skew.note(minutes(-600), now), "it is known");
        assert_eq!(skew.blocker(), Some(Blocker::ClockSkew(-36_000)));
        assert!(!skew.note(minutes(-4), now) && skew.blocker().is_none());
        assert_eq!(skew.time_of_api_server(time_at(1_000)), time_at(1_000));
    }

    #[test]
    fn a_due_change_checks_the_clock_and_others_at_most_once_every_half_minute() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        assert!(skew.wait(true, now).is_zero() && skew.wait(false, now).is_zero());
        skew.note(SignedDuration::ZERO, now);
        assert_eq!((skew.wait(true, now), skew.wait(false, now)), (Duration::ZERO, MAX_INTERVAL));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_within_half_a_minute() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        let waits = [0; 6].map(|_| {
            skew.note(SignedDuration::from_hours(1), now);
            skew.wait(true, now).as_secs()
        });
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        assert_eq!(skew.next_check(now), Some(MAX_INTERVAL));
    }

    #[test]
    fn only_changes_that_do_not_depend_on_the_clock_are_made_while_it_is_off() {
        let policy =
            RotationPolicy { delete_after_retired: Some(SignedDuration::ZERO), ..RotationPolicy::default() };
        let mut records: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|name| key(name, SealingKeyPhase::DecryptOnly).record).into();
        // Activated at once, since no other key can be the primary; then: removed as compromised, deleted, restored by hand, and to
        // be dated.
        records[0].label = KeyLabel::Pending;
        (records[1].desired, records[1].decrypt_until) =
            (DesiredState::Compromised { decrypt_until: Some(time_at(20)) }, Some(time_at(20)));
        (records[1].state_since, records[1].compromised_since) = (Some(time_at(15)), Some(time_at(15)));
        (records[2].label, records[2].off_ring_since) = (KeyLabel::Retired, Some(time_at(20)));
        (records[3].label, records[3].desired) =
            (KeyLabel::Active, DesiredState::Compromised { decrypt_until: None });
        records[3].off_ring_since = None;
        (records[4].desired, records[4].off_ring_since) = (DesiredState::Retired, Some(time_at(12)));
        records[4].facts.as_mut().unwrap().has_certificate = false;
        let usage = UsageReport::default();
        let planned = plan(&policy, &records, Some(&usage), time_at(1_000));
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
