//! Objects that do not open: the keys are listed once more before that is told, and the cause is looked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use sealed_secrets_core::diagnosis::{Diagnosis, Examination, Examined};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::OpeningError;
use sealed_secrets_crds::SealedSecretStatus;

use super::failures::{DecryptFailure, DiagnosisPermit};
use super::fetch::{Fetched, fetched};
use crate::error::Failure;
use crate::sealed_secret::state::{ObjectStates, key_of};
use crate::work::fair_semaphore;

/// Between two looks at whether the keys have been listed.
const LOOK_AT_LIST: Duration = Duration::from_millis(100);
/// When keys cannot be listed, what is known is told after this time.
const LONGEST_WAIT_FOR_LIST: Duration = Duration::from_secs(10);
/// Between two tries to get a turn for an examination.
const LOOK_FOR_TURN: Duration = Duration::from_secs(5);
/// Private-key operations after which an examination makes way: it is in nobody's way for longer than a few milliseconds.
const SLICE: usize = 8;

/// What is to be done about an object that does not open.
pub(crate) enum Verdict {
    Tell(Failure),
    ComeBack(Duration),
}

/// Decides what to do about `object`, which this ring does not open for the reason `error`.
pub(crate) async fn consider(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
    error: OpeningError,
) -> Verdict {
    let failure = states.decrypt_failures.note(object, ring, error, Instant::now());
    if failure.error.may_lack_a_key()
        && failure.since.elapsed() < LONGEST_WAIT_FOR_LIST
        && !states.context.key_refresh.refresh_unless_newer_than(failure.since)
    {
        return Verdict::ComeBack(LOOK_AT_LIST);
    }
    if failure.settled {
        return Verdict::Tell(told(&failure));
    }
    if !failure.error.may_lack_a_key() {
        // The error says all.
        return Verdict::Tell(told(&states.decrypt_failures.settle(failure, None)));
    }
    match states.decrypt_failures.turn(&failure, Instant::now()) {
        Some(turn) => {
            let diagnosis = examine(object, ring, states, &failure, turn).await;
            Verdict::Tell(told(&states.decrypt_failures.settle(failure, diagnosis)))
        }
        // What is in the status may already name the cause.
        None if failure.told || says_so(&states.overlay.status(object), object, &failure) => {
            Verdict::ComeBack(later())
        }
        None => Verdict::Tell(told(&states.decrypt_failures.tell_before_it_is_settled(failure))),
    }
}

/// When to come back to an object whose cause is still to be looked for.
pub(crate) fn come_back(object: &DynamicObject, states: &ObjectStates) -> Option<Duration> {
    states.decrypt_failures.is_unsettled(&key_of(object)).then(later)
}

fn told(failure: &DecryptFailure) -> Failure {
    Failure::Unopened { error: failure.error.clone(), diagnosis: failure.diagnosis.clone() }
}

fn says_so(status: &SealedSecretStatus, object: &DynamicObject, failure: &DecryptFailure) -> bool {
    let message = status.conditions.first().and_then(|synced| synced.message.clone()).unwrap_or_default();
    status.observed_generation == object.metadata.generation
        && message.starts_with(&failure.error.to_string())
}

fn later() -> Duration {
    LOOK_FOR_TURN.mul_f64(1.0 + rand::random::<f64>())
}

/// Looks for the cause in small slices, each on a thread that may block and in turn with everything else that decrypts. `None`
/// when there is nothing to look for.
async fn examine(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
    failure: &DecryptFailure,
    turn: DiagnosisPermit<'_>,
) -> Option<Diagnosis> {
    let Fetched { sealed, memory: _memory } = fetched(object, &states.context).await.ok()??;
    let mut examination = Examination::new(&sealed, ring, &failure.error)?;
    loop {
        let permit = states
            .context
            .work
            .decryption
            .acquire(&key_of(object).0, 1, fair_semaphore::WorkClass::Slow)
            .await?;
        turn.spend(examination.left().min(SLICE));
        let examined = tokio::task::spawn_blocking(move || examination.advance(SLICE)).await;
        drop(permit);
        match examined.ok()? {
            Examined::Unfinished(rest) => examination = rest,
            Examined::Finished(diagnosis) => return Some(diagnosis),
        }
    }
}
