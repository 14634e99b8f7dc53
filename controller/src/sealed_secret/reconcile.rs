//! The story of one SealedSecret: open it, write its Secret, tell what happened.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::KeyUse;
use sealed_secrets_core::unseal::{UnsealError, Unsealed};
use sealed_secrets_crds::{ItemsOfKey, LastSuccess, SealedSecret};

use super::apply::Done;
use super::fetched::{Fetched, fetched, is_large};
use super::lanes::Work;
use super::open::{Job, Outcome, Rendering, open};
use super::repairs::Telling;
use super::room::{Room, key_of, success_with};
use super::status::Told;
use super::unopened::{self, Verdict};
use super::versions::Version;
use super::{apply, chores, desired, folded, status};
use crate::error::Failure;
use crate::event;
use crate::fair_semaphore::Permit;
use crate::usage::Tally;

/// What is added where the same has happened before.
const AGAIN_AND_AGAIN: &str = "again and again: it is put back ever more seldom, and this is not told again. Stop whoever else writes it, or \
                               take what they write out of the SealedSecret";

/// Brings the Secret of `object` to what the object describes. Every attempt ends with its status.
///
/// # Errors
/// Why the Secret is not so; [`retry`] says when to try again.
pub(super) async fn reconcile(object: Arc<DynamicObject>, room: Arc<Room>) -> Result<Action, Failure> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // Until the key Secrets have been read nothing can be said of any object; the first ring queues them all again.
    let Some(ring) = room.context.ring.borrow().clone() else {
        return Ok(Action::await_change());
    };
    if !room.lanes.admit(&key_of(&object)) {
        return Ok(Action::await_change());
    }
    room.versions.listed.opened().await;
    if let Some(success) = room.unreported(&object, &ring) {
        // The watch has shown the Secret that we wrote: no reason to report out of turn.
        let has_a_turn = room.lanes.will_report(&key_of(&object));
        return if has_a_turn { Ok(Action::await_change()) } else { report(&object, &room, success).await };
    }
    if room.nothing_has_changed(&object, &ring) || room.is_left_alone(&object) {
        room.context.metrics.condition(&object, true);
        return chores::attend(&object, &ring, &room).await;
    }
    if room.ran_out_of_time(&object) {
        room.context.metrics.condition(&object, false);
        return chores::attend(&object, &ring, &room).await;
    }
    if let Some(rest) = room.pause_before_repair(&object) {
        return Ok(Action::requeue(rest));
    }
    let outcome = match room.cases.recall(&object, &ring) {
        Some(error) => Err(Failure::Unseal(error.into())),
        None if !has_its_turn(&object, &room) => return Ok(Action::await_change()),
        None => attempt(&object, &ring, &room).await,
    };
    match outcome {
        Ok(Attempted::Overtaken) => Ok(Action::await_change()),
        Ok(Attempted::Done(success)) => finish(&object, &room, Ok(success)).await,
        Err(Failure::Unseal(UnsealError::Opening(error))) => {
            match unopened::consider(&object, &ring, &room, error).await {
                Verdict::ComeBack(wait) => Ok(Action::requeue(wait)),
                Verdict::Tell(failure) => finish(&object, &room, Err(failure)).await,
            }
        }
        Err(failure) => finish(&object, &room, Err(failure)).await,
    }
}

/// Whether `object` may be opened now: what takes long waits in a queue of its own.
fn has_its_turn(object: &DynamicObject, room: &Room) -> bool {
    let begins = |work| room.lanes.begin(&key_of(object), work);
    if folded::has_templates(object) {
        begins(Work::Rendering)
    } else {
        !is_large(object) || begins(Work::Large)
    }
}

/// What came of an attempt that has not failed.
enum Attempted {
    Done(LastSuccess),
    /// The object is not what was opened any more, or the controller stops. What it is now is queued when the watch shows it, and
    /// nothing is told before. Or it takes long, and its turn is yet to come.
    Overtaken,
}

async fn attempt(object: &DynamicObject, ring: &Arc<KeyRing>, room: &Room) -> Result<Attempted, Failure> {
    // A defect that one object uncovers must not stop the others.
    let attempt = AssertUnwindSafe(unseal_and_apply(object, ring, room)).catch_unwind();
    let outcome = attempt.await.unwrap_or(Err(Failure::Panicked));
    room.context.metrics.attempted();
    outcome
}

