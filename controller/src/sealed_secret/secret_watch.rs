//! Secrets that change or go away: their SealedSecrets are queued again. Metadata only, and nothing of it is kept but versions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, ResourceExt as _};

use super::room::{Room, reference};
use super::versions::{Key, Versions};
use crate::backoff::WatchBackoff;
use crate::client;

/// While the first list of Secrets fails, objects wait this long for it: without it nothing that was opened before is known to
/// be unchanged.
const LONGEST_WAIT_FOR_LIST: Duration = Duration::from_secs(10);

/// The keys of SealedSecrets in `store` whose Secret is not as it was. Where Secrets cannot be watched: none, and one line in
/// the log.
pub(super) fn changes(
    secrets: Api<PartialObjectMeta<Secret>>,
    store: Store<DynamicObject>,
    room: &Arc<Room>,
) -> impl Stream<Item = ObjectRef<DynamicObject>> + use<> {
    let versions = Arc::clone(&room.versions);
    let mut follower = Follower { store, versions, seen: HashSet::new(), failing_since: None, told: false };
    let room = Arc::clone(room);
    // The store comes first: it says which Secrets matter.
    let events = stream::once(async move { room.objects_listed.opened().await })
        .flat_map(move |()| watch(secrets.clone(), client::watching()).backoff(WatchBackoff::spare()));
    events.flat_map(move |event| stream::iter(follower.follow(event)))
}

struct Follower {
    store: Store<DynamicObject>,
    versions: Arc<Versions>,
    /// What the list that is being read has shown so far.
    seen: HashSet<Key>,
    failing_since: Option<Instant>,
    told: bool,
}

impl Follower {
    fn follow(
        &mut self,
        event: Result<Event<PartialObjectMeta<Secret>>, watcher::Error>,
    ) -> Vec<ObjectRef<DynamicObject>> {
        let changed = match event {
            Ok(Event::Init) => {
                self.seen.clear();
                Vec::new()
            }
            Ok(Event::InitApply(secret)) => {
                let changed = self.note(&secret);
                let key = key_of(&secret);
                // Nothing is kept of the Secrets of others, however many there are.
                if self.versions.get(&key).is_some() {
                    self.seen.insert(key);
                }
                // Until the first list is complete no object is decided, so none has to be looked at again.
                if self.versions.listed.is_open() { changed } else { Vec::new() }
            }
            Ok(Event::InitDone) => {
                self.versions.set_watched(true);
                self.versions.listed.open();
                let seen = std::mem::take(&mut self.seen);
                self.versions.retain(|key| seen.contains(key))
            }
            Ok(Event::Apply(secret)) => self.note(&secret),
            Ok(Event::Delete(secret)) => {
                let key = key_of(&secret);
                self.versions.gone(&key);
                vec![key]
            }
            Err(error) => {
                self.failed(&error, Instant::now());
                Vec::new()
            }
        };
        changed.into_iter().map(reference).filter(|object| self.store.get(object).is_some()).collect()
    }

    fn note(&self, secret: &PartialObjectMeta<Secret>) -> Vec<Key> {
        let key = key_of(secret);
        let matters = self.store.get(&reference(key.clone())).is_some();
        let changed = matters && self.versions.shown(key.clone(), &secret.metadata);
        if changed { vec![key] } else { Vec::new() }
    }

    fn failed(&mut self, error: &watcher::Error, now: Instant) {
        let forbidden = client::is_forbidden(error);
        let since = *self.failing_since.get_or_insert(now);
        if forbidden {
            self.versions.set_watched(false);
        }
        if forbidden || now.duration_since(since) >= LONGEST_WAIT_FOR_LIST {
            self.versions.listed.open();
        }
        if !forbidden {
            tracing::warn!("watching Secrets: {}", client::watch_in_words(error));
        } else if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                "Secrets may not be watched, so edited ones are put back only after a restart: {}",
                client::watch_in_words(error)
            );
        }
    }
}

fn key_of(secret: &PartialObjectMeta<Secret>) -> Key {
    (secret.namespace().unwrap_or_default(), secret.name_any())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::runtime::reflector::store::Writer;

    use super::super::object_kind;
    use super::*;

    fn failure(code: u16) -> watcher::Error {
        let status = Status { code, ..Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    fn follower() -> Follower {
        let store = Writer::<DynamicObject>::new(object_kind()).as_reader();
        let versions = Arc::new(Versions::new());
        Follower { store, versions, seen: HashSet::new(), failing_since: None, told: false }
    }

    #[test]
    fn one_error_does_not_make_what_is_unchanged_be_opened_again_and_many_do_not_stop_the_work() {
        let (mut follower, start) = (follower(), Instant::now());
        follower.failed(&failure(503), start);
        assert!(!follower.versions.listed.is_open());
        follower.failed(&failure(503), start + LONGEST_WAIT_FOR_LIST);
        assert!(follower.versions.listed.is_open());
    }

    #[test]
    fn nothing_is_kept_of_secrets_that_no_sealed_secret_is_named_after() {
        let (mut follower, mut foreign) = (follower(), PartialObjectMeta::<Secret>::default());
        foreign.metadata.name = Some("foreign".to_owned());
        foreign.metadata.namespace = Some("shop".to_owned());
        follower.follow(Ok(Event::Init));
        follower.follow(Ok(Event::InitApply(foreign.clone())));
        follower.follow(Ok(Event::Apply(foreign.clone())));
        assert!(follower.seen.is_empty() && follower.versions.get(&key_of(&foreign)).is_none());
    }

    #[test]
    fn where_secrets_may_not_be_watched_nothing_waits_for_them() {
        let mut follower = follower();
        follower.versions.set_watched(true);
        follower.failed(&failure(403), Instant::now());
        assert!(follower.versions.listed.is_open() && !follower.versions.are_watched());
    }
}
