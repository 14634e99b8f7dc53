//! Objects that do not decrypt: the keys are listed once more before the failure is reported, and the cause is diagnosed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealed_secrets_core::decryption::DecryptionError;
use sealed_secrets_core::diagnosis::{Diagnosis, Examination, Examined};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::SealedSecretStatus;

use super::failures::DecryptFailure;
use super::fetch::{Fetched, fetched};
use crate::error::Failure;
use crate::sealed_secret::limits::BACKGROUND_SLICE;
use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::queue::priority_queue::WorkKind;
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::work::fair_semaphore::WorkClass;

/// Interval of the checks whether the keys have been listed.
const CHECK_LIST_AFTER: Duration = Duration::from_millis(100);
/// Longest wait for a list of keys; then the failure is reported as it is known.
const MAX_WAIT_FOR_LIST: Duration = Duration::from_secs(10);
/// Shortest wait for the next attempt to get a diagnosis permit.
const RETRY_DIAGNOSIS_AFTER: Duration = Duration::from_secs(5);

/// Next step with an object that does not decrypt.
pub(crate) enum Verdict {
    Report(Failure),
    RetryAfter(Duration),
}

/// Decides on the next step with `object`, which does not decrypt with this ring because of `error`.
pub(crate) async fn consider(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
    error: DecryptionError,
) -> Verdict {
    let failure = states.record_decrypt_failure(object, ring, error);
    if failure.error.may_lack_a_key()
        && failure.since.elapsed() < MAX_WAIT_FOR_LIST
        && !states.context.key_refresh.refresh_unless_newer_than(failure.since)
    {
        return Verdict::RetryAfter(CHECK_LIST_AFTER);
    }
    if failure.is_diagnosed {
        return Verdict::Report(described(&failure));
    }
    if !failure.error.may_lack_a_key() {
        // The error needs no diagnosis.
        return Verdict::Report(described(&states.record_diagnosis(object, failure, None)));
    }
    let key = ObjectKey::of(object);
    let is_admitted = states.context.diagnosis_limit.admits(&key.namespace, Instant::now());
    // Without a slot the object is queued for one.
    if is_admitted && states.context.queue.begin(&key, WorkKind::Diagnosis) {
        let examined = examine(object, ring, states, &failure).await;
        states.context.queue.end(&key);
        if let Ok(diagnosis) = examined {
            return Verdict::Report(described(&states.record_diagnosis(object, failure, diagnosis)));
        }
    }
    let has_turn_soon = is_admitted && failure.since.elapsed() < RETRY_DIAGNOSIS_AFTER;
    // The stored status may already contain the diagnosis.
    if has_turn_soon || failure.is_reported || says_so(&states.status(object), object, &failure) {
        return Verdict::RetryAfter(later());
    }
    Verdict::Report(described(&states.record_undiagnosed_report(object, failure)))
}

/// Returns the wait before the next attempt at an object whose diagnosis is still due.
pub(crate) fn retry_after(object: &RawSealedSecret, states: &ObjectStates) -> Option<Duration> {
    states.is_undiagnosed(object).then(later)
}

fn described(failure: &DecryptFailure) -> Failure {
    Failure::Undecryptable { error: failure.error.clone(), diagnosis: failure.diagnosis.clone() }
}

fn says_so(status: &SealedSecretStatus, object: &RawSealedSecret, failure: &DecryptFailure) -> bool {
    let message = status.conditions.first().and_then(|synced| synced.message.clone()).unwrap_or_default();
    status.observed_generation == object.metadata.generation
        && message.starts_with(&failure.error.to_string())
}

fn later() -> Duration {
    RETRY_DIAGNOSIS_AFTER.mul_f64(1.0 + rand::random::<f64>())
}

/// A diagnosis was not completed: the object could not be read, or the controller stops.
struct Incomplete;

