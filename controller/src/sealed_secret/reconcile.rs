//! Reconciles one SealedSecret: decrypts it, writes its Secret, reports the outcome.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use kube::runtime::controller::Action;
use sealed_secrets_core::decryption::KeyUse;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::unseal::{UnsealError, Unsealed};
use sealed_secrets_crds::{ItemsOfKey, LastSuccess, SealedSecret};

use super::background;
use super::decrypt::diagnosis::{self, Verdict};
use super::decrypt::fetch::{Fetched, Memory, fetched, is_large};
use super::decrypt::slices::{Job, Outcome, Rendering, decrypt};
use super::object::ObjectKey;
use super::object_state::success_with;
use super::queue::priority_queue::WorkKind;
use super::report::{log, report, write_status};
use super::secret::apply;
use super::secret::apply::Applied;
use super::secret::desired;
use super::secret::drift_backoff::RepairNotice;
use super::secret::record::SecretVersion;
use super::state::ObjectStates;
use crate::api::event;
use crate::error::{Failure, Retry};
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::usage::ObjectKeyUsage;

/// Addition to the message of a repair that was made before.
const CONTESTED_HINT: &str = "again and again: the controller restores it with a growing back-off, and does not report this again. Stop the other \
                               writer, or remove the fields that it writes from the SealedSecret";

/// Reconciles the Secret of `object` with its spec. Every attempt ends with a status update.
///
/// # Errors
/// The reason why the Secret is not in its desired state; [`retry`] decides on the next attempt.
pub(super) async fn reconcile(
    object: Arc<RawSealedSecret>,
    states: Arc<ObjectStates>,
) -> Result<Action, Failure> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // Before the first key ring no object can be judged; that ring queues all of them again.
    let Some(ring) = states.context.ring.borrow().clone() else {
        return Ok(Action::await_change());
    };
    // Before it has a slot, which the objects of other namespaces need.
    states.secrets_listed.wait().await;
    if !states.context.queue.admit(&ObjectKey::of(&*object)) {
        return Ok(Action::await_change());
    }
    if let Some(success) = states.unreported(&object, &ring) {
        // The watch has delivered our own write of the Secret: the report keeps its place in the queue.
        let is_queued = states.context.queue.will_report(&ObjectKey::of(&*object));
        return if is_queued { Ok(Action::await_change()) } else { report(&object, &states, success).await };
    }
    if states.recall_unchanged(&object, &ring) || states.is_left_alone(&object) {
        states.context.metrics.condition(&*object, true);
        return background::update_key_conditions(&object, &ring, &states).await;
    }
    if states.ran_out_of_time(&object) {
        states.context.metrics.condition(&*object, false);
        return background::update_key_conditions(&object, &ring, &states).await;
    }
    if let Some(rest) = states.wait_before_repair(&object) {
        return Ok(Action::requeue(rest));
    }
    let outcome = match states.decrypt_error(&object, &ring) {
        Some(error) => Err(Failure::Unseal(error.into())),
        None if !begin_slow_work(&object, &states) => return Ok(Action::await_change()),
        None => attempt(&object, &ring, &states).await,
    };
    match outcome {
        Ok(Attempted::Deferred) => Ok(Action::await_change()),
        Ok(Attempted::Succeeded(success)) => finish(&object, &states, Ok(success)).await,
        Err(Failure::Unseal(UnsealError::Decryption(error))) => {
            match diagnosis::consider(&object, &ring, &states, error).await {
                Verdict::RetryAfter(wait) => Ok(Action::requeue(wait)),
                Verdict::Report(failure) => finish(&object, &states, Err(failure)).await,
            }
        }
        Err(failure) => finish(&object, &states, Err(failure)).await,
    }
}

/// Admits `object` to slow work if it needs that, and returns true if it may be decrypted now. Slow work has a queue of its own.
fn begin_slow_work(object: &RawSealedSecret, states: &ObjectStates) -> bool {
    let begins = |work| states.context.queue.begin(&ObjectKey::of(object), work);
    if object.has_templates() {
        begins(WorkKind::Rendering)
    } else {
        !is_large(object) || begins(WorkKind::Large)
    }
}

