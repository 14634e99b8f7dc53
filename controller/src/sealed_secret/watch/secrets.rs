//! Drift detection, the trigger of drift repair: a Secret that is changed or deleted queues its SealedSecret; `secret::apply`
//! repairs it, after the wait of `secret::drift_backoff`. Metadata only, of which only versions are kept.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _, stream};
use kube::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};

use crate::api::backoff::WatchBackoff;
use crate::api::client;
use crate::sealed_secret::object::ObjectKey;
use crate::sealed_secret::secret::sent::SentMetadata;
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Longest wait of objects for the first list of Secrets while it fails: without it no object is known to be unchanged.
const MAX_WAIT_FOR_LIST: Duration = Duration::from_secs(10);

/// Yields the SealedSecrets in `store` whose Secret has changed. If Secrets may not be watched, it yields none, and logs that
/// once.
pub(crate) fn changes(
    secrets: Api<SentMetadata>,
    store: Store<RawSealedSecret>,
    states: &Arc<ObjectStates>,
) -> impl Stream<Item = ObjectRef<RawSealedSecret>> + use<> {
    let mut follower = Follower::new(store, Arc::clone(states));
    let states = Arc::clone(states);
    // The store is filled first: it decides which Secrets are kept.
    let events = stream::once(async move {
        states.objects_listed.wait().await;
    })
    .flat_map(move |()| watch(secrets.clone(), client::watching()).backoff(WatchBackoff::optional()));
    events.flat_map(move |event| stream::iter(follower.follow(event)))
}

struct Follower {
    store: Store<RawSealedSecret>,
    states: Arc<ObjectStates>,
    /// Secrets in the list that is being read.
    seen: HashSet<ObjectKey>,
    failing_since: Option<Instant>,
    is_forbidden_logged: bool,
}

impl Follower {
    fn new(store: Store<RawSealedSecret>, states: Arc<ObjectStates>) -> Self {
        Self { store, states, seen: HashSet::new(), failing_since: None, is_forbidden_logged: false }
    }

    fn follow(
        &mut self,
        event: Result<Event<SentMetadata>, watcher::Error>,
    ) -> Vec<ObjectRef<RawSealedSecret>> {
        let changed = match event {
            Ok(Event::Init) => {
                self.seen.clear();
                Vec::new()
            }
            Ok(Event::InitApply(secret)) => {
                let changed = self.note(&secret);
                let key = ObjectKey::of(&secret);
                // Nothing is kept of the Secrets of others, however many there are.
                if self.states.has_secret(&key) {
                    self.seen.insert(key);
                }
                // Before the first list is complete no object is reconciled, so none has to be queued again.
                if self.states.secrets_listed.initialized() { changed } else { Vec::new() }
            }
            Ok(Event::InitDone) => {
                self.states.set_secrets_watched(true);
                // An error means that it is set already.
                let _ = self.states.secrets_listed.set(());
                let seen = std::mem::take(&mut self.seen);
                self.states.observe_secret_list(&seen)
            }
            Ok(Event::Apply(secret)) => self.note(&secret),
            Ok(Event::Delete(secret)) => {
                let key = ObjectKey::of(&secret);
                self.states.observe_secret_deletion(&key);
                vec![key]
            }
            Err(error) => {
                self.failed(&error, Instant::now());
                Vec::new()
            }
        };
        changed
            .into_iter()
            .map(|key| key.reference())
            .filter(|object| self.store.get(object).is_some())
            .collect()
    }

    fn note(&self, secret: &SentMetadata) -> Vec<ObjectKey> {
        let key = ObjectKey::of(secret);
        let matters = self.store.get(&key.reference()).is_some();
        let changed = matters && self.states.observe_secret(key.clone(), &secret.metadata);
        if changed { vec![key] } else { Vec::new() }
    }

    fn failed(&mut self, error: &watcher::Error, now: Instant) {
        let forbidden = client::is_forbidden(error);
        let since = *self.failing_since.get_or_insert(now);
        if forbidden {
            self.states.set_secrets_watched(false);
        }
        if forbidden || now.duration_since(since) >= MAX_WAIT_FOR_LIST {
            // An error means that it is set already.
            let _ = self.states.secrets_listed.set(());
        }
        if !forbidden {
            tracing::warn!("watching Secrets: {}", client::describe_watch_error(error));
        } else if !std::mem::replace(&mut self.is_forbidden_logged, true) {
            tracing::warn!(
                "Secrets may not be watched, so edited Secrets are restored only after a restart: {}",
                client::describe_watch_error(error)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::runtime::reflector::store::Writer;

    use super::*;
    use crate::context::Context;

    fn failure(code: u16) -> watcher::Error {
        let status = Status { code, ..Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    fn follower() -> Follower {
        let store = Writer::<RawSealedSecret>::new(()).as_reader();
        Follower::new(store, Arc::new(ObjectStates::new(Arc::new(Context::for_tests()), true)))
    }

    #[tokio::test]
    async fn one_watch_error_causes_no_decryption_and_many_do_not_stop_the_work() {
        let (mut follower, start) = (follower(), Instant::now());
        follower.failed(&failure(503), start);
        assert!(!follower.states.secrets_listed.initialized());
        follower.failed(&failure(503), start + MAX_WAIT_FOR_LIST);
        assert!(follower.states.secrets_listed.initialized());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_secrets_that_no_sealed_secret_is_named_after() {
        let (mut follower, mut foreign) = (follower(), SentMetadata::default());
        foreign.metadata.name = Some("foreign".to_owned());
        foreign.metadata.namespace = Some("shop".to_owned());
        follower.follow(Ok(Event::Init));
        follower.follow(Ok(Event::InitApply(foreign.clone())));
        follower.follow(Ok(Event::Apply(foreign.clone())));
        assert!(follower.seen.is_empty() && !follower.states.has_secret(&ObjectKey::of(&foreign)));
    }

    #[tokio::test]
    async fn where_secrets_may_not_be_watched_nothing_waits_for_them() {
        let mut follower = follower();
        follower.states.set_secrets_watched(true);
        follower.failed(&failure(403), Instant::now());
        assert!(follower.states.secrets_listed.initialized() && !follower.states.are_secrets_watched());
    }
}