/// Tells what came of the attempt, and remembers it. Of a backlog all Secrets come first: their success is told afterwards.
async fn finish(
    object: &DynamicObject,
    room: &Room,
    success: Result<LastSuccess, Failure>,
) -> Result<Action, Failure> {
    log(object, success.as_ref().err(), room);
    match success {
        Ok(success) if room.lanes.others_come_first(&key_of(object)) => {
            room.report_later(object, success);
            Ok(Action::await_change())
        }
        Ok(success) => report(object, room, success).await,
        Err(failure) => {
            room.failed(object);
            // What cannot be told is no reason to try again sooner.
            let _ = status::report(room, object, Err(&failure)).await.map_err(Failure::of_status)?;
            Err(failure)
        }
    }
}

/// Tells that `object` was opened. What is forbidden to be told is told when that is allowed again.
///
/// # Errors
/// When the status cannot be written.
pub(super) async fn report(
    object: &DynamicObject,
    room: &Room,
    success: LastSuccess,
) -> Result<Action, Failure> {
    match status::report(room, object, Ok(success.clone())).await.map_err(Failure::of_status)? {
        Told::Yes => {
            room.succeeded(object, success);
            Ok(Action::await_change())
        }
        Told::Forbidden => {
            room.put_off(object, success);
            Ok(tell_later(object, room))
        }
    }
}

/// When to tell again what was forbidden: one object of a namespace finds out when that is allowed, and the others wait for it.
pub(super) fn tell_later(object: &DynamicObject, room: &Room) -> Action {
    let key = key_of(object);
    if !room.untold.is_scout(&key) {
        return Action::await_change();
    }
    Action::requeue(room.context.backoff.failed(key, room.circumstances(object), rand::random()))
}

/// When to try an object again that has failed: sooner the first times, and never later than five minutes. What only a change
/// can mend waits for it, and so does what has failed too often since the last change.
pub(super) fn retry(object: &DynamicObject, failure: &Failure, room: &Room) -> Action {
    let (context, key) = (&room.context, key_of(object));
    let is_told_again = matches!(failure, Failure::Unopened { .. }) && !room.cases.is_news(&key);
    if !is_told_again && !matches!(failure, Failure::NamespaceTerminating) {
        context.metrics.failed(failure.metric_reason(), &key.0);
    }
    if let Some(wait) = unopened::come_back(object, room) {
        return Action::requeue(wait);
    }
    let wait = context.backoff.failed(key.clone(), room.circumstances(object), rand::random());
    let given_up = context.max_retries.is_some_and(|most| context.backoff.failures(&key) > most);
    let waits = failure.waits_for_a_change() || failure.waits_for_its_secret() && room.versions.are_watched();
    let ends = (waits || given_up) && !room.untold.is_scout(&key);
    if ends { Action::await_change() } else { Action::requeue(wait) }
}

async fn unseal_and_apply(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    room: &Room,
) -> Result<Attempted, Failure> {
    let context = &room.context;
    let opened = opened(object, ring, room).await;
    room.lanes.end(&key_of(object));
    let Some(Opened { sealed, outcome, memory: _memory }) = opened? else {
        return Ok(Attempted::Overtaken);
    };
    let Outcome { unsealed, tally } = outcome;
    let keys = items_of_keys(&tally);
    room.counts(object, tally);
    let unsealed: Unsealed = unsealed?;
    desired::refuse_denied_type(&unsealed.secret, &context.denied_types)?;
    desired::refuse_key_planting(&unsealed.secret, &context.namespace, &context.key_prefixes())?;
    room.lanes.may_write(&key_of(object)).await;
    let writing = room.versions.writing(key_of(object));
    let before = room.before(object);
    let (is_repair, left_as) = (before.has_opened, before.left_as.clone());
    let applied = apply::apply(room, &sealed, unsealed, before).await?;
    let Some((done, metadata)) = applied else { return Ok(Attempted::Overtaken) };
    writing.done(&metadata);
    let version = Version::of(&metadata);
    if is_repair {
        tell_repair(object, room, done, left_as, &version).await;
    }
    Ok(Attempted::Done(success_with(object, version, keys)))
}

/// An object that was opened, or not, and the memory that it takes.
struct Opened {
    /// Without its values.
    sealed: SealedSecret,
    outcome: Outcome,
    memory: Option<Permit>,
}

