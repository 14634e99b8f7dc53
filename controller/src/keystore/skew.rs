//! Whether the clock here agrees with the API server's. Where it does not, nothing is done to a key that depends on the time.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::rotation::{Change, KeyRecord, Need, Plan, RotationPolicy, Step, is_met, plan};

use super::view::Hindrance;
use super::{Keystore, KeystoreError};
use crate::clock;

/// Nothing is dated or judged by a clock that is further off than this.
const MAX: SignedDuration = SignedDuration::from_mins(5);
/// The first look after one that found the clock off; the pause doubles with each.
const FIRST: Duration = Duration::from_secs(2);
/// While the clock is off, and while only a request for later makes it worth a look.
const LONGEST: Duration = Duration::from_secs(30);

/// What the last looks at the API server's clock have found.
#[derive(Debug, Default)]
pub(super) struct Skew {
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

    /// This moment of the clock here, set right by what is known of the API server's.
    pub(super) fn time_of_api_server(&self, now: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.off.unwrap_or_default());
        now.checked_sub(ahead).unwrap_or(now)
    }

    /// Whether it was off when it was looked at last.
    pub(super) fn is_off(&self) -> bool {
        self.off.is_some()
    }

    /// How long to wait at most for the next look, where one is due without any other reason.
    pub(super) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.is_off().then(|| self.wait(false, now))
    }

    pub(super) fn hindrance(&self) -> Option<Hindrance> {
        self.off.map(Hindrance::ClockSkew)
    }
}

impl Keystore {
    /// Looks at the API server's clock, if what is planned depends on the time; otherwise that costs nothing.
    ///
    /// # Errors
    /// When it cannot be seen: then nothing is to be done that depends on the time.
    pub(super) async fn look_at_clock(
        &mut self,
        planned: &Plan,
        timeless: &[Change],
        records: &[KeyRecord],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let is_due = planned.generate.is_some() || planned.changes.len() > timeless.len();
        if !is_due && !waits_for_a_request(&self.rules.rotation, records, now) {
            self.skew = Skew::default();
            return Ok(());
        }
        if !self.skew.wait(is_due, Instant::now()).is_zero() {
            return Ok(());
        }
        let theirs = clock::of_api_server(&self.client).await.map_err(KeystoreError::Clock)?;
        let ahead = theirs.map(|theirs| clock::now().duration_since(theirs)).unwrap_or_default();
        if self.skew.note(ahead, Instant::now()) {
            tracing::error!(
                "no key is made, activated, retired or deleted while the clock here is {} seconds away from the API server's; set the clock (ClockSkew)",
                ahead.as_secs().abs()
            );
        }
        Ok(())
    }
}

/// Whether a key is asked for that the clock here puts off.
fn waits_for_a_request(policy: &RotationPolicy, records: &[KeyRecord], now: Timestamp) -> bool {
    policy.requests.iter().any(|moment| *moment > now && !is_met(records, *moment))
}

/// Those of the planned changes that are right at any time and write no date.
pub(super) fn timeless(
    policy: &RotationPolicy,
    records: &[KeyRecord],
    need: Option<&Need>,
    planned: &Plan,
) -> Vec<Change> {
    let at_any_time = plan(policy, records, need, Timestamp::MIN).changes;
    let writes_no_date = |step: Step| matches!(step, Step::Activate | Step::Restore | Step::NoteUsed);
    let is_timeless = |change: &&Change| writes_no_date(change.step) && at_any_time.contains(change);
    planned.changes.iter().filter(is_timeless).cloned().collect()
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::rotation::{KeyLabel, Wish};
    use sealed_secrets_crds::SealingKeyPhase;

    use super::super::fixtures::{key, moment};
    use super::*;

    #[test]
    fn a_clock_is_off_by_more_than_five_minutes_either_way_and_that_is_news_once() {
        let (mut skew, now) = (Skew::default(), Instant::now());
        let minutes = SignedDuration::from_mins;
        assert!(!skew.note(minutes(5), now) && !skew.is_off());
        assert!(skew.note(minutes(6), now) && skew.is_off());
        assert_eq!(skew.time_of_api_server(moment(1_000)), moment(640));
        assert!(!skew.note(minutes(-600), now), "it is known");
        assert_eq!(skew.hindrance(), Some(Hindrance::ClockSkew(-36_000)));
        assert!(!skew.note(minutes(-4), now) && skew.hindrance().is_none());
        assert_eq!(skew.time_of_api_server(moment(1_000)), moment(1_000));
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
        (records[1].wish, records[1].decrypt_until) =
            (Wish::Compromised { decrypt_until: Some(moment(20)) }, Some(moment(20)));
        (records[1].wish_since, records[1].compromised_since) = (Some(moment(15)), Some(moment(15)));
        (records[2].label, records[2].off_ring_since) = (KeyLabel::Retired, Some(moment(20)));
        (records[3].label, records[3].wish) = (KeyLabel::Active, Wish::Compromised { decrypt_until: None });
        records[3].off_ring_since = None;
        (records[4].wish, records[4].off_ring_since) = (Wish::Retired, Some(moment(12)));
        records[4].facts.as_mut().unwrap().has_certificate = false;
        let need = Need::default();
        let planned = plan(&policy, &records, Some(&need), moment(1_000));
        let steps = |changes: &[Change]| -> Vec<_> {
            changes.iter().map(|change| (change.name.clone(), change.step)).collect()
        };
        let timeless = timeless(&policy, &records, Some(&need), &planned);
        assert!(steps(&planned.changes).contains(&("b".to_owned(), Step::Expel)), "{planned:?}");
        assert!(steps(&planned.changes).contains(&("d".to_owned(), Step::NoteWish)), "{planned:?}");
        assert_eq!(
            steps(&timeless),
            [("a".to_owned(), Step::Activate), ("e".to_owned(), Step::Restore)],
            "{planned:?}"
        );
    }
}
