//! Objects that do not open: the keys are listed once more before that is told, and the cause is looked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use sealed_secrets_core::diagnosis::{Diagnosis, Examination, Examined};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::OpeningError;
use sealed_secrets_crds::SealedSecretStatus;

use super::cases::{Case, Turn};
use super::fetched::{Fetched, fetched};
use super::room::{Room, key_of};
use crate::error::Failure;
use crate::fair_semaphore;

/// Between two looks at whether the keys have been listed.
const LOOK_AT_LIST: Duration = Duration::from_millis(100);
/// When keys cannot be listed, what is known is told after this time.
const LONGEST_WAIT_FOR_LIST: Duration = Duration::from_secs(10);
/// Between two tries to get a turn for an examination.
const LOOK_FOR_TURN: Duration = Duration::from_secs(5);
/// Private-key operations after which an examination makes way: it is in nobody's way for longer than a few milliseconds.
const SLICE: usize = 8;

/// What is to be done about an object that does not open.
pub(super) enum Verdict {
    Tell(Failure),
    ComeBack(Duration),
}

/// Decides what to do about `object`, which this ring does not open for the reason `error`.
pub(super) async fn consider(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    room: &Room,
    error: OpeningError,
) -> Verdict {
    let case = room.cases.note(object, ring, error, Instant::now());
    if case.error.may_lack_a_key()
        && case.since.elapsed() < LONGEST_WAIT_FOR_LIST
        && !room.context.key_list.is_newer_than(case.since)
    {
        return Verdict::ComeBack(LOOK_AT_LIST);
    }
    if case.settled {
        return Verdict::Tell(told(&case));
    }
    if !case.error.may_lack_a_key() {
        // The error says all.
        return Verdict::Tell(told(&room.cases.settle(case, None)));
    }
    match room.cases.turn(&case, Instant::now()) {
        Some(turn) => {
            let diagnosis = examine(object, ring, room, &case, turn).await;
            Verdict::Tell(told(&room.cases.settle(case, diagnosis)))
        }
        // What is in the status may already name the cause.
        None if case.told || says_so(&room.unseen.status(object), object, &case) => {
            Verdict::ComeBack(later())
        }
        None => Verdict::Tell(told(&room.cases.tell_before_it_is_settled(case))),
    }
}

/// When to come back to an object whose cause is still to be looked for.
pub(super) fn come_back(object: &DynamicObject, room: &Room) -> Option<Duration> {
    room.cases.is_unsettled(&key_of(object)).then(later)
}

fn told(case: &Case) -> Failure {
    Failure::Unopened { error: case.error.clone(), diagnosis: case.diagnosis.clone() }
}

fn says_so(status: &SealedSecretStatus, object: &DynamicObject, case: &Case) -> bool {
    let message = status.conditions.first().and_then(|synced| synced.message.clone()).unwrap_or_default();
    status.observed_generation == object.metadata.generation && message.starts_with(&case.error.to_string())
}

fn later() -> Duration {
    LOOK_FOR_TURN.mul_f64(1.0 + rand::random::<f64>())
}

/// Looks for the cause in small slices, each on a thread that may block and in turn with everything else that decrypts. `None`
/// when there is nothing to look for.
async fn examine(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    room: &Room,
    case: &Case,
    turn: Turn<'_>,
) -> Option<Diagnosis> {
    let Fetched { sealed, memory: _memory } = fetched(object, &room.context).await.ok()??;
    let mut examination = Examination::new(&sealed, ring, &case.error)?;
    loop {
        let permit =
            room.context.work.decryption.acquire(&key_of(object).0, 1, fair_semaphore::Turn::Slow).await?;
        turn.spend(examination.left().min(SLICE));
        let examined = tokio::task::spawn_blocking(move || examination.advance(SLICE)).await;
        drop(permit);
        match examined.ok()? {
            Examined::Unfinished(rest) => examination = rest,
            Examined::Finished(diagnosis) => return Some(diagnosis),
        }
    }
}
