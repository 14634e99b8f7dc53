//! Status and last transition of a condition, for all kinds with conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sealed_secrets_crds::ConditionStatus;

/// Returns the status of a condition that holds or not, and the time of its last transition: that of the stored condition, given
/// with its status, until the status changes.
pub(crate) fn transition(
    holds: bool,
    stored: Option<(&str, Option<&Time>)>,
    now: Timestamp,
) -> (&'static str, Time) {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False }.as_str();
    let kept = stored.filter(|(before, _)| *before == status).and_then(|(_, since)| since.cloned());
    (status, kept.unwrap_or(Time(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_dated_once_until_the_status_changes() {
        let [first, later] = [1, 2].map(|second| Timestamp::from_second(second).unwrap());
        let since = Time(first);
        assert_eq!(transition(true, None, first), ("True", Time(first)));
        assert_eq!(transition(true, Some(("True", Some(&since))), later), ("True", Time(first)));
        assert_eq!(transition(false, Some(("True", Some(&since))), later), ("False", Time(later)));
        assert_eq!(transition(true, Some(("True", None)), later), ("True", Time(later)));
    }
}
