//! Status writer, conflicts included: the only writer of a SealedSecret's status, and of the event that belongs to it.

pub(crate) mod denied;
pub(crate) mod key_conditions;
pub(crate) mod missing_permissions;
pub(crate) mod overlay;

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{ConditionStatus, LastSuccess, SealedSecretCondition, SealedSecretStatus};

use super::decrypt::fetch::memory_for;
use super::status::key_conditions::{KEY_COMPROMISED, KeyCondition, STALE};
use super::watch::raw::RawSealedSecret;
use crate::api::event;
use crate::clock;
use crate::condition::transition;
use crate::context::Context;
use crate::error::{Failure, OUT_OF_TIME, Retry};

const SYNCED: &str = "Synced";
const ATTEMPTS: usize = 5;

/// Condition types of ours: `Synced` is upstream's and carries the whole message, the others are those that kstatus reads.
const READY: &str = "Ready";
const STALLED: &str = "Stalled";
const RECONCILING: &str = "Reconciling";
const OURS: [&str; 6] = [SYNCED, READY, STALLED, RECONCILING, STALE, KEY_COMPROMISED];
/// The condition types about keys, which say nothing about the attempt.
const OF_KEYS: [&str; 2] = [STALE, KEY_COMPROMISED];

/// Result of a status update.
#[derive(Debug)]
#[must_use]
pub(crate) enum StatusWrite {
    /// The object has the status: we have written it, or another writer has written the same meanwhile.
    Written,
    /// The object had the status already, and nothing was sent.
    Unchanged,
    /// The status was not sent: `--update-status` is off.
    Disabled(Box<SealedSecretStatus>),
    /// The object does not exist any more, or another one of its name does, which its own event queues.
    Gone,
    /// The permission to write the status is missing (403).
    Forbidden { status: Box<SealedSecretStatus>, message: String },
}

/// Outcome of a status update, to be recorded in the state of the object.
#[derive(Debug)]
#[must_use]
pub(crate) struct StatusReport {
    /// The object as the API server has returned it last, if it has.
    pub(crate) answered: Option<Box<RawSealedSecret>>,
    pub(crate) outcome: Result<StatusWrite, Failure>,
}

impl StatusReport {
    const UNCHANGED: Self = Self { answered: None, outcome: Ok(StatusWrite::Unchanged) };
}

/// Input of a status update.
pub(crate) struct KnownStatus {
    /// The latest stored status that is known.
    pub(crate) stored: SealedSecretStatus,
    /// The status that was reported last, by status or event.
    pub(crate) reported: SealedSecretStatus,
    pub(crate) key_conditions: Vec<KeyCondition>,
}

/// Status to write, and its event. The event is written first, so that a crash between both loses neither.
struct StatusUpdate {
    status: SealedSecretStatus,
    event: Option<StatusEvent>,
}

/// Event that is not a repetition.
#[derive(Debug, PartialEq, Eq)]
struct StatusEvent {
    kind: &'static str,
    reason: &'static str,
    message: String,
    /// Distinguishes the event from an equal event at another time.
    transition_time: String,
}

/// Reports the outcome of an attempt by event and status, unless both already report it. If the object has changed meanwhile, both
/// are decided again; a new generation is reported by its own attempt.
///
/// The outcome is an error if the status cannot be written for another reason than a missing permission; the attempt is then repeated.
pub(super) async fn report(
    context: &Context,
    object: &RawSealedSecret,
    known: &KnownStatus,
    outcome: Result<LastSuccess, &Failure>,
) -> StatusReport {
    let KnownStatus { stored, reported, key_conditions } = known;
    let (generation, now) = (object.metadata.generation, clock::now());
    let forgets = context.crd_prunes_status.load(Ordering::Relaxed);
    let after = |before: &_| next(before, generation, outcome.clone(), key_conditions, now);
    let failure = outcome.as_ref().err().copied();
    let update = |before: &_, reported: &_| {
        let new = after(before);
        let event = status_event(reported, &new, failure);
        changed(before, new, forgets).map(|status| StatusUpdate { status, event })
    };
    context.metrics.condition(object, synced(&after(stored)));
    let Some(first) = update(stored, reported) else { return StatusReport::UNCHANGED };
    write(context, object, first, |current| update(current, current)).await
}

