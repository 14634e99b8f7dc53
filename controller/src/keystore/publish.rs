//! Publishes key rings, the view of the keys, and the events about its changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use sealed_secrets_core::keyring::KeyRing;
use tokio::sync::watch;

use super::events::{EventWriter, events_between};
use super::list::refresh::KeyRefresh;
use super::view::KeysView;

/// The latest key ring; `None` until the key Secrets were read for the first time.
pub(crate) type RingReceiver = watch::Receiver<Option<Arc<KeyRing>>>;

/// The senders that other parts follow.
pub(super) struct Publisher {
    ring: watch::Sender<Option<Arc<KeyRing>>>,
    view: watch::Sender<Option<Arc<KeysView>>>,
    refresh: Arc<KeyRefresh>,
    events: EventWriter,
}

impl Publisher {
    /// Creates the senders. A follower keeps events for `retention`, in case the leader dies before it writes them.
    pub(super) fn new(client: Client, namespace: &str, retention: Duration) -> Self {
        Self {
            ring: watch::Sender::new(None),
            view: watch::Sender::new(None),
            refresh: Arc::default(),
            events: EventWriter::new(client, namespace, retention),
        }
    }

    pub(super) fn rings(&self) -> RingReceiver {
        self.ring.subscribe()
    }

    pub(super) fn views(&self) -> watch::Receiver<Option<Arc<KeysView>>> {
        self.view.subscribe()
    }

    pub(super) fn refresh(&self) -> &Arc<KeyRefresh> {
        &self.refresh
    }

    /// Returns the published ring, empty before the first one.
    pub(super) fn ring(&self) -> Arc<KeyRing> {
        self.ring.borrow().clone().unwrap_or_default()
    }

    /// Publishes the ring of a list that began at `listed`.
    pub(super) fn publish_ring(&self, ring: KeyRing, listed: Instant) {
        publish(&self.ring, ring);
        self.refresh.published(listed);
    }

    /// Publishes the view of a list that began at `listed`. The leader writes the events about its changes.
    pub(super) async fn publish_view(
        &mut self,
        view: KeysView,
        prefix: &str,
        now: Timestamp,
        listed: Instant,
        is_leader: bool,
    ) {
        let (before, view) = (self.view.borrow().clone(), Arc::new(view));
        if before.as_ref() != Some(&view) {
            self.view.send_replace(Some(Arc::clone(&view)));
            let known = before.as_deref().and_then(KeysView::describe_expiry);
            if let Some(message) = view.describe_expiry().filter(|message| known.as_ref() != Some(message)) {
                tracing::warn!("{message}");
            }
            self.events.add(events_between(before.as_deref(), &view, prefix, now), Instant::now());
        }
        if is_leader {
            self.events.write(&view, Instant::now()).await;
        }
        self.refresh.view_published(listed);
    }
}

/// Publishes the ring, unless it equals the published one.
fn publish(publisher: &watch::Sender<Option<Arc<KeyRing>>>, ring: KeyRing) {
    publisher.send_if_modified(|published| {
        let changed = published.as_ref().is_none_or(|old| !is_same(old, &ring));
        if changed {
            tracing::info!(
                keys = ring.len(),
                primary = ring.primary().map(|key| key.name()),
                "key ring changed"
            );
            *published = Some(Arc::new(ring));
        }
        changed
    });
}

/// Returns true if both rings have the same keys with the same certificates in the same order and roles.
fn is_same(one: &KeyRing, other: &KeyRing) -> bool {
    let primary = |ring: &KeyRing| ring.primary().map(|key| key.name().to_owned());
    one.len() == other.len()
        && primary(one) == primary(other)
        && one.compromised() == other.compromised()
        && one.iter().zip(other.iter()).all(|(one, other)| {
            one.name() == other.name()
                && one.fingerprint() == other.fingerprint()
                && one.certificate() == other.certificate()
        })
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::keyring::{OrderBy, RingKey};

    use super::*;
    use crate::keystore::fixtures::{certificate, key_secret};

    fn ring(name: &str, certificate: &str) -> KeyRing {
        let secret = key_secret(name, certificate);
        KeyRing::new(vec![Arc::new(RingKey::from_secret(&secret, OrderBy::default()).unwrap())])
    }

    #[test]
    fn a_ring_is_published_once_and_again_when_anything_in_it_is_another() {
        let (publisher, mut follower) = watch::channel(None);
        let mut is_new = |ring: KeyRing| {
            publish(&publisher, ring);
            let is_new = follower.has_changed().unwrap();
            follower.mark_unchanged();
            is_new
        };
        let (first, reissued) = (certificate(1), certificate(2));
        assert!(is_new(ring("k", &first)));
        assert!(!is_new(ring("k", &first)));
        assert!(is_new(ring("k", &reissued)), "the same key with another certificate");
        assert!(!is_new(ring("k", &reissued)));
        assert!(is_new(ring("other", &reissued)), "another Secret");
        assert!(is_new(ring("other", &reissued).with_primary(None)), "nothing leads");
        let compromised = |ring: KeyRing| {
            let fingerprint = ring.newest().unwrap().fingerprint().clone();
            ring.with_primary(None).with_compromised([fingerprint].into())
        };
        assert!(is_new(compromised(ring("other", &reissued))), "somebody else may have it");
        assert!(is_new(KeyRing::default()), "no key at all");
    }
}
