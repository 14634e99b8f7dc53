//! Drift repair, its back-off: limits how often one Secret that keeps drifting is put back. `object_state` applies the wait
//! (`wait_before_repair`), `reconcile` records each repair.

use std::time::{Duration, Instant};

use crate::api::backoff::doubled;

const FIRST: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// A Secret without a repair for this long starts over.
const QUIET_PERIOD: Duration = Duration::from_mins(10);

/// Maximum number of different messages about one Secret until it starts over.
const MAX_MESSAGES: usize = 4;

/// Event to write for a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepairNotice {
    /// The Secret was repaired.
    Repair,
    /// The same repair was made before: another writer keeps overwriting the Secret.
    Contested,
    /// No event: it would repeat earlier ones.
    Nothing,
}

/// Repairs of one Secret. The first one is made at once, each further one waits twice as long, up to five minutes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DriftBackoff {
    times: u32,
    last: Option<Instant>,
    messages: Vec<String>,
    is_contested: bool,
}

impl DriftBackoff {
    /// Returns the time that the Secret must still wait, if any. A write that is not a repair, because the present version of the
    /// SealedSecret was never unsealed, does not wait.
    pub(crate) fn wait(&self, is_repair: bool, now: Instant) -> Option<Duration> {
        let last = self.last.filter(|_| is_repair)?;
        doubled(FIRST, self.times, MAX_BACKOFF)
            .checked_sub(now.duration_since(last))
            .filter(|rest| !rest.is_zero())
    }

    /// Records a repair that `message` describes, and returns the event to write: one for each message, and one when the Secret is
    /// contested.
    pub(crate) fn record(&mut self, message: &str, now: Instant) -> RepairNotice {
        if self.last.is_some_and(|last| now.duration_since(last) >= QUIET_PERIOD) {
            *self = Self::default();
        }
        self.times = self.times.saturating_add(1);
        self.last = Some(now);
        if self.messages.iter().any(|known| known == message) || self.messages.len() == MAX_MESSAGES {
            let is_known = std::mem::replace(&mut self.is_contested, true);
            return if is_known { RepairNotice::Nothing } else { RepairNotice::Contested };
        }
        self.messages.push(message.to_owned());
        RepairNotice::Repair
    }
}

#[cfg(test)]
mod tests {
    use super::RepairNotice::{Contested, Nothing, Repair};
    use super::*;

    #[test]
    fn the_first_repair_is_made_at_once_and_each_further_one_waits_longer() {
        let (mut drift_backoff, start) = (DriftBackoff::default(), Instant::now());
        assert_eq!(drift_backoff.wait(true, start), None);
        drift_backoff.record("", start);
        assert_eq!(drift_backoff.wait(true, start), Some(FIRST));
        assert_eq!(drift_backoff.wait(true, start + FIRST), None);
        drift_backoff.record("", start + FIRST);
        assert_eq!(drift_backoff.wait(true, start + FIRST), Some(FIRST * 2));
    }

    #[test]
    fn a_requested_change_does_not_wait_and_a_new_sealed_secret_starts_over() {
        let (mut drift_backoff, start) = (DriftBackoff::default(), Instant::now());
        drift_backoff.record("", start);
        assert_eq!(drift_backoff.wait(false, start), None);
        assert_eq!(drift_backoff.wait(true, start), Some(FIRST));
        drift_backoff = DriftBackoff::default();
        assert_eq!(drift_backoff.wait(true, start), None);
    }

    #[test]
    fn a_secret_without_a_repair_for_long_starts_over() {
        let (mut drift_backoff, start) = (DriftBackoff::default(), Instant::now());
        for second in 0..5 {
            drift_backoff.record("", start + Duration::from_secs(second));
        }
        let later = start + QUIET_PERIOD * 2;
        drift_backoff.record("", later);
        assert_eq!(drift_backoff.wait(true, later), Some(FIRST));
    }

    #[test]
    fn each_repair_of_a_secret_is_reported_once_and_a_contest_once_until_a_quiet_period() {
        let (mut drift_backoff, start) = (DriftBackoff::default(), Instant::now());
        let mut record = |message: &str, now| drift_backoff.record(message, now);
        let notices =
            ["by one", "by another", "by one", "by another", "by one"].map(|message| record(message, start));
        assert_eq!(notices, [Repair, Repair, Contested, Nothing, Nothing]);
        for number in 0..MAX_MESSAGES - 2 {
            assert_eq!(record(&number.to_string(), start), Repair);
        }
        assert_eq!(record("by ever another", start), Nothing);
        assert_eq!(record("by one", start + QUIET_PERIOD), Repair);
    }
}