/// Returns the event for a change of the reported status, if it says anything new about the attempt.
fn status_event(
    before: &SealedSecretStatus,
    after: &SealedSecretStatus,
    failure: Option<&Failure>,
) -> Option<StatusEvent> {
    if same_attempt(before, after) {
        return None;
    }
    let (kind, reason, message) = match failure {
        None => ("Normal", "Unsealed", "SealedSecret unsealed successfully".to_owned()),
        Some(failure) => ("Warning", failure.class().event, failure.event_message()),
    };
    Some(StatusEvent {
        kind,
        reason,
        message,
        transition_time: transition_time(before, after.observed_generation),
    })
}

/// Returns the last transition time of `Synced` in `before`. It is empty for the first report of a generation, so that it does
/// not depend on what a replica knows of the time before.
fn transition_time(before: &SealedSecretStatus, generation: Option<i64>) -> String {
    let of_generation = before.observed_generation == generation;
    let mut conditions =
        before.conditions.iter().filter(|condition| of_generation && condition.type_ == SYNCED);
    let since = conditions.next().and_then(|condition| condition.last_transition_time.as_ref());
    since.map(|since| since.0.to_string()).unwrap_or_default()
}

/// Writes the conditions about keys, and nothing else, unless the status has them. There is no event: one new key would cause as
/// many as there are objects.
pub(super) async fn write_key_conditions(
    context: &Context,
    object: &RawSealedSecret,
    known: &KnownStatus,
) -> StatusReport {
    let now = clock::now();
    let with_conditions = |before: &SealedSecretStatus| {
        let new = changed(before, with_key_conditions(before, &known.key_conditions, now), false)?;
        Some(StatusUpdate { status: new, event: None })
    };
    let Some(first) = with_conditions(&known.stored) else { return StatusReport::UNCHANGED };
    write(context, object, first, with_conditions).await
}

/// Returns true if [`write_key_conditions`] has anything to write.
pub(super) fn key_conditions_differ(known: &KnownStatus) -> bool {
    let after = with_key_conditions(&known.stored, &known.key_conditions, clock::now());
    changed(&known.stored, after, false).is_some()
}

/// Returns the status to write so that `before` becomes `after`, if any; `forgets` means that the last success is not stored
/// anyway.
fn changed(
    before: &SealedSecretStatus,
    after: SealedSecretStatus,
    forgets: bool,
) -> Option<SealedSecretStatus> {
    let same_conditions = same_conditions(before, &after);
    let only_memory_differs = same_conditions && forgets;
    if only_memory_differs || same_but_for_time(before, &after) {
        return None;
    }
    // An unchanged condition keeps its time, so that a write without the last success changes nothing.
    let conditions = if same_conditions { before.conditions.clone() } else { after.conditions };
    Some(SealedSecretStatus { conditions, ..after })
}

/// Returns the stored status. A status that cannot be read counts as none, and is replaced.
pub(super) fn read(object: &RawSealedSecret) -> SealedSecretStatus {
    object.status().unwrap_or_default()
}

/// Returns true if the status says that `generation` was unsealed.
pub(super) fn has_unsealed(status: &SealedSecretStatus, generation: Option<i64>) -> bool {
    status.observed_generation == generation && synced(status)
}

/// Returns true if the status says that the templates of `generation` exceeded their time limit, maybe before a restart.
pub(super) fn ran_out_of_time(status: &SealedSecretStatus, generation: Option<i64>) -> bool {
    let is_so = |condition: &SealedSecretCondition| {
        condition.type_ == SYNCED && condition.reason.as_deref() == Some(OUT_OF_TIME)
    };
    status.observed_generation == generation && status.conditions.iter().any(is_so)
}

/// Returns the last success in the status, if it is of `generation` and no later attempt has failed.
pub(super) fn last_success(status: SealedSecretStatus, generation: Option<i64>) -> Option<LastSuccess> {
    let mut conditions = status
        .conditions
        .iter()
        .filter(|condition| is_one_of(&OURS, condition) && !is_one_of(&OF_KEYS, condition));
    let holds = conditions.all(|condition| condition.status == ConditionStatus::True.as_str());
    status.last_success.filter(|_| holds && status.observed_generation == generation)
}

fn synced(status: &SealedSecretStatus) -> bool {
    let is_true = |condition: &SealedSecretCondition| condition.status == ConditionStatus::True.as_str();
    status.conditions.iter().any(|condition| condition.type_ == SYNCED && is_true(condition))
}

