//! Keys for tests: their Secrets and their public views.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair};
use sealed_secrets_core::keyring::{OrderBy, RingKey};
use sealed_secrets_core::rotation::{DesiredState, KeyFacts, KeyLabel, KeyRecord};
use sealed_secrets_crds::SealingKeyPhase;

use super::{KeyView, KeysView};
use crate::fuzzed::KEY;

/// Returns a certificate of the key that all these Secrets contain. Certificates with different `serial` numbers differ
/// in nothing else.
pub(crate) fn certificate(serial: u8) -> String {
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: Timestamp::UNIX_EPOCH,
        validity: SignedDuration::from_hours(1),
        serial: [serial; 16],
    };
    let key = KeyPair::from_pem(KEY.as_bytes()).unwrap();
    request.self_sign(&key).unwrap().pem().to_owned()
}

fn field(name: &str, pem: &str) -> (String, ByteString) {
    (name.to_owned(), ByteString(pem.as_bytes().to_vec()))
}

/// Returns a key as it is on a ring.
pub(crate) fn ring_key(key: &str, certificate: Option<&str>) -> Arc<RingKey> {
    let certificate = certificate.map(|certificate| field("tls.crt", certificate));
    let data = [field("tls.key", key)].into_iter().chain(certificate).collect();
    let secret = Secret { data: Some(data), ..Secret::default() };
    Arc::new(RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap())
}

/// Returns a key Secret in its first version.
pub(crate) fn key_secret(name: &str, certificate: &str) -> Secret {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(format!("uid of {name}")),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    };
    let data = [field("tls.key", KEY), field("tls.crt", certificate)];
    Secret { metadata, data: Some(data.into()), ..Secret::default() }
}

pub(crate) fn time_at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Returns a key that was created at second 10. Keys whose names begin with different letters have different
/// fingerprints.
pub(crate) fn key(name: &str, phase: SealingKeyPhase) -> KeyView {
    let fingerprint = format!("SHA256:{}A", name[..1].repeat(42)).parse().unwrap();
    let made = time_at(10);
    let facts = KeyFacts { fingerprint, not_before: made, order_time: made, has_certificate: true };
    let record = KeyRecord {
        name: name.to_owned(),
        facts: Some(facts),
        label: KeyLabel::Active,
        created: made,
        desired: DesiredState::Active,
        state_since: None,
        compromised_since: None,
        decrypt_until: None,
        off_ring_since: None,
        unused_since: None,
    };
    KeyView { record, uid: format!("uid of {name}"), certificate: None, problem: None, phase }
}

/// Returns a view of these keys, whose primary is the one in that phase, with no trigger and no blocker.
pub(crate) fn view(keys: Vec<KeyView>) -> KeysView {
    let primary = keys.iter().find(|key| key.phase == SealingKeyPhase::Primary);
    KeysView {
        primary: primary.map(|key| key.record.name.clone()),
        keys,
        due_trigger: None,
        blocker: None,
        blocked: Vec::new(),
        read_only: false,
        suspended: false,
        activation_delay: SignedDuration::ZERO,
        next: None,
        due_since: None,
        expired_at: None,
        observed_policy: None,
    }
}
