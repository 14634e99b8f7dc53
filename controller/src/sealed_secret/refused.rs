//! SealedSecrets that there is no memory for: of each its name is kept, and its status says so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Api;
use tokio::sync::Notify;

use super::folded::Folded;
use super::reconcile::log;
use super::room::Room;
use super::seen::version_of;
use super::versions::Key;
use super::{object_kind, status};
use crate::error::Failure;

/// Between two looks at whether there is room again.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(10);
/// After an answer that was an error.
const PAUSE: Duration = Duration::from_secs(1);

/// Objects that are not kept.
#[derive(Debug, Default)]
pub(super) struct Refused {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Which version was refused.
    versions: HashMap<Key, u64>,
    untold: VecDeque<Key>,
}

impl Refused {
    /// Notes an object that is not kept.
    pub(super) fn note(&self, key: Key, version: u64) {
        let mut state = self.lock();
        if state.versions.insert(key.clone(), version) != Some(version) {
            state.untold.push_back(key);
            self.changed.notify_one();
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        self.lock().versions.remove(key);
    }

    /// Forgets all objects, and returns them.
    pub(super) fn clear(&self) -> Vec<Key> {
        std::mem::take(&mut *self.lock()).versions.into_keys().collect()
    }

    /// Which version of this object was refused, if it is not kept.
    pub(super) fn version(&self, key: &Key) -> Option<u64> {
        self.lock().versions.get(key).copied()
    }

    fn is_empty(&self) -> bool {
        self.lock().versions.is_empty()
    }

    /// The next object that is to be told of.
    async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            if let Some(key) = self.lock().untold.pop_front() {
                return key;
            }
            changed.await;
        }
    }

    fn tell_again(&self, key: Key) {
        self.lock().untold.push_back(key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when something was refused and there is room again.
pub(super) async fn until_there_is_room(room: &Room) {
    loop {
        tokio::time::sleep(LOOK_FOR_ROOM).await;
        if !room.refused.is_empty() && room.context.object_memory.is_roomy() {
            return;
        }
    }
}

/// Tells of all objects that are refused, one after the other, for ever.
pub(super) async fn tell_all(room: &Room) {
    loop {
        let key = room.refused.next().await;
        let Some(version) = room.refused.version(&key) else { continue };
        if tell(room, &key, version).await.is_err() {
            room.refused.tell_again(key);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn tell(room: &Room, key: &Key, version: u64) -> Result<(), Failure> {
    let api: Api<Folded> = Api::namespaced_with(room.context.client.clone(), &key.0, &object_kind());
    let Folded(object) = match api.get_opt(&key.1).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(()),
        Err(error) => return Err(Failure::api(&error)),
    };
    if object.metadata.deletion_timestamp.is_some() || version_of(&object.metadata) != version {
        return Ok(());
    }
    let refusal = Failure::OverMemoryLimit;
    log(&object, Some(&refusal));
    let told = status::report(room, &object, Err(&refusal)).await;
    room.unseen.forget(key);
    if room.refused.version(key).is_none() {
        // It was admitted meanwhile, and what came of that may have been overwritten.
        room.failed(&object);
        room.lanes.open_later([key.clone()]);
    }
    told.map(drop)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn a_version_that_is_refused_is_told_once() {
        let refused = Refused::default();
        refused.note(key("db"), 1);
        refused.note(key("db"), 1);
        assert_eq!(refused.next().now_or_never(), Some(key("db")));
        assert_eq!(refused.next().now_or_never(), None);
        refused.note(key("db"), 1);
        assert_eq!(refused.next().now_or_never(), None, "its status has changed");
        refused.note(key("db"), 2);
        assert_eq!(refused.next().now_or_never(), Some(key("db")));
        refused.remove(&key("db"));
        assert!(refused.is_empty());
    }
}
