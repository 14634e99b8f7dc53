//! Known answers: keys, certificates and items made by OpenSSL 3.0, OpenSSH's `ssh-keygen -lf` and upstream's `kubeseal` v0.40.0.

#![cfg(test)]

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::{
    CertificateError, KeyPair, KeyPairError, PublicKeyError, SealingCertificate,
};
use sealed_secrets_core::decryption::{ItemError, decrypt_value};
use sealed_secrets_core::keyring::{CertificateProblem, KeyRing, KeySecretError, OrderBy, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_crds::Scope;

const PKCS1: &str = include_str!("data/rsa2048-pkcs1.pem");
const PKCS8: &str = include_str!("data/rsa2048-pkcs8.pem");
const CERTIFICATE: &str = include_str!("data/rsa2048.crt");
const FINGERPRINT: &str = "SHA256:d7vDRpnXNiJzDkmyznDUSjyxvtAkyQgqS6HKJqYJJvA";
const FROM_UPSTREAM: [(Scope, &str); 3] = [
    (Scope::Strict, include_str!("data/upstream-strict.item")),
    (Scope::NamespaceWide, include_str!("data/upstream-namespace-wide.item")),
    (Scope::ClusterWide, include_str!("data/upstream-cluster-wide.item")),
];

fn key_secret(key: &str, certificate: &str) -> Secret {
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    Secret { data: Some([field("tls.key", key), field("tls.crt", certificate)].into()), ..Secret::default() }
}

fn ring() -> KeyRing {
    let key = RingKey::from_secret(&key_secret(PKCS1, CERTIFICATE), OrderBy::CertNotBefore).unwrap();
    KeyRing::new(vec![Arc::new(key)])
}

#[test]
fn pkcs1_and_pkcs8_are_the_same_key_with_the_fingerprint_that_ssh_keygen_prints() {
    for pem in [PKCS1, PKCS8] {
        assert_eq!(KeyPair::from_pem(pem.as_bytes()).unwrap().fingerprint().as_str(), FINGERPRINT);
    }
}

#[test]
fn a_key_is_written_as_openssl_writes_pkcs1() {
    for pem in [PKCS1, PKCS8] {
        assert_eq!(*KeyPair::from_pem(pem.as_bytes()).unwrap().expose_pkcs1_pem().unwrap(), PKCS1);
    }
}

#[test]
fn text_and_a_certificate_before_the_key_are_passed_over() {
    let bundle = format!("Bag Attributes\n  friendlyName: x\n{CERTIFICATE}\nnote\n{PKCS8}");
    assert_eq!(KeyPair::from_pem(bundle.as_bytes()).unwrap().fingerprint().as_str(), FINGERPRINT);
}

#[test]
fn a_certificate_is_served_byte_for_byte_as_it_was_read() {
    let certificate = SealingCertificate::from_pem(CERTIFICATE.as_bytes()).unwrap();
    assert_eq!(certificate.pem(), CERTIFICATE);
    assert_eq!(certificate.fingerprint().as_str(), FINGERPRINT);
}

/// Certificate as in RFC 5280, section 4.1.2.5, made with Python's cryptography; OpenSSL 3.0 reads the same date.
#[test]
fn a_certificate_without_an_end_is_handed_out_for_its_key() {
    let pem = include_str!("data/without-end.crt");
    let certificate = SealingCertificate::from_pem(pem.as_bytes()).unwrap();
    assert!(certificate.is_without_end() && certificate.not_before().to_string() == "2026-01-01T00:00:00Z");
    let key = RingKey::from_secret(&key_secret(PKCS1, pem), OrderBy::CertNotBefore).unwrap();
    assert!(key.may_be_primary() && key.problem().is_none());
    let ends = SealingCertificate::from_pem(CERTIFICATE.as_bytes()).unwrap();
    assert!(!ends.is_without_end());
}

#[test]
fn keys_that_are_not_rsa_of_two_primes_and_2048_bits_are_refused_with_the_reason() {
    let refused = |pem: &str| KeyPair::from_pem(pem.as_bytes()).unwrap_err();
    assert_eq!(refused(include_str!("data/ec-sec1.pem")), KeyPairError::NotRsa);
    assert_eq!(refused(include_str!("data/ec-pkcs8.pem")), KeyPairError::NotRsa);
    assert_eq!(refused(include_str!("data/rsa1024.pem")), KeyPairError::Rejected);
    assert_eq!(refused(include_str!("data/rsa2048-three-primes.pem")), KeyPairError::Rejected);
    assert_eq!(refused("rubbish"), KeyPairError::NoPem);
    assert_eq!(refused(""), KeyPairError::NoPem);
}

#[test]
fn certificates_that_cannot_seal_are_refused_with_the_reason() {
    let refused = |pem: &str| SealingCertificate::from_pem(pem.as_bytes()).unwrap_err();
    assert_eq!(refused(include_str!("data/ec.crt")), CertificateError::NotRsa("ECDSA".to_owned()));
    assert_eq!(refused(include_str!("data/rsa1024.crt")), CertificateError::Key(PublicKeyError::Size(1024)));
    assert_eq!(refused(PKCS1), CertificateError::NoPem);
}

#[test]
fn items_sealed_by_upstream_decrypt_in_each_scope() {
    for (scope, item) in FROM_UPSTREAM {
        let decrypted = decrypt_value(&ring(), &Label::new(scope, "shop", "db"), item).unwrap();
        assert_eq!(decrypted.as_slice(), b"from upstream", "{scope}");
    }
}

#[test]
fn items_sealed_by_upstream_decrypt_under_no_label_but_their_own() {
    for (sealed_as, item) in FROM_UPSTREAM {
        for opened_as in Scope::ALL.into_iter().filter(|scope| *scope != sealed_as) {
            let label = Label::new(opened_as, "shop", "db");
            assert_eq!(
                decrypt_value(&ring(), &label, item).unwrap_err(),
                ItemError::NoKey,
                "{sealed_as} as {opened_as}"
            );
        }
    }
    let other_name = Label::new(Scope::Strict, "shop", "cache");
    assert_eq!(decrypt_value(&ring(), &other_name, FROM_UPSTREAM[0].1).unwrap_err(), ItemError::NoKey);
}

#[test]
fn the_error_of_a_key_secret_names_the_invalid_field() {
    let read = |key: &str, certificate: &str| {
        RingKey::from_secret(&key_secret(key, certificate), OrderBy::CertNotBefore)
    };
    assert_eq!(read("", CERTIFICATE).unwrap_err(), KeySecretError::NoPrivateKey);
    let elliptic = read(include_str!("data/ec-sec1.pem"), CERTIFICATE).unwrap_err();
    assert_eq!(elliptic.to_string(), "field data[\"tls.key\"]: private key is not an RSA key");
}

#[test]
fn a_key_without_a_certificate_of_its_own_decrypts_but_is_never_primary() {
    let other = KeyPair::generate(sealed_secrets_core::crypto::KeySize::Rsa2048).unwrap();
    let other = other.expose_pkcs1_pem().unwrap();
    let cases = [
        (key_secret(&other, CERTIFICATE), CertificateProblem::Mismatch),
        (key_secret(&other, ""), CertificateProblem::Missing),
        (key_secret(&other, "rubbish"), CertificateProblem::Unusable(CertificateError::NoPem)),
    ];
    for (secret, problem) in cases {
        let key = RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap();
        assert_eq!(key.problem(), Some(&problem));
        let ring = KeyRing::new(vec![Arc::new(key)]);
        assert!(ring.primary().is_none());
        assert_eq!(ring.len(), 1);
    }
}
