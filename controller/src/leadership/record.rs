//! The fields of a Lease that an election reads and writes, as client-go does.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Map, Value};

/// Longest time for which a Lease is waited for, whatever it says.
const MAX_DURATION: Duration = Duration::from_mins(10);
/// Duration in seconds of a released Lease, as client-go writes it: the API server refuses 0.
const RELEASED_SECONDS: i64 = 1;

/// The content of a Lease. Times are compared and never read: they are of another machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseRecord {
    /// Identity of the holder; empty if the Lease was released.
    pub(crate) holder: String,
    /// Duration in seconds, if it is a number.
    pub(crate) duration_seconds: Option<i64>,
    pub(crate) acquire_time: String,
    pub(crate) renew_time: String,
    pub(crate) transitions: i64,
}

impl LeaseRecord {
    /// Reads a Lease. A field that is missing or of another type counts as empty: other programs may write anything.
    pub(crate) fn of(lease: &DynamicObject) -> Self {
        let field = |name: &str| lease.data.get("spec").and_then(|spec| spec.get(name));
        let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            holder: text("holderIdentity"),
            duration_seconds: field("leaseDurationSeconds").and_then(Value::as_i64),
            acquire_time: text("acquireTime"),
            renew_time: text("renewTime"),
            transitions: field("leaseTransitions").and_then(Value::as_i64).unwrap_or_default(),
        }
    }

    /// Creates the record of the first holder of a new Lease.
    pub(crate) fn first(holder: &str, duration: Duration, time: Timestamp) -> Self {
        let time = in_microseconds(time);
        Self {
            holder: holder.to_owned(),
            duration_seconds: i64::try_from(duration.as_secs()).ok(),
            acquire_time: time.clone(),
            renew_time: time,
            transitions: 0,
        }
    }

    /// Returns the record after this holder has taken the Lease.
    pub(crate) fn taken_by(&self, holder: &str, duration: Duration, time: Timestamp) -> Self {
        let most = i64::from(i32::MAX);
        let transitions = self.transitions.clamp(0, most - 1) + 1;
        Self { transitions, ..Self::first(holder, duration, time) }
    }

    /// Returns the record after its holder has renewed it.
    pub(crate) fn renewed(&self, duration: Duration, time: Timestamp) -> Self {
        let renewed = Self::first(&self.holder, duration, time);
        Self { acquire_time: self.acquire_time.clone(), transitions: self.transitions, ..renewed }
    }

    /// Returns the record after its holder has released it.
    pub(crate) fn released(&self, time: Timestamp) -> Self {
        Self {
            holder: String::new(),
            duration_seconds: Some(RELEASED_SECONDS),
            renew_time: in_microseconds(time),
            ..self.clone()
        }
    }

    pub(crate) fn is_released(&self) -> bool {
        self.holder.is_empty()
    }

    /// Returns true if both records are of the same renewal by the same holder.
    pub(crate) fn is_same_renewal(&self, other: &Self) -> bool {
        let key = |record: &Self| {
            let Self { holder, acquire_time, renew_time, transitions, .. } = record.clone();
            (holder, acquire_time, renew_time, transitions)
        };
        key(self) == key(other)
    }

    /// Returns the duration after which the record expires; `own` if it says nothing sensible.
    pub(crate) fn duration(&self, own: Duration) -> Duration {
        let stated = self.duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let stated = stated.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        stated.unwrap_or(own).min(MAX_DURATION)
    }

    /// Returns the fault of a Lease that somebody holds, seen by a replica that does not.
    pub(crate) fn describe_oddity(&self, own_identity: &str) -> Option<String> {
        let holder = &self.holder;
        if holder == own_identity {
            return Some(
                "names this process as its holder, which it is not: another program has written it"
                    .to_owned(),
            );
        }
        if !holder.is_empty() && !is_identity(holder) {
            return Some(format!(
                "is held by {holder:?}, which is not a replica of this controller: give one of the two another Lease with --leader-elect-resource-name"
            ));
        }
        let seconds = self.duration_seconds.unwrap_or_default();
        match u64::try_from(seconds) {
            _ if holder.is_empty() => None,
            Err(_) | Ok(0) => Some(format!(
                "has the duration {seconds}, which cannot be; it is waited for as if it were this replica's"
            )),
            Ok(seconds) => (Duration::from_secs(seconds) > MAX_DURATION).then(|| {
                format!("has a duration of {seconds} seconds; it is waited for no longer than 10 minutes")
            }),
        }
    }

    /// Writes the record to a Lease, whose other fields are kept.
    pub(crate) fn write_to(&self, lease: &mut DynamicObject) {
        if !lease.data.is_object() {
            lease.data = Value::Object(Map::new());
        }
        let Some(fields) = lease.data.as_object_mut() else { return };
        let spec = fields.entry("spec").or_insert_with(|| Value::Object(Map::new()));
        if !spec.is_object() {
            *spec = Value::Object(Map::new());
        }
        let Some(spec) = spec.as_object_mut() else { return };
        let mut set = |name: &str, value: Value| drop(spec.insert(name.to_owned(), value));
        set("holderIdentity", self.holder.clone().into());
        set("leaseDurationSeconds", self.duration_seconds.into());
        set("acquireTime", self.acquire_time.clone().into());
        set("renewTime", self.renew_time.clone().into());
        set("leaseTransitions", self.transitions.into());
    }
}

