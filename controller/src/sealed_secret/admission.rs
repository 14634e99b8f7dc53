//! Which SealedSecrets are kept in memory, of those that the watch shows: as many as there is room for.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use super::room::{Room, key_of};
use super::seen::version_of;
use super::{folded, object_kind};
use crate::object_memory::Weight;

/// Memory of an object beside its texts, in bytes: entries in maps, metadata, metrics, what was counted.
const ENTRY: usize = 3 << 10;
/// Its name and namespace are in so many maps.
const NAMES: usize = 10;
/// A status is kept once as text, and what it tells of once more each as a status and as a failure.
const STATUSES: usize = 3;

/// Weighs what a watch shows, before it is stored.
pub(super) struct Admission {
    store: Store<DynamicObject>,
    room: Arc<Room>,
    /// What this watch has taken: of the list that is being read, or of everything that is stored.
    taken: Weight,
}

impl Admission {
    pub(super) fn new(store: Store<DynamicObject>, room: Arc<Room>) -> Self {
        Self { store, room, taken: Weight::default() }
    }

    /// The event as it is to be stored; `None` where there is nothing to be stored. What does not fit any more is stored no longer.
    pub(super) fn admit(&mut self, event: Event<DynamicObject>) -> Option<Event<DynamicObject>> {
        match event {
            Event::Init => {
                self.release(self.taken);
                for perhaps_gone in self.room.refused.clear() {
                    self.room.forget(&perhaps_gone);
                }
                Some(Event::Init)
            }
            Event::InitApply(object) => self.kept(object).ok().map(Event::InitApply),
            Event::InitDone => Some(Event::InitDone),
            // Otherwise its own status, which says so, would have it looked at again.
            Event::Apply(object) if self.is_refused(&object) => None,
            Event::Apply(object) => {
                let was_stored = self.take_out(&object);
                match self.kept(object) {
                    Ok(object) => Some(Event::Apply(object)),
                    Err(object) => was_stored.then_some(Event::Delete(*object)),
                }
            }
            Event::Delete(object) => {
                self.take_out(&object);
                self.room.refused.remove(&key_of(&object));
                Some(Event::Delete(object))
            }
        }
    }

    /// The object, which counts from now on, or as much of it as there is room for.
    ///
    /// # Errors
    /// The object, where there is none.
    fn kept(&mut self, object: DynamicObject) -> Result<DynamicObject, Box<DynamicObject>> {
        let memory = &self.room.context.object_memory;
        let object =
            if memory.has_room_for_spec(weight(&object)) { object } else { folded::without_spec(object) };
        let (key, weight) = (key_of(&object), weight(&object));
        if !memory.has_room_for(weight) {
            self.room.refuse(key, version_of(&object.metadata));
            return Err(Box::new(object));
        }
        memory.take(weight);
        self.taken = Weight { all: self.taken.all + weight.all, spec: self.taken.spec + weight.spec };
        self.room.refused.remove(&key);
        Ok(object)
    }

    /// Whether this very version was refused: it waits for a new list.
    fn is_refused(&self, object: &DynamicObject) -> bool {
        self.room.refused.version(&key_of(object)) == Some(version_of(&object.metadata))
    }

    /// Stops counting what is stored of an object, and tells whether anything is.
    fn take_out(&mut self, object: &DynamicObject) -> bool {
        let stored = self.store.get(&ObjectRef::from_obj_with(object, object_kind()));
        if let Some(stored) = &stored {
            self.release(weight(stored));
        }
        stored.is_some()
    }

    fn release(&mut self, weight: Weight) {
        self.room.context.object_memory.release(weight);
        self.taken = Weight { all: self.taken.all - weight.all, spec: self.taken.spec - weight.spec };
    }
}

fn weight(object: &DynamicObject) -> Weight {
    let (namespace, name) = key_of(object);
    let (text, entry) = (folded::length(object), ENTRY + NAMES * (namespace.len() + name.len()));
    if folded::is_whole(object) {
        Weight { all: entry + text, spec: text }
    } else {
        Weight { all: entry + STATUSES * text, spec: 0 }
    }
}
