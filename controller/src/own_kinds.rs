//! The objects of our own kinds in the controller's namespace, where the cluster has these kinds and the controller may read
//! them; both may come and go.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::backoff::WatchBackoff;
use crate::client;

/// How soon a kind or a right that comes later is noticed.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(30);

/// What is known of the objects of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Followed<K> {
    /// The API server has not answered yet.
    Unknown,
    /// The kind is not there, or may not be read.
    Absent,
    /// The objects by name.
    Present(BTreeMap<String, K>),
}

impl<K> Followed<K> {
    /// All objects, if the kind is there.
    pub(crate) fn present(self) -> Option<BTreeMap<String, K>> {
        match self {
            Self::Present(objects) => Some(objects),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// The object of this name, if it is known to be there.
    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        match self {
            Self::Present(objects) => objects.get(name),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// Follows the objects of one kind.
pub(crate) struct Follower<K> {
    objects: Api<DynamicObject>,
    publisher: watch::Sender<Followed<K>>,
    /// Whether it was told that a kind is absent; shared by the kinds, since they come and go together.
    told: Arc<AtomicBool>,
}

impl<K> Follower<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + PartialEq,
{
    pub(crate) fn new(client: Client, namespace: &str, told: &Arc<AtomicBool>) -> Self {
        let objects = Api::namespaced_with(client, namespace, &ApiResource::erase::<K>(&()));
        Self { objects, publisher: watch::Sender::new(Followed::Unknown), told: Arc::clone(told) }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Followed<K>> {
        self.publisher.subscribe()
    }

    /// Never ends.
    pub(crate) async fn run(self) {
        loop {
            let why = self.follow_until_absent().await;
            self.publisher.send_replace(Followed::Absent);
            if !self.told.swap(true, Ordering::Relaxed) {
                let kind = K::kind(&());
                tracing::info!(
                    "no {kind} can be read, so flags and key Secrets alone say what becomes of keys; looked for again every 30 seconds: {why}"
                );
            }
            tokio::time::sleep(LOOKED_FOR_EVERY).await;
        }
    }

    /// Returns with the API server's words when the kind is not there or may not be read.
    async fn follow_until_absent(&self) -> String {
        let events = watcher(self.objects.clone(), client::watching());
        futures::pin_mut!(events);
        let (mut backoff, mut listed) = (WatchBackoff::default(), BTreeMap::new());
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    backoff.reset();
                    self.note(event, &mut listed);
                }
                Some(Err(error)) if is_absent(&error) => return error.to_string(),
                Some(Err(error)) => {
                    tracing::warn!("watching {}: {}", K::plural(&()), client::watch_in_words(&error));
                    tokio::time::sleep(backoff.next().unwrap_or(LOOKED_FOR_EVERY)).await;
                }
                None => return "the watch has ended".to_owned(),
            }
        }
    }

    /// `listed` holds what a list that is underway has shown so far.
    fn note(&self, event: Event<DynamicObject>, listed: &mut BTreeMap<String, K>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(read(object));
            }
            Event::InitDone => {
                let all = Followed::Present(std::mem::take(listed));
                let before = self.publisher.send_replace(all);
                if before == Followed::Absent {
                    self.told.store(false, Ordering::Relaxed);
                    tracing::info!("kind {} can be read from now on", K::kind(&()));
                }
            }
            Event::Apply(object) => {
                if let Some((name, object)) = read(object) {
                    self.change(|objects| drop(objects.insert(name, object)));
                }
            }
            Event::Delete(object) => self.change(|objects| drop(objects.remove(&object.name_any()))),
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, K>)) {
        self.publisher.send_modify(|followed| {
            if let Followed::Present(objects) = followed {
                change(objects);
            }
        });
    }
}

/// One that is malformed is passed over: what it said before goes on.
fn read<K: Resource<DynamicType = ()> + DeserializeOwned>(mut object: DynamicObject) -> Option<(String, K)> {
    let name = object.name_any();
    object.managed_fields_mut().clear();
    match object.try_parse() {
        Ok(object) => Some((name, object)),
        Err(error) => {
            tracing::warn!("malformed {} {name} is passed over: {error}", K::kind(&()));
            None
        }
    }
}

/// Whether the kind is not there or may not be read.
fn is_absent(error: &watcher::Error) -> bool {
    client::code_of(error).is_some_and(|code| matches!(code, 403 | 404))
}
