//! Checking and re-encrypting an object.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::{KeyPair, KeySize};
use sealed_secrets_core::decryption::{V1Data, decrypt_value};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::re_encrypt::{ReEncrypted, ReEncryption, Renewal, Wanted, re_encrypt};
use sealed_secrets_core::seal::seal_value;

use sealed_secrets_crds::{Scope, SealedSecret, SealedSecretSpec};

const ALWAYS: fn() -> bool = || true;
const KEY: &str = include_str!("data/rsa2048-pkcs1.pem");
const CERTIFICATE: &str = include_str!("data/rsa2048.crt");

fn ring() -> KeyRing {
    let field = |name: &str, text: &str| (name.to_owned(), ByteString(text.as_bytes().to_vec()));
    let data = BTreeMap::from([field("tls.key", KEY), field("tls.crt", CERTIFICATE)]);
    let secret = Secret { data: Some(data), ..Secret::default() };
    KeyRing::new(vec![Arc::new(RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap())])
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

fn can_decrypt(object: &SealedSecret, ring: &KeyRing, wanted: Wanted<'_>) -> bool {
    let mut random = StdRng::seed_from_u64(2);
    re_encrypt(&mut random, object, ring, V1Data::Accepted, Renewal::Nothing, wanted).is_some()
}

/// Returns the outcome of one object in slices of so many operations, and the operations of each slice.
fn in_slices(
    object: &SealedSecret,
    ring: &KeyRing,
    renewal: Renewal<'_>,
    slice: usize,
) -> (Option<ReEncrypted>, Vec<usize>) {
    let (mut work, mut random) = (ReEncryption::new(ring, renewal), StdRng::seed_from_u64(2));
    work.add(object, V1Data::Accepted);
    let mut operations = Vec::new();
    while !work.is_finished() {
        operations.push(work.advance(&mut random, renewal, slice, &ALWAYS));
    }
    (work.into_outcomes().remove(0), operations)
}

#[test]
fn a_re_encrypted_item_is_another_text_with_the_same_value_under_the_same_label() {
    let (ring, sealed) = (ring(), sealed(&[("a", b"1"), ("b", b"2")]));
    let key = ring.primary().unwrap().key_pair().public_key();
    let (re_encrypted, _) = in_slices(&sealed, &ring, Renewal::All(key), 1);
    let re_encrypted = re_encrypted.unwrap();
    for (name, value) in [("a", b"1"), ("b", b"2")] {
        let text = &re_encrypted.encrypted_data[name];
        assert_ne!(text, &sealed.spec.encrypted_data[name]);
        assert_eq!(*decrypt_value(&ring, &Label::of(&sealed), text).unwrap(), value);
    }
}

/// The known key, which is the primary one, and another one.
fn ring_of_two() -> (KeyRing, Arc<RingKey>) {
    let pem = KeyPair::generate(KeySize::Rsa2048).unwrap().expose_pkcs1_pem().unwrap();
    let data = BTreeMap::from([("tls.key".to_owned(), ByteString(pem.as_bytes().to_vec()))]);
    let secret = Secret { data: Some(data), ..Secret::default() };
    let old = Arc::new(RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap());
    let keys = ring().iter().cloned().chain([Arc::clone(&old)]).collect();
    (KeyRing::new(keys), old)
}

#[test]
fn items_of_another_key_alone_are_stale_and_take_at_most_an_operation_more() {
    let (ring, old) = ring_of_two();
    let mut object = sealed(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
    let seal = |value: &[u8]| {
        let key = old.key_pair().public_key();
        seal_value(&mut StdRng::seed_from_u64(3), key, &Label::of(&object), value).unwrap()
    };
    let items = [("b".to_owned(), seal(b"2")), ("c".to_owned(), seal(b"3"))];
    object.spec.encrypted_data.extend(items);
    let primary = ring.primary().unwrap().key_pair().public_key();
    let (stale, operations) = in_slices(&object, &ring, Renewal::Stale(primary), 100);
    let stale = stale.unwrap();
    assert_eq!(stale.len(), 2);
    assert!(stale.encrypted_data.keys().eq(["b", "c"]), "{stale:?}");
    for (name, value) in [("b", b"2"), ("c", b"3")] {
        let text = &stale.encrypted_data[name];
        assert_eq!(*decrypt_value(&self::ring(), &Label::of(&object), text).unwrap(), value);
    }
    // a: 1, b: 2, c: 1 with the key of b, d: 2 with the key of c first.
    assert_eq!(operations, [6]);
    for slice in [1, 2, 4, 5] {
        let (in_slices, operations) = in_slices(&object, &ring, Renewal::Stale(primary), slice);
        assert!(in_slices.unwrap().encrypted_data.keys().eq(stale.encrypted_data.keys()));
        assert!(operations.iter().all(|made| *made <= slice), "{operations:?}");
        assert_eq!(operations.iter().sum::<usize>(), 6, "an item that began goes on with its next key");
    }
}

#[test]
fn an_object_with_an_item_that_does_not_decrypt_has_no_stale_items_and_its_operations_count() {
    let (ring, _) = ring_of_two();
    let mut object = sealed(&[("a", b"1"), ("b", b"2")]);
    object.metadata.name = Some("other".to_owned());
    let primary = ring.primary().unwrap().key_pair().public_key();
    assert_eq!(in_slices(&object, &ring, Renewal::Stale(primary), 100), (None, vec![2]));
}

#[test]
fn one_item_that_does_not_decrypt_fails_the_whole_object() {
    let ring = ring();
    let mut object = sealed(&[("a", b"1"), ("b", b"2")]);
    assert!(can_decrypt(&object, &ring, &ALWAYS));
    object.spec.encrypted_data.insert("b".to_owned(), "AAAA".to_owned());
    assert!(!can_decrypt(&object, &ring, &ALWAYS));
    let key = ring.primary().unwrap().key_pair().public_key();
    assert_eq!(in_slices(&object, &ring, Renewal::All(key), 100), (None, Vec::new()), "it has no slice");
}

#[test]
fn the_label_is_that_of_the_object_and_not_of_its_template() {
    let ring = ring();
    let mut object = sealed(&[("a", b"1")]);
    object.spec.template.metadata =
        Some(ObjectMeta { name: Some("other".to_owned()), ..ObjectMeta::default() });
    assert!(can_decrypt(&object, &ring, &ALWAYS));
    object.metadata.name = Some("other".to_owned());
    assert!(!can_decrypt(&object, &ring, &ALWAYS));
}

#[test]
fn work_that_nobody_waits_for_any_more_ends_before_the_next_private_key_operation() {
    let (ring, object) = (ring(), sealed(&[("a", b"1"), ("b", b"2"), ("c", b"3")]));
    let asked = std::cell::Cell::new(0);
    let wanted = || {
        asked.set(asked.get() + 1);
        asked.get() < 2
    };
    assert!(!can_decrypt(&object, &ring, &wanted));
    assert_eq!(
        asked.get(),
        2,
        "one operation was allowed, the second one refused, and no third one asked for"
    );
}
