//! What is left to do with an object whose Secret is as it should be: nobody waits for it.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Finished, Opening, Step};

use super::decrypt::fetch::{Fetched, fetched};
use super::reconcile::retry_status_later;
use super::state::{ObjectStates, key_of};
use super::status::{self, Told};
use crate::error::Failure;
use crate::usage::ObjectKeyUsage;
use crate::work::fair_semaphore::WorkClass;

/// Private-key operations after which counting makes way: it is in nobody's way for longer than a few milliseconds.
const SLICE: usize = 8;

/// Brings up to date what is known and said of the keys that `object` needs, behind everything else.
///
/// # Errors
/// When the status cannot be written for another reason than a missing right.
pub(crate) async fn attend(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    states: &ObjectStates,
) -> Result<Action, Failure> {
    states.counts_what_was(object, ring);
    let key = key_of(object);
    let is_to_be_counted = states.context.usage.needs_decryption(&key);
    if !is_to_be_counted && !status::key_conditions_differ(states, object, &states.key_conditions(object)) {
        states.clear_denied(object);
        return Ok(Action::await_change());
    }
    if states.queue.others_come_first(&key) {
        states.queue.look_later([key]);
        return Ok(Action::await_change());
    }
    if is_to_be_counted && let Some(tally) = count(object, ring, states).await {
        states.counts(object, tally);
    }
    Ok(match status::write_key_conditions(states, object, &states.key_conditions(object)).await? {
        Told::Yes => Action::await_change(),
        Told::Forbidden => retry_status_later(object, states),
    })
}

/// Tries every item, and keeps nothing but which key opened it.
async fn count(object: &DynamicObject, ring: &Arc<KeyRing>, states: &ObjectStates) -> Option<ObjectKeyUsage> {
    let preferred = states.keys_that_worked(object);
    let _turn = states.counting.acquire().await.ok()?;
    let Fetched { sealed, memory: _memory } = fetched(object, &states.context).await.ok()??;
    let mut opening = Opening::new(&sealed, ring, states.context.v1_data, &preferred).ok()?;
    loop {
        let namespace = sealed.namespace().unwrap_or_default();
        let permit = states.context.work.decryption.acquire(&namespace, 1, WorkClass::Slow).await?;
        let step = tokio::task::spawn_blocking(move || opening.advance(&mut { SLICE })).await;
        drop(permit);
        match step.ok()? {
            Step::Unfinished(rest) => opening = rest,
            Step::Finished(Finished { keys, unopened, .. }) => {
                return Some(ObjectKeyUsage::of(keys, unopened));
            }
        }
    }
}
