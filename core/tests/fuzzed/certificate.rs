//! Any file as a certificate, as a private key, and as an item of a key Secret: the parsed value can be written and parsed again.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::{KeyPair, SealingCertificate, text_of_file};
use sealed_secrets_core::keyring::{OrderBy, RingKey};

const KEY: &str = include_str!("../data/rsa2048-pkcs1.pem");
const CERTIFICATE: &str = include_str!("../data/rsa2048.crt");

pub(crate) fn run(input: &[u8]) {
    drop(text_of_file(input));
    for certificate in
        [SealingCertificate::from_pem(input), SealingCertificate::from_file(input)].into_iter().flatten()
    {
        assert_eq!(SealingCertificate::from_pem(certificate.pem().as_bytes()), Ok(certificate));
    }
    for key in [KeyPair::from_pem(input), KeyPair::from_file(input)].into_iter().flatten() {
        let written = key.expose_pkcs1_pem().map(|pem| KeyPair::from_pem(pem.as_bytes()));
        assert!(matches!(written, Ok(Ok(read)) if read.fingerprint() == key.fingerprint()));
    }
    let _ = RingKey::from_secret(&key_secret(input, CERTIFICATE.as_bytes()), OrderBy::CertNotBefore);
    let _ = RingKey::from_secret(&key_secret(KEY.as_bytes(), input), OrderBy::CertNotBefore);
}

fn key_secret(key: &[u8], certificate: &[u8]) -> Secret {
    let field = |name: &str, value: &[u8]| (name.to_owned(), ByteString(value.to_vec()));
    let data = BTreeMap::from([field("tls.key", key), field("tls.crt", certificate)]);
    Secret { data: Some(data), ..Secret::default() }
}
