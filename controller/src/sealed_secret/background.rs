//! Background work on objects whose Secret is in its desired state: key usage and the conditions about keys.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use sealed_secrets_core::decryption::{Decryption, Finished, Step};
use sealed_secrets_core::keyring::KeyRing;

use super::decrypt::fetch::{Fetched, fetched};
use super::limits::BACKGROUND_SLICE;
use super::object::ObjectKey;
use super::queue::priority_queue::WorkKind;
use super::report::retry_status_later;
use super::state::ObjectStates;
use super::status::{self, StatusWrite};
use crate::error::Failure;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::usage::ObjectKeyUsage;
use crate::work::fair_semaphore::WorkClass;

/// Updates the key usage of `object` and its conditions about keys, behind everything else.
///
/// # Errors
/// When the status cannot be written for another reason than a missing permission.
pub(crate) async fn update_key_conditions(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Result<Action, Failure> {
    states.record_last_usage(object, ring);
    let key = ObjectKey::of(object);
    let is_to_be_counted = states.context.usage.needs_decryption(&key);
    let differs =
        || states.context.update_status && status::key_conditions_differ(&states.known_status(object));
    if !is_to_be_counted && !differs() {
        states.clear_denied(&key);
        return Ok(Action::await_change());
    }
    if states.context.queue.others_come_first(&key) {
        states.context.queue.add_background([key]);
        return Ok(Action::await_change());
    }
    if is_to_be_counted && !states.context.queue.begin(&key, WorkKind::Counting) {
        return Ok(Action::await_change());
    }
    if is_to_be_counted && let Some(object_usage) = count(object, ring, states).await {
        states.record_usage(object, object_usage);
    }
    states.context.queue.end(&key);
    let known = states.known_status(object);
    let report = status::write_key_conditions(&states.context, object, &known).await;
    Ok(match states.record_status(object, report)? {
        StatusWrite::Forbidden { .. } => retry_status_later(object, states),
        StatusWrite::Written | StatusWrite::Unchanged | StatusWrite::Disabled(_) | StatusWrite::Gone => {
            Action::await_change()
        }
    })
}

/// Tries every item, and keeps only the key that decrypted it.
async fn count(
    object: &RawSealedSecret,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Option<ObjectKeyUsage> {
    let preferred = states.keys_that_worked(object);
    let Fetched { sealed, memory: _memory } = fetched(object, &states.context).await.ok()??;
    let mut decryption = Decryption::new(&sealed, ring, states.context.v1_data, &preferred).ok()?;
    loop {
        let namespace = sealed.namespace().unwrap_or_default();
        let permit = states.context.work.decryption.acquire(&namespace, 1, WorkClass::Slow).await?;
        let step = tokio::task::spawn_blocking(move || decryption.advance(&mut { BACKGROUND_SLICE })).await;
        drop(permit);
        match step.ok()? {
            Step::Unfinished(rest) => decryption = rest,
            Step::Finished(Finished { keys, undecryptable, .. }) => {
                return Some(ObjectKeyUsage::of(keys, undecryptable));
            }
        }
    }
}