async fn opened(object: &DynamicObject, ring: &Arc<KeyRing>, room: &Room) -> Result<Option<Opened>, Failure> {
    let context = &room.context;
    // What holds memory waits for no rendering.
    let rendering = if folded::has_templates(object) && is_large(object) {
        let Some(permit) = Rendering::of(&key_of(object).0, &context.work).await else { return Ok(None) };
        Some(permit)
    } else {
        None
    };
    // What is malformed may hold anything, which no key opens.
    let noted = |failure: &Failure| {
        if matches!(failure, Failure::Malformed(_)) {
            room.counts(object, Tally::of(Vec::new(), 1));
        }
    };
    let Some(Fetched { sealed, memory }) = fetched(object, context).await.inspect_err(noted)? else {
        return Ok(None);
    };
    let sealed = Arc::new(sealed);
    let job = Job {
        sealed: Arc::clone(&sealed),
        ring: Arc::clone(ring),
        preferred: room.keys_that_worked(object),
        v1_data: context.v1_data,
        budget: context.template_budget.clone(),
    };
    let may_go_on = || room.lanes.begin(&key_of(object), Work::Large);
    let outcome = open(job, &context.work, rendering, may_go_on).await?;
    let sealed = without_values(Arc::unwrap_or_clone(sealed));
    Ok(outcome.map(|outcome| Opened { sealed, outcome, memory }))
}

/// Drops what is not needed any more when the Secret is written: only names are.
fn without_values(mut sealed: SealedSecret) -> SealedSecret {
    let items = sealed.spec.encrypted_data.values_mut();
    let templates = sealed.spec.template.data.iter_mut().flat_map(BTreeMap::values_mut).flatten();
    items.chain(templates).for_each(|value| drop(std::mem::take(value)));
    sealed
}

fn items_of_keys(tally: &Tally) -> Vec<ItemsOfKey> {
    let stored = |KeyUse { fingerprint, items }: &KeyUse| ItemsOfKey {
        fingerprint: fingerprint.to_string(),
        items: *items,
    };
    tally.keys.iter().map(stored).collect()
}

/// A Secret that had opened before and was not as it should be: somebody else has changed it, unless it is still what we
/// left.
async fn tell_repair(
    object: &DynamicObject,
    room: &Room,
    done: Done,
    left_as: Option<Version>,
    repaired: &Version,
) {
    let message = match done {
        Done::Nothing => return,
        Done::Created => "the Secret had been deleted and was created again".to_owned(),
        Done::Updated { from, .. } if left_as == Some(from.clone()) => return,
        Done::Updated { changed_by, .. } => format!(
            "the Secret had been changed by {} and was put back",
            changed_by.as_deref().unwrap_or("somebody unknown")
        ),
    };
    let (namespace, name) = key_of(object);
    room.context.metrics.repaired(&namespace);
    let telling = room.repairs.made((namespace.clone(), name.clone()), &message, Instant::now());
    let (kind, reason, message) = match telling {
        Telling::Repair => ("Normal", "SecretRepaired", message),
        Telling::Fight => ("Warning", "SecretContested", format!("{message}, {AGAIN_AND_AGAIN}")),
        Telling::Nothing => return,
    };
    tracing::warn!(namespace, name, "{message}");
    let moment = format!("{}/{}", repaired.uid, repaired.resource_version);
    event::write(&room.context.client, object, kind, reason, &message, &moment).await;
}

fn log(object: &DynamicObject, failure: Option<&Failure>, room: &Room) {
    let (namespace, name) = key_of(object);
    match failure {
        None => {
            room.rightless.forget(&namespace);
            tracing::info!(namespace, name, "SealedSecret unsealed");
        }
        // The same of every object of the namespace, whose rights may just be the first to go when it is deleted.
        Some(failure) if failure.lacks_right() => {
            if room.rightless.add(&namespace) {
                tracing::warn!("no right to do what is due in namespace {namespace}: {failure}");
            }
            tracing::debug!(namespace, name, "{}", failure.log_message());
        }
        // Every object of the namespace says so, and nobody is to do anything.
        Some(Failure::NamespaceTerminating) => {
            tracing::debug!(namespace, name, "the namespace is being deleted");
        }
        Some(failure) => tracing::error!(namespace, name, "{}", failure.log_message()),
    }
}
