//! The `SealingKeys`: each is the public view of the key Secret of the same name, and its spec is the desired state of
//! the key.
//!
//! They decide nothing: the keystore copies a desired state to the Secret before acting on it, and every SealingKey can
//! be recreated from the Secrets.

mod desired;
#[cfg(any(test, fuzzing))]
mod fuzzed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use sealed_secrets_crds::SealingKey;
use tokio::sync::watch;

use crate::api::optional_crd_watch::Watched;
use crate::api::writer_pacing::WriterPacing;
use crate::keystore::list::refresh::KeyRefresh;
use crate::keystore::{DesiredStates, KeyView, KeysView};
use crate::usage::Usage;
use desired::Step;
#[cfg(any(test, fuzzing))]
pub use fuzzed::rotation_policy;

/// Keeps the `SealingKeys` in sync with the key Secrets.
pub(crate) struct SealingKeys {
    api: Api<SealingKey>,
    namespace: String,
    keys: watch::Receiver<Option<Arc<KeysView>>>,
    followed: watch::Receiver<Watched<SealingKey>>,
    usage: watch::Receiver<Usage>,
    desired_states: watch::Sender<DesiredStates>,
    key_refresh: Arc<KeyRefresh>,
    /// The objects at the last turn, and the time of their last change.
    existing: Watched<SealingKey>,
    changed: Instant,
    /// UIDs of the key Secrets that have existed.
    seen: BTreeSet<String>,
}

impl SealingKeys {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        keys: watch::Receiver<Option<Arc<KeysView>>>,
        followed: watch::Receiver<Watched<SealingKey>>,
        usage: watch::Receiver<Usage>,
        desired_states: watch::Sender<DesiredStates>,
        key_refresh: Arc<KeyRefresh>,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        let (namespace, existing, changed) = (namespace.to_owned(), Watched::Unknown, Instant::now());
        let seen = BTreeSet::new();
        Self { api, namespace, keys, followed, usage, desired_states, key_refresh, existing, changed, seen }
    }

    /// Runs the loop. Never returns.
    pub(crate) async fn run(mut self) {
        let mut pacing = WriterPacing::new("SealingKeys");
        loop {
            let written = self.turn().await;
            pacing.until_next_turn(written, &mut self.keys, &mut self.followed, &mut self.usage).await;
        }
    }

    /// Takes at most one step per key; the watch delivers its result. Returns true if anything was written.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let existing = self.followed.borrow_and_update().clone();
        if existing != self.existing {
            self.changed = Instant::now();
            self.existing = existing.clone();
        }
        // The view is read after this check, and so is no older.
        let is_newer = self.key_refresh.is_view_newer_than(self.changed);
        let view = self.keys.borrow_and_update().clone();
        let Some((view, existing)) = view.zip(existing.present()) else {
            self.publish_desired_states(BTreeMap::new());
            return Ok(false);
        };
        self.publish_desired_states(desired_states(&view, &existing));
        let steps = self.steps(&view, &existing);
        self.seen.extend(view.keys.iter().map(|key| key.uid.clone()));
        let mut outcome = Ok(!steps.is_empty());
        for (name, step) in steps {
            if !is_newer && reverts_spec(&step, existing.get(&name)) {
                self.key_refresh.request();
                continue;
            }
            if let Err(error) = self.write(&name, step, existing.get(&name)).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    fn steps(&self, view: &KeysView, existing: &BTreeMap<String, SealingKey>) -> Vec<(String, Step)> {
        let usage = self.usage.borrow();
        let of_key = |key: &KeyView| {
            let found = existing.get(&key.record.name);
            let step = desired::step(view, key, found, &usage, &self.namespace);
            (key.record.name.clone(), step)
        };
        let is_left = |(name, object): &(&String, &SealingKey)| {
            view.key(name).is_none() && desired::is_orphaned(object, &self.seen)
        };
        let left = existing.iter().filter(is_left).map(|(name, _)| (name.clone(), Step::Delete));
        view.keys.iter().map(of_key).filter(|(_, step)| *step != Step::Nothing).chain(left).collect()
    }

    fn publish_desired_states(&self, desired_states: DesiredStates) {
        self.desired_states.send_if_modified(|before| {
            let is_new = *before != desired_states;
            *before = desired_states;
            is_new
        });
    }

    async fn write(&self, name: &str, step: Step, existing: Option<&SealingKey>) -> Result<(), kube::Error> {
        let parameters = PostParams::default();
        match step {
            Step::Nothing => Ok(()),
            Step::Create(object) => self.api.create(&parameters, &object).await.map(drop),
            Step::Replace(object) => self.api.replace(name, &parameters, &object).await.map(drop),
            Step::Status(object) => self.api.replace_status(name, &parameters, &object).await.map(drop),
            // Without a resourceVersion: whatever anybody has changed in it, its Secret is gone.
            Step::Delete => {
                let uid = existing.and_then(ResourceExt::uid);
                let preconditions = Preconditions { uid, resource_version: None };
                let parameters = DeleteParams::default().preconditions(preconditions);
                self.api.delete(name, &parameters).await.map(drop)
            }
        }
    }
}

/// Returns true if the step reverts the spec. If another replica has copied this spec to the Secret after our list, it
/// is a user's desired state and must be kept.
fn reverts_spec(step: &Step, existing: Option<&SealingKey>) -> bool {
    matches!(step, Step::Replace(object) if existing.is_some_and(|existing| existing.spec != object.spec))
}

/// Returns the desired states that the Secrets do not have yet.
fn desired_states(view: &KeysView, existing: &BTreeMap<String, SealingKey>) -> DesiredStates {
    let desired = |key: &KeyView| {
        let desired = desired::requested_state(key, existing.get(&key.record.name)?)?;
        Some((key.record.name.clone(), desired))
    };
    view.keys.iter().filter_map(desired).collect()
}
