//! Objects that do not decrypt: the keys are listed once more before the failure is reported, and the cause is diagnosed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealed_secrets_core::decryption::DecryptionError;
use sealed_secrets_core::diagnosis::{Diagnosis, Examination, Examined};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_crds::SealedSecretStatus;

use super::diagnosis_limit::DiagnosisPermit;
use super::failures::DecryptFailure;
use super::fetch::{Fetched, fetched};
use crate::error::Failure;
use crate::sealed_secret::limits::BACKGROUND_SLICE;
use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::work::fair_semaphore;

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
    match states.context.diagnosis_limit.try_acquire(&ObjectKey::of(object).namespace, Instant::now()) {
        Some(permit) => {
            let diagnosis = examine(object, ring, states, &failure, permit).await;
            Verdict::Report(described(&states.record_diagnosis(object, failure, diagnosis)))
        }
        // The stored status may already contain the diagnosis.
        None if failure.is_reported || says_so(&states.status(object), object, &failure) => {
            Verdict::RetryAfter(later())
        }
        None => Verdict::Report(described(&states.record_undiagnosed_report(object, failure))),
    }
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

/// Diagnoses in small slices, each on a thread that may block and in turn with all other decryption. Returns `None` if there is
/// nothing to diagnose.
async fn examine(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
    failure: &DecryptFailure,
    diagnosis_permit: DiagnosisPermit<'_>,
) -> Option<Diagnosis> {
    let Fetched { sealed, memory: _memory } = fetched(object, &states.context).await.ok()??;
    let mut examination = Examination::new(&sealed, ring, &failure.error)?;
    loop {
        let permit = states
            .context
            .work
            .decryption
            .acquire(&ObjectKey::of(object).namespace, 1, fair_semaphore::WorkClass::Slow)
            .await?;
        diagnosis_permit.spend(examination.left().min(BACKGROUND_SLICE));
        let examined = tokio::task::spawn_blocking(move || examination.advance(BACKGROUND_SLICE)).await;
        drop(permit);
        match examined.ok()? {
            Examined::Unfinished(rest) => examination = rest,
            Examined::Finished(diagnosis) => return Some(diagnosis),
        }
    }
}
