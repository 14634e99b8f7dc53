//! The only writer of a SealedSecret's status, and of the event that goes with it.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{
    ConditionStatus, LastSuccess, SealedSecret, SealedSecretCondition, SealedSecretStatus,
};

use super::folded::{self, Folded};
use super::marks::{KEY_COMPROMISED, Mark, STALE};
use super::room::{Room, key_of};
use crate::error::{Failure, OUT_OF_TIME};
use crate::{clock, event};

const SYNCED: &str = "Synced";
const ATTEMPTS: usize = 5;

/// The condition types that are ours; `Synced` is upstream's, the others are what kstatus reads.
const READY: &str = "Ready";
const STALLED: &str = "Stalled";
const RECONCILING: &str = "Reconciling";
const OURS: [&str; 6] = [SYNCED, READY, STALLED, RECONCILING, STALE, KEY_COMPROMISED];
/// Of these, what is said of keys: it says nothing of the attempt.
const OF_KEYS: [&str; 2] = [STALE, KEY_COMPROMISED];

/// What has become of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Told {
    /// The object says what came of the attempt.
    Yes,
    /// The right to write the status is missing, which was said in the log.
    Forbidden,
}

/// What is to be said of an object: its status, and before that an event, so that a crash between both loses neither.
struct Statement {
    status: SealedSecretStatus,
    event: Option<Announcement>,
}

/// An event that is news.
#[derive(Debug, PartialEq, Eq)]
struct Announcement {
    kind: &'static str,
    reason: &'static str,
    message: String,
    /// Tells it from the same words at another time.
    moment: String,
}

/// Tells what came of an attempt by event and status, unless that was said already. Where the object has changed meanwhile, both
/// are decided anew; where its spec has, that comes of another attempt.
///
/// # Errors
/// When the status cannot be written for another reason than a missing right; the attempt is then repeated.
pub(super) async fn report(
    room: &Room,
    object: &DynamicObject,
    outcome: Result<LastSuccess, &Failure>,
) -> Result<Told, Failure> {
    let (context, marks) = (&room.context, room.marks(object));
    let (generation, now) = (object.metadata.generation, clock::now());
    let forgets = context.status_forgets.load(Ordering::Relaxed);
    let after = |before: &_| next(before, generation, outcome.clone(), &marks, now);
    let failure = outcome.as_ref().err().copied();
    let statement = |before: &_, said: &_| {
        let status = after(before);
        let event = announcement(said, &status, failure);
        changed(before, status, forgets).map(|status| Statement { status, event })
    };
    let before = room.unseen.status(object);
    context.metrics.condition(object, synced(&after(&before)));
    let Some(first) = statement(&before, &room.unseen.said(object)) else {
        room.has_nothing_untold(object);
        return Ok(Told::Yes);
    };
    write(room, object, first, |current| statement(current, current)).await
}

/// The event for a change from what was said `before` to `after`, if that says anything new of the attempt.
fn announcement(
    before: &SealedSecretStatus,
    after: &SealedSecretStatus,
    failure: Option<&Failure>,
) -> Option<Announcement> {
    if same_verdict(before, after) {
        return None;
    }
    let (kind, reason, message) = match failure {
        None => ("Normal", "Unsealed", "SealedSecret unsealed successfully".to_owned()),
        Some(failure) => ("Warning", failure.event_reason(), failure.event_message()),
    };
    Some(Announcement { kind, reason, message, moment: moment(before, after.observed_generation) })
}

/// Since when `Synced` had the value that it had `before`; empty for the first that is said of a generation, whatever a replica
/// knows of the time before.
fn moment(before: &SealedSecretStatus, generation: Option<i64>) -> String {
    let of_generation = before.observed_generation == generation;
    let mut conditions =
        before.conditions.iter().filter(|condition| of_generation && condition.type_ == SYNCED);
    let since = conditions.next().and_then(|condition| condition.last_transition_time.as_ref());
    since.map(|since| since.0.to_string()).unwrap_or_default()
}

/// Writes what is to be said of keys, and nothing else, unless that was said already. There is no event: one new key would
/// cause as many as there are objects.
///
/// # Errors
/// When the status cannot be written.
pub(super) async fn mark(room: &Room, object: &DynamicObject, marks: &[Mark]) -> Result<Told, Failure> {
    let now = clock::now();
    let marked = |before: &SealedSecretStatus| {
        let status = changed(before, with_marks(before, marks, now), false)?;
        Some(Statement { status, event: None })
    };
    let Some(first) = marked(&room.unseen.status(object)) else {
        room.has_nothing_untold(object);
        return Ok(Told::Yes);
    };
    write(room, object, first, marked).await
}

