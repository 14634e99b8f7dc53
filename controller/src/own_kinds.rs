//! The objects of our own kinds in the controller's namespace, where the cluster has these kinds and the controller may read
//! them; both may come and go. A right that goes takes nothing back of what was read: an API server that has just started
//! denies what it will allow a moment later, and a policy says what must not be done.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
/// At the start a right counts as missing when it has been missing for so long.
const DENIED_FOR: Duration = Duration::from_secs(3);
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is known of the objects of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Followed<K> {
    /// The API server has not answered yet.
    Unknown,
    /// It has answered that they may not be read; an API server that starts says so for a moment.
    Denied,
    /// The kind is not there, or may not be read.
    Absent,
    /// The objects by name, as they were when they could last be read.
    Present(BTreeMap<String, K>),
}

impl<K> Followed<K> {
    /// All objects, if the kind is there.
    pub(crate) fn present(self) -> Option<BTreeMap<String, K>> {
        match self {
            Self::Present(objects) => Some(objects),
            Self::Unknown | Self::Denied | Self::Absent => None,
        }
    }

    /// The object of this name, if it is known to be there.
    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        match self {
            Self::Present(objects) => objects.get(name),
            Self::Unknown | Self::Denied | Self::Absent => None,
        }
    }
}

/// Follows the objects of one kind.
pub(crate) struct Follower<K> {
    objects: Api<DynamicObject>,
    publisher: watch::Sender<Followed<K>>,
    /// Whether it was told that a kind is absent; shared by the kinds, since they come and go together.
    told: Arc<AtomicBool>,
    /// Whether the objects cannot be read at the moment.
    blind: bool,
}

impl<K> Follower<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + PartialEq,
{
    pub(crate) fn new(client: Client, namespace: &str, told: &Arc<AtomicBool>) -> Self {
        let objects = Api::namespaced_with(client, namespace, &ApiResource::erase::<K>(&()));
        Self {
            objects,
            publisher: watch::Sender::new(Followed::Unknown),
            told: Arc::clone(told),
            blind: false,
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Followed<K>> {
        self.publisher.subscribe()
    }

    /// Never ends.
    pub(crate) async fn run(mut self) {
        let mut first_denied = None;
        loop {
            let why = self.follow_until_unreadable().await;
            if client::is_forbidden(&why) && self.is_starting() {
                let since = *first_denied.get_or_insert_with(Instant::now);
                if since.elapsed() < DENIED_FOR {
                    self.publisher.send_replace(Followed::Denied);
                    tokio::time::sleep(ASKED_AGAIN_AFTER).await;
                    continue;
                }
            }
            if client::is_forbidden(&why) && self.knows_some() {
                self.keep(&why);
            } else {
                self.give_up(&why);
            }
            self.blind = true;
            tokio::time::sleep(LOOKED_FOR_EVERY).await;
        }
    }

    fn is_starting(&self) -> bool {
        matches!(*self.publisher.borrow(), Followed::Unknown | Followed::Denied)
    }

    fn knows_some(&self) -> bool {
        matches!(&*self.publisher.borrow(), Followed::Present(objects) if !objects.is_empty())
    }

    fn keep(&self, why: &watcher::Error) {
        if !self.blind {
            tracing::warn!(
                "{} can be read no more, so what they said last goes on; looked for again every 30 seconds: {}",
                K::plural(&()),
                client::watch_in_words(why)
            );
        }
    }

    fn give_up(&self, why: &watcher::Error) {
        self.publisher.send_replace(Followed::Absent);
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "no {} can be read, so flags and key Secrets alone say what becomes of keys; looked for again every 30 seconds: {}",
                K::kind(&()),
                client::watch_in_words(why)
            );
        }
    }

    /// Returns with the API server's answer when the kind is not there or may not be read.
    async fn follow_until_unreadable(&mut self) -> watcher::Error {
        let events = watcher(self.objects.clone(), client::watching());
        futures::pin_mut!(events);
        let (mut backoff, mut listed) = (WatchBackoff::needed(), BTreeMap::new());
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    backoff.reset();
                    self.note(event, &mut listed);
                }
                Some(Err(error)) if is_absent(&error) => return error,
                Some(Err(error)) => {
                    tracing::warn!("watching {}: {}", K::plural(&()), client::watch_in_words(&error));
                    tokio::time::sleep(backoff.next().unwrap_or(LOOKED_FOR_EVERY)).await;
                }
                // A watcher tries again for ever.
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }

    /// `listed` holds what a list that is underway has shown so far.
    fn note(&mut self, event: Event<DynamicObject>, listed: &mut BTreeMap<String, K>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(read(object));
            }
            Event::InitDone => {
                let all = Followed::Present(std::mem::take(listed));
                self.publisher.send_replace(all);
                if std::mem::take(&mut self.blind) {
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
