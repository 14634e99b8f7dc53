//! What is left to do with an object whose Secret is as it should be: nobody waits for it.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Finished, Opening, Step};

use super::fetched::{Fetched, fetched};
use super::lanes::Work;
use super::reconcile::tell_later;
use super::room::{Room, key_of};
use super::status::{self, Told};
use crate::error::Failure;
use crate::fair_semaphore::Turn;
use crate::usage::Tally;

/// Private-key operations after which counting makes way: it is in nobody's way for longer than a few milliseconds.
const SLICE: usize = 8;

/// Brings up to date what is known and said of the keys that `object` needs, behind everything else.
///
/// # Errors
/// When the status cannot be written for another reason than a missing right.
pub(super) async fn attend(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    room: &Room,
) -> Result<Action, Failure> {
    room.counts_what_was(object, ring);
    let key = key_of(object);
    let is_to_be_counted = room.context.usage.wants_opening(&key);
    if !is_to_be_counted && !status::marks_differ(room, object, &room.marks(object)) {
        room.has_nothing_untold(object);
        return Ok(Action::await_change());
    }
    if room.lanes.others_come_first(&key) {
        room.lanes.look_later([key]);
        return Ok(Action::await_change());
    }
    if is_to_be_counted && !room.lanes.begin(&key, Work::Counting) {
        return Ok(Action::await_change());
    }
    if is_to_be_counted && let Some(tally) = count(object, ring, room).await {
        room.counts(object, tally);
    }
    room.lanes.end(&key);
    Ok(match status::mark(room, object, &room.marks(object)).await? {
        Told::Yes => Action::await_change(),
        Told::Forbidden => tell_later(object, room),
    })
}

/// Tries every item, and keeps nothing but which key opened it.
async fn count(object: &DynamicObject, ring: &Arc<KeyRing>, room: &Room) -> Option<Tally> {
    let preferred = room.keys_that_worked(object);
    let Fetched { sealed, memory: _memory } = fetched(object, &room.context).await.ok()??;
    let mut opening = Opening::new(&sealed, ring, room.context.v1_data, &preferred).ok()?;
    loop {
        let namespace = sealed.namespace().unwrap_or_default();
        let permit = room.context.work.decryption.acquire(&namespace, 1, Turn::Slow).await?;
        let step = tokio::task::spawn_blocking(move || opening.advance(&mut { SLICE })).await;
        drop(permit);
        match step.ok()? {
            Step::Unfinished(rest) => opening = rest,
            Step::Finished(Finished { keys, unopened, .. }) => return Some(Tally::of(keys, unopened)),
        }
    }
}
