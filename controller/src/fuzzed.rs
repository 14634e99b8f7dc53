//! Bodies of the fuzz targets that use private items of this crate, and tests that run them over the kept corpora.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use sealed_secrets_core::keyring::{KeyRing, OrderBy, RingKey};

pub use crate::http::http_head;
pub use crate::sealed_secret::sealed_secret;
pub use crate::sealing_keys::rotation_policy;

/// A private key, PEM.
pub(crate) const KEY: &str = include_str!("../../core/tests/data/rsa2048-pkcs1.pem");
/// Its certificate, PEM.
pub(crate) const CERTIFICATE: &str = include_str!("../../core/tests/data/rsa2048.crt");

/// A ring of one key.
pub(crate) static RING: LazyLock<Option<Arc<KeyRing>>> = LazyLock::new(|| {
    let key = RingKey::from_secret(&key_secret("a"), OrderBy::CertNotBefore).ok()?;
    Some(Arc::new(KeyRing::new(vec![Arc::new(key)])))
});

/// A key Secret of this name.
pub(crate) fn key_secret(name: &str) -> Secret {
    let field = |name: &str, text: &str| (name.to_owned(), ByteString(text.as_bytes().to_vec()));
    let data = BTreeMap::from([field("tls.key", KEY), field("tls.crt", CERTIFICATE)]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Secret { metadata, data: Some(data), ..Secret::default() }
}

#[cfg(test)]
#[path = "../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    use super::corpus::replay;
    use super::*;

    #[test]
    fn every_kept_connection_ends_with_an_answer_or_without_one() {
        assert!(RING.is_some());
        replay("http_head", http_head);
    }

    #[test]
    fn kept_objects_are_decoded_and_decrypted_or_refused_without_a_panic() {
        replay("sealed_secret", sealed_secret);
    }

    #[test]
    fn kept_policies_and_sealing_keys_are_planned_from_without_a_panic() {
        replay("rotation_policy", rotation_policy);
    }
}
