//! Publishing key rings.

use std::sync::Arc;

use sealed_secrets_core::keyring::KeyRing;
use tokio::sync::watch;

/// Publishes the ring, unless it says what the published one says.
pub(super) fn publish(publisher: &watch::Sender<Option<Arc<KeyRing>>>, ring: KeyRing) {
    publisher.send_if_modified(|published| {
        let changed = published.as_ref().is_none_or(|old| !say_the_same(old, &ring));
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
fn say_the_same(one: &KeyRing, other: &KeyRing) -> bool {
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
    use sealed_secrets_core::keyring::{OrderBy, SealingKey};

    use super::super::fixtures::{certificate, key_secret};
    use super::*;

    fn ring(name: &str, certificate: &str) -> KeyRing {
        let secret = key_secret(name, certificate);
        KeyRing::new(vec![Arc::new(SealingKey::from_secret(&secret, OrderBy::default()).unwrap())])
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
        assert!(is_new(ring("other", &reissued).led_by(None)), "nothing leads");
        let compromised = |ring: KeyRing| {
            let fingerprint = ring.newest().unwrap().fingerprint().clone();
            ring.led_by(None).with_compromised([fingerprint].into())
        };
        assert!(is_new(compromised(ring("other", &reissued))), "somebody else may have it");
        assert!(is_new(KeyRing::default()), "no key at all");
    }
}