/// Returns a time as the API server stores it in a Lease.
fn in_microseconds(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Returns the identity of a process: the name of its Pod or host, and a number that no other process has.
pub(crate) fn identity(host: &str, number: u32) -> String {
    format!("{host}_{number:08x}")
}

/// Returns true if a holder has the form of [`identity`].
fn is_identity(holder: &str) -> bool {
    let is_hex = |digit: u8| digit.is_ascii_digit() || matches!(digit, b'a'..=b'f');
    holder.rsplit_once('_').is_some_and(|(_, number)| number.len() == 8 && number.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: Duration = Duration::from_secs(15);

    fn lease(spec: &Value) -> DynamicObject {
        let object = json!({ "metadata": { "name": "sealed-secrets" }, "spec": spec });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_record_is_written_and_read_again_and_the_fields_of_others_are_kept() {
        let time: Timestamp = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        let record = LeaseRecord::first("pod-a_00c0ffee", OWN, time);
        assert_eq!(record.renew_time, "2026-01-02T03:04:05.123456Z");
        for spec in [json!({ "strategy": "OldestEmulationVersion" }), json!("no object"), Value::Null] {
            let mut object = lease(&spec);
            record.write_to(&mut object);
            assert_eq!(LeaseRecord::of(&object), record);
            assert_eq!(object.data["spec"]["strategy"], spec["strategy"]);
        }
    }

    #[test]
    fn fields_that_are_missing_or_of_another_type_are_no_error() {
        for spec in [
            json!({}),
            json!({ "holderIdentity": 7, "leaseDurationSeconds": "long", "renewTime": null }),
            json!([]),
        ] {
            assert_eq!(LeaseRecord::of(&lease(&spec)), LeaseRecord::default(), "{spec}");
        }
    }

    #[test]
    fn an_impossible_duration_counts_as_ours_and_a_long_one_as_ten_minutes() {
        let of = |duration_seconds| LeaseRecord { duration_seconds, ..LeaseRecord::default() }.duration(OWN);
        for impossible in [None, Some(0), Some(-1), Some(i64::MIN)] {
            assert_eq!(of(impossible), OWN);
        }
        assert_eq!(of(Some(5)), Duration::from_secs(5));
        assert_eq!(of(Some(i64::MAX)), Duration::from_mins(10));
    }

    #[test]
    fn the_number_of_transitions_grows_with_each_holder_and_never_overflows() {
        let time = Timestamp::UNIX_EPOCH;
        for (before, after) in [(0, 1), (41, 42), (-7, 1), (i64::MAX, i64::from(i32::MAX))] {
            let record = LeaseRecord { transitions: before, ..LeaseRecord::default() };
            assert_eq!(record.taken_by("a_00000001", OWN, time).transitions, after);
            assert_eq!(record.renewed(OWN, time).transitions, before);
        }
    }

    #[test]
    fn a_foreign_holder_is_recognised_and_a_replica_of_ours_is_not_foreign() {
        let oddity = |holder: &str, duration_seconds| {
            let holder = holder.to_owned();
            LeaseRecord { holder, duration_seconds, ..LeaseRecord::default() }.describe_oddity("own_00000001")
        };
        assert_eq!(oddity(&identity("pod-a", 7), Some(15)), None);
        assert_eq!(oddity("", Some(1)), None);
        for holder in ["scheduler_1b4e28ba-2fa1-11d2-883f-0016d3cca427", "somebody", "_0000000G"] {
            assert!(oddity(holder, Some(15)).unwrap().contains("--leader-elect-resource-name"), "{holder}");
        }
        assert!(oddity("pod-a_00000007", Some(-3)).unwrap().contains("-3"));
        assert!(oddity("pod-a_00000007", None).unwrap().contains("the duration 0"));
        assert!(oddity("pod-a_00000007", Some(601)).unwrap().contains("601 seconds"));
        assert_eq!(oddity("pod-a_00000007", Some(600)), None);
        assert!(oddity("own_00000001", Some(15)).unwrap().contains("this process"));
    }

    #[test]
    fn a_renewal_differs_from_the_one_before_and_a_changed_duration_is_no_renewal() {
        let [first, later] = [1, 2].map(|second| Timestamp::from_second(second).unwrap());
        let record = LeaseRecord::first("a_00000001", OWN, first);
        assert!(!record.is_same_renewal(&record.renewed(OWN, later)));
        let edited = LeaseRecord { duration_seconds: Some(600), ..record.clone() };
        assert!(record.is_same_renewal(&edited));
    }
}