/// Whether [`mark`] has anything to write.
pub(super) fn marks_differ(room: &Room, object: &DynamicObject, marks: &[Mark]) -> bool {
    let before = room.unseen.status(object);
    let after = with_marks(&before, marks, clock::now());
    room.context.update_status && changed(&before, after, false).is_some()
}

/// What is to be written so that `before` says what `after` does, if anything; `forgets` says that the last success is not
/// stored anyway.
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
    // With the times of what is unchanged, a status that cannot remember is not changed by writing it.
    let conditions = if same_conditions { before.conditions.clone() } else { after.conditions };
    Some(SealedSecretStatus { conditions, ..after })
}

/// The status as it is stored; one that cannot be read is written anew.
pub(super) fn read(object: &DynamicObject) -> SealedSecretStatus {
    folded::status(object).unwrap_or_default()
}

/// Whether the generation that `object` has now has opened before.
pub(super) fn has_opened(status: &SealedSecretStatus, generation: Option<i64>) -> bool {
    status.observed_generation == generation && synced(status)
}

/// Whether the templates of `generation` took too long when they were rendered, maybe before a restart.
pub(super) fn ran_out_of_time(status: &SealedSecretStatus, generation: Option<i64>) -> bool {
    let is_so = |condition: &SealedSecretCondition| {
        condition.type_ == SYNCED && condition.reason.as_deref() == Some(OUT_OF_TIME)
    };
    status.observed_generation == generation && status.conditions.iter().any(is_so)
}

/// What the last success was made of, where it was with `generation` and nothing has failed since.
pub(super) fn last_success(status: SealedSecretStatus, generation: Option<i64>) -> Option<LastSuccess> {
    let mut verdict = status
        .conditions
        .iter()
        .filter(|condition| is_one_of(&OURS, condition) && !is_one_of(&OF_KEYS, condition));
    let holds = verdict.all(|condition| condition.status == ConditionStatus::True.as_str());
    status.last_success.filter(|_| holds && status.observed_generation == generation)
}

fn synced(status: &SealedSecretStatus) -> bool {
    let is_true = |condition: &SealedSecretCondition| condition.status == ConditionStatus::True.as_str();
    status.conditions.iter().any(|condition| condition.type_ == SYNCED && is_true(condition))
}

/// The status after an attempt: message, reason and observedGeneration are always of this one; `Synced` stays first, and
/// conditions that are not ours stay. Pure.
fn next(
    before: &SealedSecretStatus,
    generation: Option<i64>,
    outcome: Result<LastSuccess, &Failure>,
    marks: &[Mark],
    now: Timestamp,
) -> SealedSecretStatus {
    let failure = outcome.as_ref().err().copied();
    let reason = failure.map_or("Unsealed", Failure::condition_reason);
    let verdicts = verdicts(failure, has_opened(before, generation)).into_iter().map(|(type_, holds)| {
        let message = failure.map(Failure::condition_message);
        condition(before, now, type_, holds, reason, message)
    });
    let others = before.conditions.iter().filter(|condition| !is_one_of(&OURS, condition));
    SealedSecretStatus {
        observed_generation: generation,
        conditions: verdicts.chain(of_keys(before, marks, now)).chain(others.cloned()).collect(),
        last_success: outcome.ok().or_else(|| before.last_success.clone()),
    }
}

/// The status with this to say of keys; everything else stays. Pure.
fn with_marks(before: &SealedSecretStatus, marks: &[Mark], now: Timestamp) -> SealedSecretStatus {
    let (ours, others): (Vec<_>, Vec<_>) = before
        .conditions
        .iter()
        .filter(|condition| !is_one_of(&OF_KEYS, condition))
        .cloned()
        .partition(|condition| is_one_of(&OURS, condition));
    let conditions = ours.into_iter().chain(of_keys(before, marks, now)).chain(others).collect();
    SealedSecretStatus { conditions, ..before.clone() }
}

fn of_keys(
    before: &SealedSecretStatus,
    marks: &[Mark],
    now: Timestamp,
) -> impl Iterator<Item = SealedSecretCondition> {
    marks.iter().map(move |Mark { type_, reason, message }| {
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
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False }.as_str();
    let old = before.conditions.iter().find(|condition| condition.type_ == type_);
    let unflipped = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    SealedSecretCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(Time(now)),
        last_transition_time: unflipped.or(Some(Time(now))),
        reason: Some(reason.to_owned()),
        message,
    }
}

fn is_one_of(types: &[&str], condition: &SealedSecretCondition) -> bool {
    types.contains(&condition.type_.as_str())
}

