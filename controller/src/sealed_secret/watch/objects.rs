//! SealedSecrets that appear, change or go away.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};

use crate::sealed_secret::object_kind;
use crate::sealed_secret::state::{ObjectStates, key_of, reference};

/// Follows the events of a watch that fills `store`.
pub(crate) struct Follower {
    store: Store<DynamicObject>,
    states: Arc<ObjectStates>,
    /// What was stored when the list began that is being read.
    before: Vec<Arc<DynamicObject>>,
}

impl Follower {
    pub(crate) fn new(store: Store<DynamicObject>, states: Arc<ObjectStates>) -> Self {
        Self { store, states, before: Vec::new() }
    }

    /// The object that must be looked at because of this event, which the store shows already. Those of a list are put into
    /// the backlog when it is complete: only then does the store hold them.
    ///
    /// # Errors
    /// Those of the watch, which goes on by itself.
    pub(crate) fn follow(
        &mut self,
        event: Result<Event<DynamicObject>, Error>,
    ) -> Result<Option<ObjectRef<DynamicObject>>, Error> {
        match event.inspect_err(|_| self.states.context.usage.watch_failed())? {
            Event::Apply(object) => {
                let changed = self.states.sees(&object);
                return Ok(changed.then(|| ObjectRef::from_obj_with(&object, object_kind())));
            }
            Event::Delete(object) => self.states.forget(&key_of(&object)),
            Event::Init => {
                self.states.context.usage.listing();
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
                self.states.forget(&key);
            }
        }
        let objects = self.store.state();
        let changed = objects.iter().filter(|object| self.states.sees(object));
        self.states.queue.open_later(changed.map(|object| key_of(object)));
        self.states.context.usage.listed();
        // Set already is as good.
        let _ = self.states.objects_listed.set(());
    }
}