/// Outcome of an attempt that has not failed.
enum Attempted {
    Succeeded(LastSuccess),
    /// Nothing is reported, because a later attempt follows:
    /// - the object has changed since it was read, and is queued when the watch delivers the new version;
    /// - the object needs slow work, and waits for a slot;
    /// - the controller stops, and the next start repeats the attempt.
    Deferred,
}

async fn attempt(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Result<Attempted, Failure> {
    // A panic over one object must not stop the others.
    let attempt = AssertUnwindSafe(unseal_and_apply(object, ring, states)).catch_unwind();
    let outcome = attempt.await.unwrap_or(Err(Failure::Panicked));
    states.context.metrics.attempted();
    outcome.map_err(Failure::shortened)
}

/// Records and reports the outcome of an attempt. In bulk work all Secrets are written first, and successes are reported
/// afterwards.
async fn finish(
    object: &RawSealedSecret,
    states: &ObjectStates,
    outcome: Result<LastSuccess, Failure>,
) -> Result<Action, Failure> {
    log(object, outcome.as_ref().err(), states);
    match outcome {
        Ok(success) if states.context.queue.others_come_first(&ObjectKey::of(object)) => {
            states.report_later(object, success);
            Ok(Action::await_change())
        }
        Ok(success) => report(object, states, success).await,
        Err(failure) => {
            states.record_failure(object);
            // A failing status update must not shorten the back-off.
            let _ = write_status(object, states, Err(&failure)).await.map_err(Failure::of_status)?;
            Err(failure)
        }
    }
}

/// Counts the failure of an object in the metrics and in its back-off, and decides on the retry: the wait doubles up to five minutes.
/// Permanent failures, and objects over `--max-unseal-retries`, wait for a change.
pub(super) fn retry(object: &RawSealedSecret, failure: &Failure, states: &ObjectStates) -> Action {
    let (context, key) = (&states.context, ObjectKey::of(object));
    let is_counted =
        matches!(failure, Failure::Undecryptable { .. }) && !states.count_decrypt_failure(object);
    if !is_counted && !matches!(failure, Failure::NamespaceTerminating) {
        context.metrics.failed(failure.class().metric, &key.namespace);
    }
    if let Some(wait) = diagnosis::retry_after(object, states) {
        return Action::requeue(wait);
    }
    let (wait, failures) = states.back_off(object);
    let given_up = context.max_retries.is_some_and(|most| failures > most);
    let waits = match failure.class().retry {
        Retry::Soon | Retry::Stalled => false,
        Retry::AfterChange => true,
        Retry::AfterSecretChange => states.are_secrets_watched(),
    };
    let ends = (waits || given_up) && !states.denied.is_probe(&key);
    if ends { Action::await_change() } else { Action::requeue(wait) }
}

async fn unseal_and_apply(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Result<Attempted, Failure> {
    let context = &states.context;
    let decrypted = decrypted(object, ring, states).await;
    states.context.queue.end(&ObjectKey::of(object));
    let Some(Decrypted { sealed, outcome, memory: _memory }) = decrypted? else {
        return Ok(Attempted::Deferred);
    };
    let Outcome { unsealed, object_usage, memory: _memory_of_secret } = outcome;
    let keys = items_of_keys(&object_usage);
    states.record_usage(object, object_usage);
    let unsealed: Unsealed = unsealed?;
    desired::refuse_denied_type(&unsealed.secret, &context.denied_types)?;
    desired::refuse_key_planting(&unsealed.secret, &context.namespace, &context.key_prefixes())?;
    states.context.queue.wait_to_write(&ObjectKey::of(object)).await;
    let write = states.begin_secret_write(ObjectKey::of(object));
    let before = states.before(object);
    let (is_repair, version_after_success) = (before.has_unsealed, before.version_after_success.clone());
    let applied = apply::apply(states, &sealed, unsealed, before).await?;
    let Some((done, metadata)) = applied else { return Ok(Attempted::Deferred) };
    write.complete(&metadata);
    let version = SecretVersion::of(&metadata);
    if is_repair {
        record_repair(object, states, done, version_after_success, &version).await;
    }
    Ok(Attempted::Succeeded(success_with(object, version, keys)))
}

/// Result of a decryption, and the permit for its memory.
struct Decrypted {
    /// The values of items and templates are dropped.
    sealed: SealedSecret,
    outcome: Outcome,
    memory: Memory,
}

async fn decrypted(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Result<Option<Decrypted>, Failure> {
    let context = &states.context;
    // An object that holds memory must not wait for a rendering slot.
    let rendering = if object.has_templates() && is_large(object) {
        let Some(permit) = Rendering::of(&ObjectKey::of(object).namespace, &context.work).await else {
            return Ok(None);
        };
        Some(permit)
    } else {
        None
    };
    // A malformed object counts as one item that no key decrypts.
    let noted = |failure: &Failure| {
        if matches!(failure, Failure::Malformed(_)) {
            states.record_usage(object, ObjectKeyUsage::of(Vec::new(), 1));
        }
    };
    let Some(Fetched { sealed, memory }) = fetched(object, context).await.inspect_err(noted)? else {
        return Ok(None);
    };
    let sealed = Arc::new(sealed);
    let job = Job {
        sealed: Arc::clone(&sealed),
        ring: Arc::clone(ring),
        preferred: states.keys_that_worked(object),
        v1_data: context.v1_data,
        budget: context.template_budget.clone(),
    };
    let continue_slowly = || states.context.queue.begin(&ObjectKey::of(object), WorkKind::Large);
    let outcome = decrypt(job, &context.work, rendering, continue_slowly).await?;
    let sealed = without_values(Arc::unwrap_or_clone(sealed));
    Ok(outcome.map(|outcome| Decrypted { sealed, outcome, memory }))
}

/// Drops the values of items and templates: writing the Secret needs only their names.
fn without_values(mut sealed: SealedSecret) -> SealedSecret {
    let items = sealed.spec.encrypted_data.values_mut();
    let templates = sealed.spec.template.data.iter_mut().flat_map(BTreeMap::values_mut).flatten();
    items.chain(templates).for_each(|value| drop(std::mem::take(value)));
    sealed
}

fn items_of_keys(object_usage: &ObjectKeyUsage) -> Vec<ItemsOfKey> {
    let stored = |KeyUse { fingerprint, items }: &KeyUse| ItemsOfKey {
        fingerprint: fingerprint.to_string(),
        items: *items,
    };
    object_usage.keys.iter().map(stored).collect()
}

/// Records and reports a repair: the present version was unsealed before, and the Secret was neither in its desired state nor the
/// version that we had left, so another writer has changed it.
async fn record_repair(
    object: &RawSealedSecret,
    states: &ObjectStates,
    done: Applied,
    version_after_success: Option<SecretVersion>,
    repaired: &SecretVersion,
) {
    let message = match done {
        Applied::Nothing => return,
        Applied::Created => "the Secret had been deleted and was created again".to_owned(),
        Applied::Updated { from, .. } if version_after_success == Some(from.clone()) => return,
        Applied::Updated { changed_by, .. } => format!(
            "the Secret had been changed by {} and was put back",
            changed_by.as_deref().unwrap_or("an unknown writer")
        ),
    };
    let ObjectKey { namespace, name } = ObjectKey::of(object);
    states.context.metrics.repaired(&namespace);
    let (kind, reason, message) = match states.record_repair(object, &message) {
        RepairNotice::Repair => ("Normal", "SecretRepaired", message),
        RepairNotice::Contested => ("Warning", "SecretContested", format!("{message}, {CONTESTED_HINT}")),
        RepairNotice::Nothing => return,
    };
    tracing::warn!(namespace, name, "{message}");
    let repaired_version = format!("{}/{}", repaired.uid, repaired.resource_version);
    event::write(&states.context.client, &object.metadata, kind, reason, &message, &repaired_version).await;
}