/// What our conditions say. `Stalled` and `Reconciling` are there only while they hold, as kstatus expects.
fn verdicts(failure: Option<&Failure>, opened_before: bool) -> Vec<(&'static str, bool)> {
    match failure {
        None => vec![(SYNCED, true), (READY, true)],
        Some(failure) if failure.is_transient() => {
            vec![(SYNCED, opened_before), (READY, false), (RECONCILING, true)]
        }
        Some(_) => vec![(SYNCED, false), (READY, false), (STALLED, true)],
    }
}

fn same_conditions(before: &SealedSecretStatus, after: &SealedSecretStatus) -> bool {
    let without_hint =
        |status: &SealedSecretStatus| SealedSecretStatus { last_success: None, ..status.clone() };
    same_but_for_time(&without_hint(before), &without_hint(after))
}

/// Whether both say the same of the attempt, whatever they say of keys.
fn same_verdict(before: &SealedSecretStatus, after: &SealedSecretStatus) -> bool {
    let verdict = |status: &SealedSecretStatus| {
        let mut status = status.clone();
        status.conditions.retain(|condition| !is_one_of(&OF_KEYS, condition));
        status
    };
    same_conditions(&verdict(before), &verdict(after))
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

/// Writes what `first` says, decided on the latest status of `object` that is known; where the object has changed since, what
/// `again` wants of its present status, if anything. Nothing is said of another generation: what came of that is told when it was
/// tried. Nothing else of the object is sent. Without `--update-status` it is only remembered.
async fn write(
    room: &Room,
    object: &DynamicObject,
    first: Statement,
    again: impl Fn(&SealedSecretStatus) -> Option<Statement>,
) -> Result<Told, Failure> {
    let kind = ApiResource::erase::<SealedSecret>(&());
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Folded> = Api::namespaced_with(room.context.client.clone(), &namespace, &kind);
    let (mut current, mut next) = (object.clone(), first);
    for _ in 0..ATTEMPTS {
        let Statement { status, event } = next;
        announce(room, object, event).await;
        if !room.context.update_status {
            room.unseen.unwritten(object, status);
            return Ok(Told::Yes);
        }
        if let Some(told) = put(room, &api, &current, status).await? {
            return Ok(told);
        }
        current = match api.get(&object.name_any()).await {
            Ok(Folded(fresh)) if fresh.metadata.uid == object.metadata.uid => fresh,
            // Gone, or another object of that name: its own event queues it.
            Ok(_) => return Ok(Told::Yes),
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(Told::Yes),
            Err(error) => return Err(Failure::api(&error)),
        };
        room.has_written(&current);
        let is_same = current.metadata.generation == object.metadata.generation;
        let Some(wanted) = is_same.then(|| again(&read(&current))).flatten() else {
            // Who may not write is not told of conflicts.
            room.may_tell(object);
            return Ok(Told::Yes);
        };
        next = wanted;
    }
    Err(Failure::temporary("the status changed underneath each time it was to be written".to_owned()))
}

async fn announce(room: &Room, object: &DynamicObject, event: Option<Announcement>) {
    if let Some(Announcement { kind, reason, message, moment }) = event {
        event::write(&room.context.client, object, kind, reason, &message, &moment).await;
    }
}

/// Writes the status of `current`, if it is still as it was seen: `None` where it is not.
async fn put(
    room: &Room,
    api: &Api<Folded>,
    current: &DynamicObject,
    status: SealedSecretStatus,
) -> Result<Option<Told>, Failure> {
    let remembers = status.last_success.is_some();
    let value = serde_json::to_value(&status).map_err(|error| Failure::temporary(error.to_string()))?;
    let update = folded::with_status_only(current, &value);
    match api.replace_status(&current.name_any(), &PostParams::default(), &update).await {
        Ok(Folded(written)) => {
            if remembers {
                let forgets = read(&written).last_success.is_none();
                room.context.status_forgets.store(forgets, Ordering::Relaxed);
            }
            room.has_written(&written);
            room.may_tell(current);
            Ok(Some(Told::Yes))
        }
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(Some(Told::Yes)),
        Err(kube::Error::Api(answer)) if answer.code == 403 => {
            room.unseen.forbidden(current, status);
            if room.untold.add(key_of(current)) {
                tracing::warn!("the status of SealedSecrets may not be written: {}", answer.message);
            }
            Ok(Some(Told::Forbidden))
        }
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(None),
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
        Failure::Api { message: text.to_owned(), transient: false, denied: false, lacks_right: false }
    }

    fn after_failure(before: &SealedSecretStatus, generation: i64, failure: &Failure) -> SealedSecretStatus {
        next(before, Some(generation), Err(failure), &[], at(9))
    }

    fn conditions(status: &SealedSecretStatus) -> Vec<(&str, &str)> {
        status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str())).collect()
    }

    #[test]
    fn a_transient_failure_leaves_synced_only_to_what_has_opened_in_this_generation() {
        let opened = next(&SealedSecretStatus::default(), Some(1), Ok(LastSuccess::default()), &[], at(1));
        assert_eq!(conditions(&opened), [("Synced", "True"), ("Ready", "True")]);
        let transient = Failure::temporary("down".to_owned());
        let same = after_failure(&opened, 1, &transient);
        assert_eq!(conditions(&same), [("Synced", "True"), ("Ready", "False"), ("Reconciling", "True")]);
        let newer = after_failure(&opened, 2, &transient);
        assert_eq!(conditions(&newer), [("Synced", "False"), ("Ready", "False"), ("Reconciling", "True")]);
    }

    #[test]
    fn a_permanent_failure_is_stalled_and_success_clears_it() {
        let stalled = after_failure(&SealedSecretStatus::default(), 1, &failed("no"));
        assert_eq!(conditions(&stalled), [("Synced", "False"), ("Ready", "False"), ("Stalled", "True")]);
        let opened = next(&stalled, Some(1), Ok(LastSuccess::default()), &[], at(10));
        assert_eq!(conditions(&opened), [("Synced", "True"), ("Ready", "True")]);
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
    fn a_status_is_written_only_where_it_says_something_new_and_stored_memory_counts_where_there_is_one() {
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
    fn what_another_replica_has_told_meanwhile_is_no_news() {
        let (nothing, now) = (SealedSecretStatus::default(), success(&SealedSecretStatus::default(), 1, 1));
        let first = announcement(&nothing, &now, None).unwrap();
        assert_eq!((first.reason, first.moment.as_str()), ("Unsealed", ""));
        assert_eq!(announcement(&now, &success(&now, 1, 2), None), None);
        let broken = failed("no");
        let failure = after_failure(&now, 1, &broken);
        let told = announcement(&now, &failure, Some(&broken)).unwrap();
        assert_eq!((told.reason, told.moment), ("ErrUpdateFailed", at(1).to_string()));
    }

    #[test]
    fn replicas_that_know_different_pasts_name_the_first_event_of_a_generation_alike() {
        let opened = success(&SealedSecretStatus::default(), 1, 1);
        let failure = after_failure(&opened, 1, &failed("no"));
        let pasts = [SealedSecretStatus::default(), opened, failure];
        let events = pasts.map(|past| announcement(&past, &success(&past, 2, 20), None).unwrap());
        assert!(events.iter().all(|event| *event == events[0]), "{events:?}");
    }

    #[test]
    fn the_same_words_at_another_time_in_one_generation_are_another_event() {
        let first = after_failure(&SealedSecretStatus::default(), 1, &failed("no"));
        let opened = success(&first, 1, 10);
        let second = failed("no");
        let again = announcement(&opened, &after_failure(&opened, 1, &second), Some(&second)).unwrap();
        let before = announcement(&SealedSecretStatus::default(), &first, Some(&second)).unwrap();
        assert_ne!(again, before);
    }

    fn stale(message: &str) -> Mark {
        Mark { type_: STALE, reason: "NotOnPrimary", message: message.to_owned() }
    }

    #[test]
    fn what_is_said_of_keys_comes_after_the_verdict_and_goes_when_it_no_longer_holds() {
        let other = SealedSecretCondition { type_: "Other".to_owned(), ..SealedSecretCondition::default() };
        let before = SealedSecretStatus { conditions: vec![other], ..SealedSecretStatus::default() };
        let opened = next(&before, Some(1), Ok(LastSuccess::default()), &[], at(1));
        let marked = with_marks(&opened, &[stale("1 of 1")], at(2));
        assert_eq!(conditions(&marked)[..3], [("Synced", "True"), ("Ready", "True"), ("Stale", "True")]);
        assert_eq!(marked.conditions[3].type_, "Other");
        assert!(same_verdict(&opened, &marked), "no event");
        assert!(same_but_for_time(&with_marks(&marked, &[stale("1 of 1")], at(3)), &marked), "no write");
        assert_eq!(with_marks(&marked, &[], at(3)), opened);
    }

    #[test]
    fn what_is_said_of_keys_does_not_make_a_success_void() {
        let mut before = SealedSecretStatus::default();
        for marks in [vec![], vec![stale("1 of 1")]] {
            before = next(&before, Some(1), Ok(LastSuccess::default()), &marks, at(1));
            assert_eq!(last_success(before.clone(), Some(1)), Some(LastSuccess::default()));
        }
    }
}