/// Computes the status after an attempt: message, reason and observedGeneration are those of the attempt; `Synced` stays first,
/// and conditions of others stay. Pure.
fn next(
    before: &SealedSecretStatus,
    generation: Option<i64>,
    outcome: Result<LastSuccess, &Failure>,
    key_conditions: &[KeyCondition],
    now: Timestamp,
) -> SealedSecretStatus {
    let failure = outcome.as_ref().err().copied();
    let reason = failure.map_or("Unsealed", |failure| failure.class().condition);
    let attempt_conditions =
        attempt_conditions(failure, has_unsealed(before, generation)).into_iter().map(|(type_, holds)| {
            let message = failure.map(|failure| match type_ {
                SYNCED => failure.condition_message(),
                _ => failure.condition_summary(),
            });
            condition(before, now, type_, holds, reason, message)
        });
    let others = before.conditions.iter().filter(|condition| !is_one_of(&OURS, condition));
    SealedSecretStatus {
        observed_generation: generation,
        conditions: attempt_conditions
            .chain(of_keys(before, key_conditions, now))
            .chain(others.cloned())
            .collect(),
        last_success: outcome.ok().or_else(|| before.last_success.clone()),
    }
}

/// Computes the status with these conditions about keys; everything else stays. Pure.
fn with_key_conditions(
    before: &SealedSecretStatus,
    key_conditions: &[KeyCondition],
    now: Timestamp,
) -> SealedSecretStatus {
    let (ours, others): (Vec<_>, Vec<_>) = before
        .conditions
        .iter()
        .filter(|condition| !is_one_of(&OF_KEYS, condition))
        .cloned()
        .partition(|condition| is_one_of(&OURS, condition));
    let conditions = ours.into_iter().chain(of_keys(before, key_conditions, now)).chain(others).collect();
    SealedSecretStatus { conditions, ..before.clone() }
}

fn of_keys(
    before: &SealedSecretStatus,
    key_conditions: &[KeyCondition],
    now: Timestamp,
) -> impl Iterator<Item = SealedSecretCondition> {
    key_conditions.iter().map(move |KeyCondition { type_, reason, message }| {
        condition(before, now, type_, true, reason, Some(message.clone()))
    })
}

fn condition(
    before: &SealedSecretStatus,
    now: Timestamp,
    type_: &str,
    holds: bool,
    reason: &str,
    message: Option<String>,
) -> SealedSecretCondition {
    let stored = before.conditions.iter().find(|condition| condition.type_ == type_);
    let stored = stored.map(|stored| (stored.status.as_str(), stored.last_transition_time.as_ref()));
    let (status, since) = transition(holds, stored, now);
    SealedSecretCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(since),
        reason: Some(reason.to_owned()),
        message,
    }
}

fn is_one_of(types: &[&str], condition: &SealedSecretCondition) -> bool {
    types.contains(&condition.type_.as_str())
}

/// Returns our conditions about the attempt. `Stalled` and `Reconciling` exist only while they are True, as kstatus expects.
fn attempt_conditions(failure: Option<&Failure>, unsealed_before: bool) -> Vec<(&'static str, bool)> {
    match failure {
        None => vec![(SYNCED, true), (READY, true)],
        Some(failure) if failure.class().retry == Retry::Soon => {
            vec![(SYNCED, unsealed_before), (READY, false), (RECONCILING, true)]
        }
        Some(_) => vec![(SYNCED, false), (READY, false), (STALLED, true)],
    }
}

fn same_conditions(before: &SealedSecretStatus, after: &SealedSecretStatus) -> bool {
    let without_hint =
        |status: &SealedSecretStatus| SealedSecretStatus { last_success: None, ..status.clone() };
    same_but_for_time(&without_hint(before), &without_hint(after))
}

/// Returns true if both say the same about the attempt; conditions about keys are ignored.
fn same_attempt(before: &SealedSecretStatus, after: &SealedSecretStatus) -> bool {
    let attempt = |status: &SealedSecretStatus| {
        let mut status = status.clone();
        status.conditions.retain(|condition| !is_one_of(&OF_KEYS, condition));
        status
    };
    same_conditions(&attempt(before), &attempt(after))
}

fn same_but_for_time(before: &SealedSecretStatus, after: &SealedSecretStatus) -> bool {
    let timeless = |status: &SealedSecretStatus| {
        let mut status = status.clone();
        for condition in &mut status.conditions {
            condition.last_update_time = None;
        }
        status
    };
    timeless(before) == timeless(after)
}

