//! The only writer of a SealedSecret's status, and of the event that goes with it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{ConditionStatus, SealedSecret, SealedSecretCondition, SealedSecretStatus};

use crate::context::Context;
use crate::error::Failure;
use crate::{clock, event};

const SYNCED: &str = "Synced";
const ATTEMPTS: usize = 5;

/// Writes what came of an attempt: condition and event, unless the object says so already.
///
/// # Errors
/// When the status cannot be written; the attempt is then repeated.
pub(super) async fn report(
    context: &Context,
    object: &DynamicObject,
    failure: Option<&Failure>,
) -> Result<(), Failure> {
    let before = read(object);
    let after = next(&before, object.metadata.generation, failure, clock::now());
    if same_but_for_time(&before, &after) {
        return Ok(());
    }
    let (kind, reason, message) = match failure {
        None => ("Normal", "Unsealed", "SealedSecret unsealed successfully".to_owned()),
        Some(failure) => ("Warning", failure.event_reason(), failure.event_message()),
    };
    event::write(&context.client, object, kind, reason, &message).await;
    if context.update_status { write(context, object, &after).await } else { Ok(()) }
}

/// The status as it is stored; one that cannot be read is written anew.
fn read(object: &DynamicObject) -> SealedSecretStatus {
    let stored = object.data.get("status").cloned();
    stored.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default()
}

/// The status after an attempt: message, reason and observedGeneration are always of this one; `Synced` stays first, and
/// conditions that are not ours stay. Pure.
fn next(
    before: &SealedSecretStatus,
    generation: Option<i64>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> SealedSecretStatus {
    let status = if failure.is_none() { ConditionStatus::True } else { ConditionStatus::False }.as_str();
    let old = before.conditions.iter().find(|condition| condition.type_ == SYNCED);
    let unflipped = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    let synced = SealedSecretCondition {
        type_: SYNCED.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(Time(now)),
        last_transition_time: unflipped.or(Some(Time(now))),
        reason: Some(failure.map_or("Unsealed", Failure::condition_reason).to_owned()),
        message: failure.map(Failure::condition_message),
    };
    let others = before.conditions.iter().filter(|condition| condition.type_ != SYNCED).cloned();
    SealedSecretStatus {
        observed_generation: generation,
        conditions: std::iter::once(synced).chain(others).collect(),
    }
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

/// PUTs the status onto the object as it is now; nothing else of the object is sent.
async fn write(
    context: &Context,
    object: &DynamicObject,
    status: &SealedSecretStatus,
) -> Result<(), Failure> {
    let kind = ApiResource::erase::<SealedSecret>(&());
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &kind);
    let status = serde_json::to_value(status).map_err(|error| Failure::Api(error.to_string()))?;
    let mut current = object.clone();
    for _ in 0..ATTEMPTS {
        if let Some(fields) = current.data.as_object_mut() {
            fields.insert("status".to_owned(), status.clone());
        }
        match api.replace_status(&current.name_any(), &PostParams::default(), &current).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
            Err(kube::Error::Api(answer)) if answer.code == 409 => {}
            Err(error) => return Err(Failure::api(&error)),
        }
        match api.get(&current.name_any()).await {
            Ok(fresh) if fresh.metadata.uid == object.metadata.uid => current = fresh,
            // Gone, or another object of that name: its own event queues it.
            Ok(_) => return Ok(()),
            Err(error) => return Err(Failure::api(&error)),
        }
    }
    Err(Failure::Api("the status changed underneath each time it was to be written".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(text: &str) -> Failure {
        Failure::Api(text.to_owned())
    }

    #[test]
    fn the_message_is_always_of_the_last_attempt() {
        let first = next(&SealedSecretStatus::default(), Some(1), Some(&failed("one")), at(1));
        let second = next(&first, Some(1), Some(&failed("two")), at(2));
        assert_eq!(second.conditions[0].message.as_deref(), Some("failed update: two"));
        assert!(!same_but_for_time(&first, &second));
    }

    #[test]
    fn the_transition_time_moves_only_when_the_status_flips() {
        let first = next(&SealedSecretStatus::default(), Some(1), None, at(1));
        let second = next(&first, Some(2), None, at(2));
        let third = next(&second, Some(2), Some(&failed("x")), at(3));
        let transitions =
            [&first, &second, &third].map(|status| status.conditions[0].last_transition_time.clone());
        assert_eq!(transitions, [Some(Time(at(1))), Some(Time(at(1))), Some(Time(at(3)))]);
    }

    #[test]
    fn an_equal_outcome_of_the_same_generation_is_not_written_again() {
        let first = next(&SealedSecretStatus::default(), Some(1), None, at(1));
        assert!(same_but_for_time(&first, &next(&first, Some(1), None, at(99))));
        assert!(!same_but_for_time(&first, &next(&first, Some(2), None, at(99))));
    }

    #[test]
    fn synced_comes_first_and_conditions_of_others_stay() {
        let other = SealedSecretCondition { type_: "Other".to_owned(), ..SealedSecretCondition::default() };
        let before = SealedSecretStatus { observed_generation: None, conditions: vec![other] };
        let types: Vec<_> =
            next(&before, None, None, at(1)).conditions.into_iter().map(|one| one.type_).collect();
        assert_eq!(types, ["Synced", "Other"]);
    }
}
