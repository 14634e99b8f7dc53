//! Checking and re-wrapping an object.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::KeyPair;
use sealed_secrets_core::keyring::{KeyRing, OrderBy, SealingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::opening::{V1Data, open_value};
use sealed_secrets_core::rewrap::{opens, rewrap};
use sealed_secrets_core::seal::seal_value;

use sealed_secrets_crds::{Scope, SealedSecret, SealedSecretSpec};

const ALWAYS: fn() -> bool = || true;
const KEY: &str = include_str!("data/rsa2048-pkcs1.pem");
const CERTIFICATE: &str = include_str!("data/rsa2048.crt");

fn ring() -> KeyRing {
    let field = |name: &str, text: &str| (name.to_owned(), ByteString(text.as_bytes().to_vec()));
    let data = BTreeMap::from([field("tls.key", KEY), field("tls.crt", CERTIFICATE)]);
    let secret = Secret { data: Some(data), ..Secret::default() };
    KeyRing::new(vec![Arc::new(SealingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap())])
}

fn sealed(items: &[(&str, &[u8])]) -> SealedSecret {
    let key = KeyPair::from_pem(KEY.as_bytes()).unwrap();
    let label = Label::new(Scope::Strict, "shop", "db");
    let seal =
        |value: &[u8]| seal_value(&mut StdRng::seed_from_u64(1), key.public_key(), &label, value).unwrap();
    let encrypted_data = items.iter().map(|(name, value)| ((*name).to_owned(), seal(value))).collect();
    let mut sealed =
        SealedSecret::new("db", SealedSecretSpec { encrypted_data, ..SealedSecretSpec::default() });
    sealed.metadata = ObjectMeta {
        name: Some("db".to_owned()),
        namespace: Some("shop".to_owned()),
        ..ObjectMeta::default()
    };
    sealed
}

#[test]
fn a_rewrapped_item_is_another_text_with_the_same_value_under_the_same_label() {
    let (ring, sealed) = (ring(), sealed(&[("a", b"1"), ("b", b"2")]));
    let key = ring.primary().unwrap().key_pair().public_key();
    let rewrapped =
        rewrap(&mut StdRng::seed_from_u64(2), &sealed, &ring, V1Data::Accepted, key, &ALWAYS).unwrap();
    for (name, value) in [("a", b"1"), ("b", b"2")] {
        let text = &rewrapped.encrypted_data[name];
        assert_ne!(text, &sealed.spec.encrypted_data[name]);
        assert_eq!(*open_value(&ring, &Label::of(&sealed), text).unwrap(), value);
    }
}

#[test]
fn one_item_that_does_not_open_fails_the_whole_object() {
    let ring = ring();
    let mut object = sealed(&[("a", b"1"), ("b", b"2")]);
    assert!(opens(&object, &ring, V1Data::Accepted, &ALWAYS));
    object.spec.encrypted_data.insert("b".to_owned(), "AAAA".to_owned());
    assert!(!opens(&object, &ring, V1Data::Accepted, &ALWAYS));
    let key = ring.primary().unwrap().key_pair().public_key();
    assert_eq!(rewrap(&mut StdRng::seed_from_u64(2), &object, &ring, V1Data::Accepted, key, &ALWAYS), None);
}

#[test]
fn the_label_is_that_of_the_object_and_not_of_its_template() {
    let ring = ring();
    let mut object = sealed(&[("a", b"1")]);
    object.spec.template.metadata =
        Some(ObjectMeta { name: Some("other".to_owned()), ..ObjectMeta::default() });
    assert!(opens(&object, &ring, V1Data::Accepted, &ALWAYS));
    object.metadata.name = Some("other".to_owned());
    assert!(!opens(&object, &ring, V1Data::Accepted, &ALWAYS));
}

#[test]
fn work_that_nobody_waits_for_any_more_ends_before_the_next_private_key_operation() {
    let (ring, object) = (ring(), sealed(&[("a", b"1"), ("b", b"2"), ("c", b"3")]));
    let asked = std::cell::Cell::new(0);
    let wanted = || {
        asked.set(asked.get() + 1);
        asked.get() < 2
    };
    assert!(!opens(&object, &ring, V1Data::Accepted, &wanted));
    assert_eq!(
        asked.get(),
        2,
        "one operation was allowed, the second one refused, and no third one asked for"
    );
}