/// Writes the status of `first`, which was decided on the latest known status of `object`. After a conflict, `again` decides on
/// the present status. Nothing is written for another generation: that is reported by its own attempt. Only the status is sent.
/// With `--update-status=false` nothing is.
async fn write(
    context: &Context,
    object: &RawSealedSecret,
    first: StatusUpdate,
    decide: impl Fn(&SealedSecretStatus) -> Option<StatusUpdate>,
) -> StatusReport {
    let mut answered = None;
    let outcome = write_until_stored(context, object, first, decide, &mut answered).await;
    StatusReport { answered, outcome }
}

async fn write_until_stored(
    context: &Context,
    object: &RawSealedSecret,
    first: StatusUpdate,
    decide: impl Fn(&SealedSecretStatus) -> Option<StatusUpdate>,
    answered: &mut Option<Box<RawSealedSecret>>,
) -> Result<StatusWrite, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<RawSealedSecret> = Api::namespaced(context.client.clone(), &namespace);
    let mut next = first;
    for _ in 0..ATTEMPTS {
        let StatusUpdate { status, event } = next;
        write_event(context, object, event).await;
        if !context.update_status {
            return Ok(StatusWrite::Disabled(Box::new(status)));
        }
        // The API server answers with the whole object.
        let Some(_memory) = memory_for(object, 0, context).await else {
            return Err(Failure::temporary("the controller stops".to_owned()));
        };
        match put(context, &api, answered.as_deref().unwrap_or(object), status).await? {
            Put::Stored(written) => {
                *answered = Some(written);
                return Ok(StatusWrite::Written);
            }
            Put::Ended(outcome) => return Ok(outcome),
            Put::Conflict => {}
        }
        let current = match api.get(&object.name_any()).await {
            Ok(fresh) if fresh.metadata.uid == object.metadata.uid => fresh,
            Ok(_) => return Ok(StatusWrite::Gone),
            Err(kube::Error::Api(answer)) if answer.is_not_found() => return Ok(StatusWrite::Gone),
            Err(error) => return Err(Failure::api(&error)),
        };
        let is_same = current.metadata.generation == object.metadata.generation;
        let wanted = is_same.then(|| decide(&read(&current))).flatten();
        *answered = Some(Box::new(current));
        // A conflict proves the permission to write: a denied write gets a 403 instead.
        let Some(wanted) = wanted else { return Ok(StatusWrite::Written) };
        next = wanted;
    }
    Err(Failure::temporary("the status was modified concurrently at every attempt to write it".to_owned()))
}

async fn write_event(context: &Context, object: &RawSealedSecret, event: Option<StatusEvent>) {
    if let Some(StatusEvent { kind, reason, message, transition_time }) = event {
        event::write(&context.client, &object.metadata, kind, reason, &message, &transition_time).await;
    }
}

/// Answer to one PUT of a status.
enum Put {
    /// The object with its new status.
    Stored(Box<RawSealedSecret>),
    /// The object has changed since it was read (409).
    Conflict,
    Ended(StatusWrite),
}

