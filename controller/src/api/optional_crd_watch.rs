//! Watches the objects of our own kinds in the controller's namespace, if the cluster has these kinds and the
//! controller may read them; both may change at any time. Losing the permission does not discard the objects that were read:
//! an API server that has just started denies requests that it allows a moment later, and a policy contains
//! prohibitions.

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

use super::backoff::WatchBackoff;
use super::client;

/// Interval at which an absent kind or a missing permission is checked again.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// After the start, a permission counts as missing once it has been denied for this time.
const DENIED_FOR: Duration = Duration::from_secs(3);
/// Wait before a watch that was denied after the start is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The state of the watch of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Watched<K> {
    /// The API server has not answered yet.
    Unknown,
    /// The API server has denied reading them; a starting API server does so for a moment.
    Denied,
    /// The kind is not installed, or the permission to read it is missing.
    Absent,
    /// The objects by name, in the state in which they were last read.
    Present(BTreeMap<String, K>),
}

impl<K> Watched<K> {
    /// Returns all objects, if the kind can be read.
    pub(crate) fn present(self) -> Option<BTreeMap<String, K>> {
        match self {
            Self::Present(objects) => Some(objects),
            Self::Unknown | Self::Denied | Self::Absent => None,
        }
    }

    /// Returns the object of this name, if it exists.
    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        match self {
            Self::Present(objects) => objects.get(name),
            Self::Unknown | Self::Denied | Self::Absent => None,
        }
    }
}

/// Watches the objects of one kind.
pub(crate) struct Follower<K> {
    objects: Api<DynamicObject>,
    publisher: watch::Sender<Watched<K>>,
    /// True once an absent kind was logged. Shared by the kinds, because they are installed and removed together.
    absence_logged: Arc<AtomicBool>,
    /// True while the objects cannot be read.
    blind: bool,
}

impl<K> Follower<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + PartialEq,
{
    pub(crate) fn new(client: Client, namespace: &str, absence_logged: &Arc<AtomicBool>) -> Self {
        let objects = Api::namespaced_with(client, namespace, &ApiResource::erase::<K>(&()));
        Self {
            objects,
            publisher: watch::Sender::new(Watched::Unknown),
            absence_logged: Arc::clone(absence_logged),
            blind: false,
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Watched<K>> {
        self.publisher.subscribe()
    }

    /// Runs the watch. Never returns.
    pub(crate) async fn run(mut self) {
        let mut first_denied = None;
        loop {
            let cause = self.follow_until_unreadable().await;
            if client::is_forbidden(&cause) && self.is_starting() {
                let since = *first_denied.get_or_insert_with(Instant::now);
                if since.elapsed() < DENIED_FOR {
                    self.publisher.send_replace(Watched::Denied);
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
            }
            if client::is_forbidden(&cause) && self.knows_some() {
                self.keep(&cause);
            } else {
                self.give_up(&cause);
            }
            self.blind = true;
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    fn is_starting(&self) -> bool {
        matches!(*self.publisher.borrow(), Watched::Unknown | Watched::Denied)
    }

    fn knows_some(&self) -> bool {
        matches!(&*self.publisher.borrow(), Watched::Present(objects) if !objects.is_empty())
    }

    fn keep(&self, cause: &watcher::Error) {
        if !self.blind {
            tracing::warn!(
                "{} can no longer be read, so their last state remains in force; retrying every 30 seconds: {}",
                K::plural(&()),
                client::describe_watch_error(cause)
            );
        }
    }

    fn give_up(&self, cause: &watcher::Error) {
        self.publisher.send_replace(Watched::Absent);
        if !self.absence_logged.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "no {} can be read, so only flags and key Secrets determine the rotation of keys; retrying every 30 seconds: {}",
                K::kind(&()),
                client::describe_watch_error(cause)
            );
        }
    }

    /// Watches the objects. Returns the API server's answer once the kind is not installed or may not be read.
    async fn follow_until_unreadable(&mut self) -> watcher::Error {
        let events = watcher(self.objects.clone(), client::watching());
        futures::pin_mut!(events);
        let (mut backoff, mut listed) = (WatchBackoff::required(), BTreeMap::new());
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    backoff.reset();
                    self.note(event, &mut listed);
                }
                Some(Err(error)) if is_absent(&error) => return error,
                Some(Err(error)) => {
                    tracing::warn!("watching {}: {}", K::plural(&()), client::describe_watch_error(&error));
                    tokio::time::sleep(backoff.next().unwrap_or(CHECK_INTERVAL)).await;
                }
                // A watcher retries without end.
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }

    /// Applies a watch event. `listed` holds the objects of an unfinished list.
    fn note(&mut self, event: Event<DynamicObject>, listed: &mut BTreeMap<String, K>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(read(object));
            }
            Event::InitDone => {
                let all = Watched::Present(std::mem::take(listed));
                self.publisher.send_replace(all);
                if std::mem::take(&mut self.blind) {
                    self.absence_logged.store(false, Ordering::Relaxed);
                    let kind = K::kind(&());
                    tracing::info!(%kind, "kind {kind} can be read from now on");
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
            if let Watched::Present(objects) = followed {
                change(objects);
            }
        });
    }
}

/// Parses an object. A malformed object is skipped: its last valid version stays in force.
pub(crate) fn read<K: Resource<DynamicType = ()> + DeserializeOwned>(
    mut object: DynamicObject,
) -> Option<(String, K)> {
    let name = object.name_any();
    object.managed_fields_mut().clear();
    match object.try_parse() {
        Ok(object) => Some((name, object)),
        Err(error) => {
            let kind = K::kind(&());
            tracing::warn!(%kind, name, "a malformed object is ignored: {error}");
            None
        }
    }
}

/// Returns true if the kind is not installed or may not be read.
fn is_absent(error: &watcher::Error) -> bool {
    client::code_of(error).is_some_and(|code| matches!(code, 403 | 404))
}
