//! SealedSecrets that are created, changed or deleted. Priority of live edits over bulk work: [`Follower::follow`] distinguishes a
//! live edit from an object of a list, and `queue::priority_queue` admits live edits up to a limit.

use std::sync::Arc;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{Error, Event};

use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Follows the events of a watch that fills `store`.
pub(crate) struct Follower {
    store: Store<RawSealedSecret>,
    states: Arc<ObjectStates>,
    /// The stored objects at the beginning of the list that is being read.
    before: Vec<Arc<RawSealedSecret>>,
}

impl Follower {
    pub(crate) fn new(store: Store<RawSealedSecret>, states: Arc<ObjectStates>) -> Self {
        Self { store, states, before: Vec::new() }
    }

    /// Returns the object to queue because of this event, which the store includes already. Objects of a list join the bulk work
    /// when the list is complete: only then does the store include them. Those of the first list join it when Secrets are listed.
    ///
    /// # Errors
    /// Errors of the watch, which resumes automatically.
    pub(crate) fn follow(
        &mut self,
        event: Result<Event<RawSealedSecret>, Error>,
    ) -> Result<Option<ObjectRef<RawSealedSecret>>, Error> {
        match event.inspect_err(|_| self.states.context.usage.watch_failed())? {
            Event::Apply(object) => {
                let changed = self.states.observe(&object);
                return Ok(changed.then(|| ObjectRef::from_obj(&object)));
            }
            Event::Delete(object) => self.states.forget(&ObjectKey::of(&object)),
            Event::Init => self.before = self.store.state(),
            Event::InitApply(_) => {}
            Event::InitDone => self.listed(),
        }
        Ok(None)
    }

    fn listed(&mut self) {
        for gone in std::mem::take(&mut self.before) {
            let key = ObjectKey::of(&*gone);
            if self.store.get(&key.reference()).is_none() {
                self.states.forget(&key);
            }
        }
        let objects = self.store.state();
        let changed: Vec<_> = objects.iter().filter(|object| self.states.observe(object)).collect();
        // Otherwise all of them are queued when Secrets are listed.
        if self.states.secrets_listed.initialized() {
            self.states.context.queue.add_bulk(changed.into_iter().map(|object| ObjectKey::of(&**object)));
        }
        self.states.context.usage.listed();
        // An error means that it is set already.
        let _ = self.states.objects_listed.set(());
    }
}
