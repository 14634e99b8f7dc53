//! Memory limit of the watch: keeps as many SealedSecrets as there is memory for.

use std::sync::Arc;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use crate::sealed_secret::object::{ObjectKey, ObjectVersion};
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::watch::raw::RawSealedSecret;
use crate::work::object_memory::Weight;

/// Memory of an object beside its texts, in bytes: entries in maps, metadata, metrics, key usage.
const ENTRY: usize = 3 << 10;
/// Copies of its name and namespace, in maps and metrics.
const NAMES: usize = 10;
/// Copies of a status: as text, and its content as a pending status and as a failure.
const STATUSES: usize = 3;

/// Weighs the objects of a watch before they are stored.
pub(crate) struct Admission {
    store: Store<RawSealedSecret>,
    states: Arc<ObjectStates>,
    /// Weight of this watch: of the list that is being read, or of everything that is stored.
    taken: Weight,
}

impl Admission {
    pub(crate) fn new(store: Store<RawSealedSecret>, states: Arc<ObjectStates>) -> Self {
        Self { store, states, taken: Weight::default() }
    }

    /// Returns the event to store; `None` if there is nothing to store. An object that does not fit any more is removed from the
    /// store.
    pub(crate) fn admit(&mut self, event: Event<RawSealedSecret>) -> Option<Event<RawSealedSecret>> {
        match event {
            Event::Init => {
                // First: until everything is listed again, nobody may rely on what is known of the objects that are forgotten here.
                self.states.context.usage.listing();
                self.release(self.taken);
                for perhaps_gone in self.states.clear_all_over_limit() {
                    self.states.forget(&perhaps_gone);
                }
                Some(Event::Init)
            }
            Event::InitApply(object) => self.kept(object).ok().map(Event::InitApply),
            Event::InitDone => Some(Event::InitDone),
            // Otherwise our own status update, which reports the limit, would queue the object again.
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
                self.states.clear_over_limit(&ObjectKey::of(&object));
                Some(Event::Delete(object))
            }
        }
    }

    /// Counts the object, and returns it, without its spec if there is no memory for that.
    ///
    /// # Errors
    /// The object, if there is no memory for it.
    fn kept(&mut self, object: RawSealedSecret) -> Result<RawSealedSecret, Box<RawSealedSecret>> {
        let memory = &self.states.context.object_memory;
        let object = if memory.has_room_for_spec(weight(&object)) { object } else { object.without_spec() };
        let (key, weight) = (ObjectKey::of(&object), weight(&object));
        if !memory.has_room_for(weight) {
            self.states.refuse(key, ObjectVersion::of(&object.metadata));
            return Err(Box::new(object));
        }
        memory.take(weight);
        self.taken = Weight { all: self.taken.all + weight.all, spec: self.taken.spec + weight.spec };
        self.states.clear_over_limit(&key);
        Ok(object)
    }

    /// Returns true if this very version was refused: it waits for a new list.
    fn is_refused(&self, object: &RawSealedSecret) -> bool {
        self.states.over_limit_version(&ObjectKey::of(object)) == Some(ObjectVersion::of(&object.metadata))
    }

    /// Stops counting the stored version of an object, and returns true if there is one.
    fn take_out(&mut self, object: &RawSealedSecret) -> bool {
        let stored = self.store.get(&ObjectRef::from_obj(object));
        if let Some(stored) = &stored {
            self.release(weight(stored));
        }
        stored.is_some()
    }

    fn release(&mut self, weight: Weight) {
        self.states.context.object_memory.release(weight);
        self.taken = Weight { all: self.taken.all - weight.all, spec: self.taken.spec - weight.spec };
    }
}

fn weight(object: &RawSealedSecret) -> Weight {
    let ObjectKey { namespace, name } = ObjectKey::of(object);
    let (text, entry) = (object.length(), ENTRY + NAMES * (namespace.len() + name.len()));
    if object.has_spec() {
        Weight { all: entry + text, spec: text }
    } else {
        Weight { all: entry + STATUSES * text, spec: 0 }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store::Writer;
    use sealed_secrets_core::keyring::KeyRing;

    use super::*;
    use crate::context::Context;

    #[tokio::test]
    async fn a_new_list_is_announced_before_objects_over_the_limit_are_forgotten() {
        let states = Arc::new(ObjectStates::new(Arc::new(Context::for_tests()), true));
        let store = Writer::<RawSealedSecret>::new(()).as_reader();
        let mut admission = Admission::new(store, Arc::clone(&states));
        states.refuse(ObjectKey::new("shop", "db"), ObjectVersion::numbered(1));
        states.context.usage.listed();
        admission.admit(Event::Init);
        assert!(!states.is_any_over_limit());
        assert_eq!(states.context.usage.report(&KeyRing::default()), None, "it may need any key");
    }
}