/// Diagnoses in small slices, each on a thread that may block and in turn with all other decryption. Returns `None` if there is
/// nothing to diagnose.
async fn examine(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
    failure: &DecryptFailure,
) -> Result<Option<Diagnosis>, Incomplete> {
    let (context, namespace) = (&states.context, ObjectKey::of(object).namespace);
    let fetched = fetched(object, context).await.ok().flatten();
    let Fetched { sealed, memory: _memory } = fetched.ok_or(Incomplete)?;
    let Some(mut examination) = Examination::new(&sealed, ring, &failure.error) else { return Ok(None) };
    loop {
        let permit = context.work.decryption.acquire(&namespace, 1, WorkClass::Slow).await;
        let permit = permit.ok_or(Incomplete)?;
        let operations = examination.left().min(BACKGROUND_SLICE);
        context.diagnosis_limit.spend(&namespace, operations, Instant::now());
        let examined = tokio::task::spawn_blocking(move || examination.advance(BACKGROUND_SLICE)).await;
        drop(permit);
        match examined {
            Ok(Examined::Unfinished(rest)) => examination = rest,
            Ok(Examined::Finished(diagnosis)) => return Ok(Some(diagnosis)),
            // It would panic again.
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use sealed_secrets_core::decryption::{V1Data, decrypt_all};
    use sealed_secrets_core::label::Label;
    use sealed_secrets_core::seal::seal_value;
    use sealed_secrets_crds::Scope;
    use serde_json::json;

    use super::*;
    use crate::context::Context;
    use crate::fuzzed::KEY;
    use crate::keystore::fixtures::ring_key;
    use crate::sealed_secret::watch::raw::raw_object;

    /// A ring of one key, whose last list is newer than any failure.
    fn states() -> (ObjectStates, Arc<KeyRing>) {
        let context = Context::for_tests();
        context.key_refresh.published(Instant::now() + Duration::from_hours(1));
        (ObjectStates::new(Arc::new(context), true), Arc::new(KeyRing::new(vec![ring_key(KEY, None)])))
    }

    /// An object whose item was sealed under another name.
    fn object(name: &str, ring: &KeyRing) -> RawSealedSecret {
        let key = ring.iter().next().unwrap().key_pair().public_key();
        let label = Label::new(Scope::Strict, "shop", "elsewhere");
        let item = seal_value(&mut rand::rng(), key, &label, b"x").unwrap();
        raw_object(&json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": name, "namespace": "shop", "generation": 1},
            "spec": {"encryptedData": {"password": item}}
        }))
    }

    async fn verdict(object: &RawSealedSecret, states: &ObjectStates, ring: &Arc<KeyRing>) -> Verdict {
        let sealed = object.decode().unwrap();
        let error = decrypt_all(&sealed, ring, V1Data::Accepted).err().unwrap();
        consider(object, ring, states, error).await
    }

    fn reported(verdict: Verdict) -> Option<String> {
        match verdict {
            Verdict::Report(failure) => Some(failure.condition_message()),
            Verdict::RetryAfter(_) => None,
        }
    }

    #[tokio::test]
    async fn a_failure_is_first_reported_with_its_cause() {
        let (states, ring) = states();
        let object = object("db", &ring);
        let message = reported(verdict(&object, &states, &ring).await).unwrap();
        assert!(message.contains("in any scope"), "{message}");
    }

    #[tokio::test]
    async fn a_diagnosis_that_is_interrupted_is_no_result() {
        let (states, ring) = states();
        let object = object("db", &ring);
        states.context.work.close();
        assert_eq!(reported(verdict(&object, &states, &ring).await), None);
        assert!(states.is_undiagnosed(&object));
    }

    #[tokio::test]
    async fn an_object_waits_for_the_diagnosis_of_another_one_of_its_namespace_and_has_the_next_turn() {
        let (states, ring) = states();
        let queue = &states.context.queue;
        let (first, second) = (ObjectKey::new("shop", "first"), object("second", &ring));
        assert!(queue.begin(&first, WorkKind::Diagnosis));
        assert_eq!(reported(verdict(&second, &states, &ring).await), None);
        queue.done(&ObjectKey::of(&second));
        queue.done(&first);
        let next = Arc::clone(queue).next_objects().boxed().next().now_or_never().flatten();
        assert_eq!(next, Some(ObjectKey::of(&second)));
        assert!(reported(verdict(&second, &states, &ring).await).is_some());
    }
}
