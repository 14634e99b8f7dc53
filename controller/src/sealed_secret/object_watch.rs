//! SealedSecrets that appear, change or go away.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};

use super::object_kind;
use super::room::{Room, key_of, reference};

/// Follows the events of a watch that fills `store`.
pub(super) struct Follower {
    store: Store<DynamicObject>,
    room: Arc<Room>,
    /// What was stored when the list began that is being read.
    before: Vec<Arc<DynamicObject>>,
}

impl Follower {
    pub(super) fn new(store: Store<DynamicObject>, room: Arc<Room>) -> Self {
        Self { store, room, before: Vec::new() }
    }

    /// The object that must be looked at because of this event, which the store shows already. Those of a list are put into
    /// the backlog when it is complete: only then does the store hold them.
    ///
    /// # Errors
    /// Those of the watch, which goes on by itself.
    pub(super) fn follow(
        &mut self,
        event: Result<Event<DynamicObject>, Error>,
    ) -> Result<Option<ObjectRef<DynamicObject>>, Error> {
        match event.inspect_err(|_| self.room.context.usage.watch_failed())? {
            Event::Apply(object) => {
                let changed = self.room.sees(&object);
                return Ok(changed.then(|| ObjectRef::from_obj_with(&object, object_kind())));
            }
            Event::Delete(object) => self.room.forget(&key_of(&object)),
            Event::Init => {
                self.room.context.usage.listing();
                self.before = self.store.state();
            }
            Event::InitApply(_) => {}
            Event::InitDone => self.listed(),
        }
        Ok(None)
    }

    fn listed(&mut self) {
        for gone in std::mem::take(&mut self.before) {
            let key = key_of(&gone);
            if self.store.get(&reference(key.clone())).is_none() {
                self.room.forget(&key);
            }
        }
        let objects = self.store.state();
        let changed = objects.iter().filter(|object| self.room.sees(object));
        self.room.lanes.open_later(changed.map(|object| key_of(object)));
        self.room.context.usage.listed();
        self.room.objects_listed.open();
    }
}
