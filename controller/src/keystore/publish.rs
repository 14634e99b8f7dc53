//! Publishing key rings, the view of the keys, and the events about its changes.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use kube::Client;
use sealed_secrets_core::keyring::KeyRing;
use tokio::sync::watch;

use super::events::{EventWriter, events_between};
use super::list::refresh::KeyRefresh;
use super::view::KeysView;

/// The senders of what other parts follow.
pub(super) struct Publisher {
    ring: watch::Sender<Option<Arc<KeyRing>>>,
    view: watch::Sender<Option<Arc<KeysView>>>,
    refresh: Arc<KeyRefresh>,
    events: EventWriter,
}

impl Publisher {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            ring: watch::Sender::new(None),
            view: watch::Sender::new(None),
            refresh: Arc::default(),
            events: EventWriter::new(client, namespace),
        }
    }

    pub(super) fn rings(&self) -> watch::Receiver<Option<Arc<KeyRing>>> {
        self.ring.subscribe()
    }

    pub(super) fn views(&self) -> watch::Receiver<Option<Arc<KeysView>>> {
        self.view.subscribe()
    }

    pub(super) fn refresh(&self) -> &Arc<KeyRefresh> {
        &self.refresh
    }

    /// The published ring, empty before the first one.
    pub(super) fn ring(&self) -> Arc<KeyRing> {
        self.ring.borrow().clone().unwrap_or_default()
    }

    /// Publishes the ring of a list that began at `listed`.
    pub(super) fn publish_ring(&self, ring: KeyRing, listed: Instant) {
        publish(&self.ring, ring);
        self.refresh.published(listed);
    }

    /// Publishes the view of a list that began at `listed`, and writes the events about its changes.
    pub(super) async fn publish_view(&self, view: KeysView, prefix: &str, now: Timestamp, listed: Instant) {
        let (before, view) = (self.view.borrow().clone(), Arc::new(view));
        if before.as_ref() != Some(&view) {
            self.view.send_replace(Some(Arc::clone(&view)));
            self.events.write(events_between(before.as_deref(), &view, prefix, now), &view).await;
        }
        self.refresh.shown(listed);
    }
}

/// Publishes the ring, unless it says what the published one says.
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

/// Whether they have the same keys with the same certificates in the same order and roles.
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
