//! The `SealingKeys`: each the public side of the key Secret of the same name, and where a person says what is to become of the key.
//!
//! They decide nothing: what a person says is copied to the Secret by the keystore before anything is made of it, and everything
//! here can be made again from the Secrets.

mod desired;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use sealed_secrets_crds::SealingKey;
use tokio::sync::watch;

use crate::key_list::KeyList;
use crate::keystore::{KeyView, KeysView, Wishes};
use crate::own_kinds::Followed;
use crate::usage::Usage;
use crate::writing::Pauses;
use desired::Step;

/// Keeps the `SealingKeys` as the key Secrets are.
pub(crate) struct SealingKeys {
    api: Api<SealingKey>,
    namespace: String,
    keys: watch::Receiver<Option<Arc<KeysView>>>,
    followed: watch::Receiver<Followed<SealingKey>>,
    usage: watch::Receiver<Usage>,
    wishes: watch::Sender<Wishes>,
    key_list: Arc<KeyList>,
    /// The objects as the last turn saw them, and since when they are so.
    existing: Followed<SealingKey>,
    changed: Instant,
    /// UIDs of the key Secrets that were there once.
    seen: BTreeSet<String>,
}

impl SealingKeys {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        keys: watch::Receiver<Option<Arc<KeysView>>>,
        followed: watch::Receiver<Followed<SealingKey>>,
        usage: watch::Receiver<Usage>,
        wishes: watch::Sender<Wishes>,
        key_list: Arc<KeyList>,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        let (namespace, existing, changed) = (namespace.to_owned(), Followed::Unknown, Instant::now());
        let seen = BTreeSet::new();
        Self { api, namespace, keys, followed, usage, wishes, key_list, existing, changed, seen }
    }

    /// Never ends.
    pub(crate) async fn run(mut self) {
        let mut pauses = Pauses::new("SealingKeys");
        loop {
            let written = self.turn().await;
            pauses.until_next_turn(written, &mut self.keys, &mut self.followed, &mut self.usage).await;
        }
    }

    /// One step for each key at most; what a step leads to is seen by the watch. Returns whether
    /// anything was written.
    async fn turn(&mut self) -> Result<bool, kube::Error> {
        let existing = self.followed.borrow_and_update().clone();
        if existing != self.existing {
            self.changed = Instant::now();
            self.existing = existing.clone();
        }
        // The keys are looked at after this was asked, and so are no older.
        let is_newer = self.key_list.is_shown_since(self.changed);
        let view = self.keys.borrow_and_update().clone();
        let Some((view, existing)) = view.zip(existing.present()) else {
            self.wish(BTreeMap::new());
            return Ok(false);
        };
        self.wish(wishes(&view, &existing));
        let steps = self.steps(&view, &existing);
        self.seen.extend(view.keys.iter().map(|key| key.uid.clone()));
        let mut outcome = Ok(!steps.is_empty());
        for (name, step) in steps {
            if !is_newer && takes_a_word_back(&step, existing.get(&name)) {
                self.key_list.ask();
                continue;
            }
            if let Err(error) = self.take(&name, step, existing.get(&name)).await {
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
            view.key(name).is_none() && desired::is_left_behind(object, &self.seen)
        };
        let left = existing.iter().filter(is_left).map(|(name, _)| (name.clone(), Step::Delete));
        view.keys.iter().map(of_key).filter(|(_, step)| *step != Step::Nothing).chain(left).collect()
    }

    fn wish(&self, wishes: Wishes) {
        self.wishes.send_if_modified(|before| {
            let is_new = *before != wishes;
            *before = wishes;
            is_new
        });
    }

    async fn take(&self, name: &str, step: Step, existing: Option<&SealingKey>) -> Result<(), kube::Error> {
        let parameters = PostParams::default();
        match step {
            Step::Nothing => Ok(()),
            Step::Create(object) => self.api.create(&parameters, &object).await.map(drop),
            Step::Replace(object) => self.api.replace(name, &parameters, &object).await.map(drop),
            Step::Status(object) => self.api.replace_status(name, &parameters, &object).await.map(drop),
            Step::Delete => {
                let uid = existing.and_then(ResourceExt::uid);
                let preconditions = Preconditions { uid, resource_version: None };
                let parameters = DeleteParams::default().preconditions(preconditions);
                self.api.delete(name, &parameters).await.map(drop)
            }
        }
    }
}

/// Whether the step undoes what the spec says. Another replica may have written that to the Secret since our list: then it is a
/// person's word.
fn takes_a_word_back(step: &Step, existing: Option<&SealingKey>) -> bool {
    matches!(step, Step::Replace(object) if existing.is_some_and(|existing| existing.spec != object.spec))
}

/// What people want of keys and the Secrets do not say yet.
fn wishes(view: &KeysView, existing: &BTreeMap<String, SealingKey>) -> Wishes {
    let wish = |key: &KeyView| {
        let wish = desired::unheeded_wish(key, existing.get(&key.record.name)?)?;
        Some((key.record.name.clone(), wish))
    };
    view.keys.iter().filter_map(wish).collect()
}
