//! The durations of an election, which all follow from the duration of the Lease.

use std::time::Duration;

/// Longest jitter before an expired Lease is taken, so that followers do not all write at the same moment.
pub(crate) const MAX_JITTER: Duration = Duration::from_millis(500);

/// The durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    lease_duration: Duration,
}

impl Timing {
    pub(crate) fn new(lease_duration: Duration) -> Self {
        Self { lease_duration }
    }

    /// Time without a sign of its holder after which a Lease may be taken.
    pub(crate) fn lease_duration(self) -> Duration {
        self.lease_duration
    }

    /// Time between two renewals.
    pub(crate) fn renew_interval(self) -> Duration {
        self.lease_duration / 3
    }

    /// Timeout of one request about the Lease. Several fit before the deadline. It is of a request and not of an attempt: a
    /// claim that is sent with little time left is carried out, but its answer comes too late, so that a slow replica
    /// would renew the Lease for ever without leading.
    pub(crate) fn request_timeout(self) -> Duration {
        self.lease_duration / 5
    }

    /// Pause after an attempt that failed.
    pub(crate) fn retry_interval(self) -> Duration {
        self.lease_duration / 15
    }

    /// Time after the last renewal at which the term ends. The clock of another replica may run up to 1.5 times as
    /// fast before it takes the Lease too early.
    pub(crate) fn renew_deadline(self) -> Duration {
        self.lease_duration * 2 / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_of_15_seconds_is_renewed_every_5_within_10_with_requests_of_3_and_pauses_of_1() {
        let timing = Timing::new(Duration::from_secs(15));
        let durations = [
            timing.renew_interval(),
            timing.request_timeout(),
            timing.retry_interval(),
            timing.renew_deadline(),
        ];
        assert_eq!(durations.map(|duration| duration.as_secs()), [5, 3, 1, 10]);
    }
}