/// Writes the status of `current`, on condition that it has not changed since it was read.
async fn put(
    context: &Context,
    api: &Api<RawSealedSecret>,
    current: &RawSealedSecret,
    new: SealedSecretStatus,
) -> Result<Put, Failure> {
    let remembers = new.last_success.is_some();
    let update = current.with_status_only(&new).map_err(|error| Failure::temporary(error.to_string()))?;
    match api.replace_status(&current.name_any(), &PostParams::default(), &update).await {
        Ok(written) => {
            if remembers {
                let forgets = read(&written).last_success.is_none();
                context.crd_prunes_status.store(forgets, Ordering::Relaxed);
            }
            Ok(Put::Stored(Box::new(written)))
        }
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(Put::Ended(StatusWrite::Gone)),
        Err(kube::Error::Api(answer)) if answer.is_forbidden() => {
            let message = answer.message.clone();
            Ok(Put::Ended(StatusWrite::Forbidden { status: Box::new(new), message }))
        }
        Err(kube::Error::Api(answer)) if answer.is_conflict() => Ok(Put::Conflict),
        Err(error) => Err(Failure::api(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(text: &str) -> Failure {
        Failure::Api { message: text.to_owned(), transient: false, denied: false, lacks_permission: false }
    }

    fn after_failure(before: &SealedSecretStatus, generation: i64, failure: &Failure) -> SealedSecretStatus {
        next(before, Some(generation), Err(failure), &[], at(9))
    }

    fn conditions(status: &SealedSecretStatus) -> Vec<(&str, &str)> {
        status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect()
    }

    #[test]
    fn a_transient_failure_keeps_synced_only_if_this_generation_was_unsealed() {
        let unsealed = next(&SealedSecretStatus::default(), Some(1), Ok(LastSuccess::default()), &[], at(1));
        assert_eq!(conditions(&unsealed), [("Synced", "True"), ("Ready", "True")]);
        let transient = Failure::temporary("down".to_owned());
        let same = after_failure(&unsealed, 1, &transient);
        assert_eq!(conditions(&same), [("Synced", "True"), ("Ready", "False"), ("Reconciling", "True")]);
        let newer = after_failure(&unsealed, 2, &transient);
        assert_eq!(conditions(&newer), [("Synced", "False"), ("Ready", "False"), ("Reconciling", "True")]);
    }

    #[test]
    fn a_permanent_failure_is_stalled_and_success_clears_it() {
        let stalled = after_failure(&SealedSecretStatus::default(), 1, &failed("no"));
        assert_eq!(conditions(&stalled), [("Synced", "False"), ("Ready", "False"), ("Stalled", "True")]);
        let unsealed = next(&stalled, Some(1), Ok(LastSuccess::default()), &[], at(10));
        assert_eq!(conditions(&unsealed), [("Synced", "True"), ("Ready", "True")]);
    }

    #[test]
    fn a_generation_whose_templates_took_too_long_is_known_by_its_status() {
        use sealed_secrets_core::template::{Class, TemplateError};
        let expired = |class| TemplateError {
            key: "url".to_owned(),
            line: 1,
            column: 1,
            function: None,
            class,
            reason: "too slow",
        };
        let failed =
            |class| after_failure(&SealedSecretStatus::default(), 3, &Failure::Unseal(expired(class).into()));
        assert!(ran_out_of_time(&failed(Class::Expired), Some(3)));
        assert!(!ran_out_of_time(&failed(Class::Expired), Some(4)), "the spec has changed since");
        assert!(!ran_out_of_time(&failed(Class::Budget), Some(3)));
        assert!(!ran_out_of_time(&SealedSecretStatus::default(), None));
    }

    #[test]
    fn the_message_is_always_of_the_last_attempt() {
        let first = next(&SealedSecretStatus::default(), Some(1), Err(&failed("one")), &[], at(1));
        let second = next(&first, Some(1), Err(&failed("two")), &[], at(2));
        assert_eq!(second.conditions[0].message.as_deref(), Some("failed update: two"));
        assert!(!same_but_for_time(&first, &second));
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let first = next(&SealedSecretStatus::default(), Some(1), Ok(LastSuccess::default()), &[], at(1));
        let second = next(&first, Some(2), Ok(LastSuccess::default()), &[], at(2));
        let third = next(&second, Some(2), Err(&failed("x")), &[], at(3));
        let transitions =
            [&first, &second, &third].map(|status| status.conditions[0].last_transition_time.clone());
        assert_eq!(transitions, [Some(Time(at(1))), Some(Time(at(1))), Some(Time(at(3)))]);
    }

    #[test]
    fn a_status_is_written_only_if_it_changes_and_last_success_counts_if_it_is_stored() {
        let success = |version: &str| {
            let last = LastSuccess { secret_resource_version: version.to_owned(), ..LastSuccess::default() };
            next(&SealedSecretStatus::default(), Some(1), Ok(last), &[], at(1))
        };
        assert_eq!(changed(&success("1"), success("1"), false), None);
        assert_eq!(changed(&success("1"), success("2"), false), Some(success("2")));
        assert_eq!(changed(&success("1"), success("2"), true), None);
        let failure = after_failure(&success("1"), 1, &failed("no"));
        assert_eq!(changed(&failure, success("1"), true), Some(success("1")));
    }

    #[test]
    fn an_equal_outcome_of_the_same_generation_is_not_written_again() {
        let first = next(&SealedSecretStatus::default(), Some(1), Ok(LastSuccess::default()), &[], at(1));
        assert!(same_but_for_time(&first, &next(&first, Some(1), Ok(LastSuccess::default()), &[], at(99))));
        assert!(!same_but_for_time(&first, &next(&first, Some(2), Ok(LastSuccess::default()), &[], at(99))));
    }

    #[test]
    fn synced_comes_first_and_conditions_of_others_stay() {
        let other = SealedSecretCondition { type_: "Other".to_owned(), ..SealedSecretCondition::default() };
        let before = SealedSecretStatus { conditions: vec![other], ..SealedSecretStatus::default() };
        let types: Vec<_> = next(&before, None, Ok(LastSuccess::default()), &[], at(1))
            .conditions
            .into_iter()
            .map(|one| one.type_)
            .collect();
        assert_eq!(types, ["Synced", "Ready", "Other"]);
    }

    fn success(before: &SealedSecretStatus, generation: i64, second: i64) -> SealedSecretStatus {
        next(before, Some(generation), Ok(LastSuccess::default()), &[], at(second))
    }

    #[test]
    fn a_status_already_written_by_another_replica_causes_no_event() {
        let (nothing, now) = (SealedSecretStatus::default(), success(&SealedSecretStatus::default(), 1, 1));
        let first = status_event(&nothing, &now, None).unwrap();
        assert_eq!((first.reason, first.transition_time.as_str()), ("Unsealed", ""));
        assert_eq!(status_event(&now, &success(&now, 1, 2), None), None);
        let broken = failed("no");
        let failure = after_failure(&now, 1, &broken);
        let event = status_event(&now, &failure, Some(&broken)).unwrap();
        assert_eq!((event.reason, event.transition_time), ("ErrUpdateFailed", at(1).to_string()));
    }

    #[test]
    fn replicas_that_know_different_pasts_name_the_first_event_of_a_generation_alike() {
        let unsealed = success(&SealedSecretStatus::default(), 1, 1);
        let failure = after_failure(&unsealed, 1, &failed("no"));
        let pasts = [SealedSecretStatus::default(), unsealed, failure];
        let events = pasts.map(|past| status_event(&past, &success(&past, 2, 20), None).unwrap());
        assert!(events.iter().all(|event| *event == events[0]), "{events:?}");
    }

    #[test]
    fn the_same_words_at_another_time_in_one_generation_are_another_event() {
        let first = after_failure(&SealedSecretStatus::default(), 1, &failed("no"));
        let unsealed = success(&first, 1, 10);
        let second = failed("no");
        let again = status_event(&unsealed, &after_failure(&unsealed, 1, &second), Some(&second)).unwrap();
        let before = status_event(&SealedSecretStatus::default(), &first, Some(&second)).unwrap();
        assert_ne!(again, before);
    }

    fn stale(message: &str) -> KeyCondition {
        KeyCondition { type_: STALE, reason: "NotOnPrimary", message: message.to_owned() }
    }

    #[test]
    fn conditions_about_keys_follow_those_of_the_attempt_and_go_when_they_no_longer_hold() {
        let other = SealedSecretCondition { type_: "Other".to_owned(), ..SealedSecretCondition::default() };
        let before = SealedSecretStatus { conditions: vec![other], ..SealedSecretStatus::default() };
        let unsealed = next(&before, Some(1), Ok(LastSuccess::default()), &[], at(1));
        let with_conditions = with_key_conditions(&unsealed, &[stale("1 of 1")], at(2));
        assert_eq!(
            conditions(&with_conditions)[..3],
            [("Synced", "True"), ("Ready", "True"), ("Stale", "True")]
        );
        assert_eq!(with_conditions.conditions[3].type_, "Other");
        assert!(same_attempt(&unsealed, &with_conditions), "no event");
        assert!(
            same_but_for_time(
                &with_key_conditions(&with_conditions, &[stale("1 of 1")], at(3)),
                &with_conditions
            ),
            "no write"
        );
        assert_eq!(with_key_conditions(&with_conditions, &[], at(3)), unsealed);
    }

    #[test]
    fn key_conditions_do_not_invalidate_a_success() {
        let mut before = SealedSecretStatus::default();
        for key_conditions in [vec![], vec![stale("1 of 1")]] {
            before = next(&before, Some(1), Ok(LastSuccess::default()), &key_conditions, at(1));
            assert_eq!(last_success(before.clone(), Some(1)), Some(LastSuccess::default()));
        }
    }
}
