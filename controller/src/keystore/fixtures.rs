//! Key Secrets for tests.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair};

const KEY: &str = include_str!("../../../core/tests/data/rsa2048-pkcs1.pem");

/// A certificate of the key that all these Secrets hold. Those of different `serial` numbers differ in nothing else.
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

/// A key Secret in its first version.
pub(crate) fn key_secret(name: &str, certificate: &str) -> Secret {
    let field = |name: &str, pem: &str| (name.to_owned(), ByteString(pem.as_bytes().to_vec()));
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(format!("uid of {name}")),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    };
    let data = [field("tls.key", KEY), field("tls.crt", certificate)];
    Secret { metadata, data: Some(data.into()), ..Secret::default() }
}
