//! Decryption with many keys: number of operations, and interruption at any point.

#![cfg(test)]

use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize, PublicKey};
use sealed_secrets_core::decryption::{Content, Decryption, Finished, KeyUse, Step, V1Data, decrypt_all};
use sealed_secrets_core::diagnosis::{Examination, Examined, LIMIT};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::re_encrypt::{Renewal, re_encrypt};
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::names::NAMESPACE_WIDE_ANNOTATION;
use sealed_secrets_crds::{Scope, SealedSecret, SealedSecretSpec};

/// Returns a key whose certificate begins in this year after 2000.
fn key(year: i64, size: KeySize) -> Arc<RingKey> {
    let key = KeyPair::generate(size).unwrap();
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: Timestamp::from_second(946_684_800 + year * 31_536_000).unwrap(),
        validity: SignedDuration::from_hours(24),
        serial: [7; 16],
    };
    let certificate = request.self_sign(&key).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    let data = [field("tls.key", &key.expose_pkcs1_pem().unwrap()), field("tls.crt", certificate.pem())];
    let secret = Secret { data: Some(data.into()), ..Secret::default() };
    Arc::new(RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap())
}

/// Keys, the oldest first.
static KEYS: LazyLock<[Arc<RingKey>; 4]> =
    LazyLock::new(|| [1, 2, 3, 4].map(|year| key(year, KeySize::Rsa2048)));
static FOREIGN: LazyLock<Arc<RingKey>> = LazyLock::new(|| key(5, KeySize::Rsa2048));
static LARGER: LazyLock<Arc<RingKey>> = LazyLock::new(|| key(6, KeySize::Rsa3072));

fn ring() -> KeyRing {
    KeyRing::new(KEYS.to_vec())
}

fn item(key: &PublicKey, scope: Scope) -> String {
    seal_value(&mut StdRng::seed_from_u64(1), key, &Label::new(scope, "shop", "db"), b"canary").unwrap()
}

fn sealed(items: &[(&str, &RingKey, Scope)]) -> SealedSecret {
    let encrypted_data = items
        .iter()
        .map(|(name, key, scope)| ((*name).to_owned(), item(key.key_pair().public_key(), *scope)));
    let spec = SealedSecretSpec { encrypted_data: encrypted_data.collect(), ..SealedSecretSpec::default() };
    let mut sealed = SealedSecret::new("db", spec);
    sealed.metadata = ObjectMeta {
        name: Some("db".to_owned()),
        namespace: Some("shop".to_owned()),
        ..ObjectMeta::default()
    };
    sealed
}

fn fingerprint(key: &RingKey) -> String {
    key.fingerprint().to_string()
}

/// Returns the result, and the number of private-key operations.
fn count(sealed: &SealedSecret, preferred: &[String]) -> (Finished, usize) {
    let mut decryption = Decryption::new(sealed, &ring(), V1Data::Accepted, preferred).unwrap();
    let mut slices = 0;
    // A slice without operations does all free work, so that the number of slices is the number of operations.
    let mut operations = 0;
    loop {
        match decryption.advance(&mut { operations }) {
            Step::Unfinished(rest) => decryption = rest,
            Step::Finished(finished) => return (finished, slices),
        }
        operations = 1;
        slices += 1;
    }
}

fn item_count(finished: &Finished) -> usize {
    match &finished.outcome {
        Ok(Content::Items(items)) => items.values().filter(|value| value.as_slice() == b"canary").count(),
        Ok(Content::V1(_)) | Err(_) => 0,
    }
}

fn use_of(key: &RingKey, items: u32) -> KeyUse {
    KeyUse { fingerprint: key.fingerprint().clone(), items }
}

#[test]
fn the_newest_key_is_tried_first() {
    let (finished, operations) = count(&sealed(&[("a", &KEYS[3], Scope::Strict)]), &[]);
    assert_eq!((item_count(&finished), operations), (1, 1));
}

#[test]
fn the_key_that_decrypted_the_previous_item_is_tried_first() {
    let items = ["a", "b", "c"].map(|name| (name, &*KEYS[0], Scope::Strict));
    let (finished, operations) = count(&sealed(&items), &[]);
    assert_eq!((item_count(&finished), operations), (3, 4 + 1 + 1));
}

#[test]
fn the_items_that_each_key_opened_are_counted_and_the_key_that_was_used_last_comes_first() {
    let items =
        [("a", 1), ("b", 2), ("c", 1), ("d", 0)].map(|(name, key)| (name, &*KEYS[key], Scope::Strict));
    let finished = count(&sealed(&items), &[]).0;
    assert_eq!(finished.keys, [use_of(&KEYS[0], 1), use_of(&KEYS[1], 2), use_of(&KEYS[2], 1)]);
    assert_eq!(finished.undecryptable, 0);
}

#[test]
fn items_that_decrypt_are_counted_even_if_others_do_not() {
    let object = sealed(&[
        ("a", &KEYS[1], Scope::Strict),
        ("b", &FOREIGN, Scope::Strict),
        ("c", &LARGER, Scope::Strict),
        ("d", &KEYS[1], Scope::Strict),
    ]);
    let finished = count(&object, &[]).0;
    assert!(finished.outcome.is_err());
    assert_eq!((finished.keys, finished.undecryptable), (vec![use_of(&KEYS[1], 2)], 2));
}

#[test]
fn with_the_preferred_key_a_long_ring_costs_as_little_as_a_short_one() {
    let items = ["a", "b"].map(|name| (name, &*KEYS[0], Scope::Strict));
    let (finished, operations) = count(&sealed(&items), &[fingerprint(&KEYS[0])]);
    assert_eq!((item_count(&finished), operations), (2, 2));
}

#[test]
fn a_preferred_key_that_is_not_on_the_ring_or_does_not_decrypt_changes_nothing() {
    let object = sealed(&[("a", &KEYS[3], Scope::Strict)]);
    for preferred in [fingerprint(&FOREIGN), fingerprint(&KEYS[0]), "rubbish".to_owned()] {
        assert_eq!(item_count(&count(&object, &[preferred]).0), 1);
    }
}

#[test]
fn all_items_that_do_not_decrypt_are_named_however_small_the_slices() {
    let object = sealed(&[
        ("a", &FOREIGN, Scope::Strict),
        ("b", &KEYS[1], Scope::Strict),
        ("c", &FOREIGN, Scope::Strict),
        ("d", &LARGER, Scope::Strict),
    ]);
    let (finished, operations) = count(&object, &[]);
    let error = finished.outcome.err().unwrap();
    assert_eq!(error.to_string(), "no key could decrypt secret (a, c, d)");
    assert_eq!(operations, 4 + 3 + 4, "an item that fits no key costs nothing");
    assert_eq!(decrypt_all(&object, &ring(), V1Data::Accepted).err(), Some(error));
}

#[test]
fn however_many_items_do_not_decrypt_the_error_is_short_and_begins_like_the_originals() {
    let mut sealed = sealed(&[("a", &FOREIGN, Scope::Strict), ("b", &FOREIGN, Scope::Strict)]);
    let text =
        |sealed: &SealedSecret| decrypt_all(sealed, &ring(), V1Data::Accepted).err().unwrap().to_string();
    assert_eq!(text(&sealed), "no key could decrypt secret (a, b)");
    let name = |number: usize| format!("item-{number:04}");
    // Each item has its error at another offset, and so another sentence.
    let wrong = (0..2_000).map(|number| (name(number), format!("{}%", "AAAA".repeat(number))));
    let unframed = (2_000..4_500).map(|number| (name(number), "AAAA".to_owned()));
    sealed.spec.encrypted_data.extend(wrong.chain(unframed));
    sealed.spec.encrypted_data.insert("x".repeat(100_000), "AAAA".to_owned());
    let told = text(&sealed);
    assert!(told.starts_with("no key could decrypt secret (a, b, item-2000, item-2001, "), "{told}");
    let first = told.lines().next().unwrap();
    assert!(first.ends_with(" more)"), "{first}");
    assert!(told.len() < 8_000 && told.lines().count() <= 21, "{} bytes", told.len());
}

#[test]
fn over_http_the_first_item_that_does_not_open_ends_the_work() {
    let object = sealed(&[("a", &FOREIGN, Scope::Strict), ("b", &KEYS[1], Scope::Strict)]);
    let verified = |object: &SealedSecret| {
        let mut random = StdRng::seed_from_u64(1);
        re_encrypt(&mut random, object, &ring(), V1Data::Accepted, Renewal::Nothing, &|| true)
    };
    assert!(verified(&object).is_none());
    assert!(verified(&sealed(&[("b", &KEYS[1], Scope::Strict)])).is_some());
}

fn annotated(mut sealed: SealedSecret, annotation: &str) -> SealedSecret {
    sealed.metadata.annotations = Some([(annotation.to_owned(), "true".to_owned())].into());
    sealed
}

/// Returns the diagnosis in slices of this size, and the number of private-key operations that it was granted.
fn diagnosis(sealed: &SealedSecret, slice: usize) -> (String, usize) {
    let error = decrypt_all(sealed, &ring(), V1Data::Accepted).err().unwrap();
    let mut examination = Examination::new(sealed, &ring(), &error).unwrap();
    let mut granted = 0;
    loop {
        match examination.advance(slice) {
            Examined::Unfinished(rest) => examination = rest,
            Examined::Finished(diagnosis) => return (diagnosis.to_string(), granted + slice),
        }
        granted += slice;
    }
}

#[test]
fn an_item_of_another_scope_is_diagnosed_with_the_annotation_that_helps() {
    let object = sealed(&[("a", &KEYS[0], Scope::NamespaceWide), ("b", &KEYS[3], Scope::ClusterWide)]);
    assert_eq!(
        diagnosis(&object, 1).0,
        "spec.encryptedData[\"a\"]: it was sealed with scope namespace-wide, and this SealedSecret is strict: its metadata \
         needs the annotation sealedsecrets.bitnami.com/namespace-wide: \"true\", without \
         sealedsecrets.bitnami.com/cluster-wide\n\
         spec.encryptedData[\"b\"]: it was sealed with scope cluster-wide, and this SealedSecret is strict: its metadata \
         needs the annotation sealedsecrets.bitnami.com/cluster-wide: \"true\""
    );
    let object = annotated(sealed(&[("a", &KEYS[2], Scope::Strict)]), NAMESPACE_WIDE_ANNOTATION);
    assert_eq!(
        diagnosis(&object, LIMIT).0,
        "spec.encryptedData[\"a\"]: it was sealed with scope strict, and this SealedSecret is namespace-wide: remove the \
         annotations sealedsecrets.bitnami.com/namespace-wide and sealedsecrets.bitnami.com/cluster-wide from its metadata"
    );
}

#[test]
fn a_scope_counts_only_if_the_whole_item_decrypts() {
    let mut object = sealed(&[("a", &KEYS[0], Scope::ClusterWide)]);
    let text = object.spec.encrypted_data.get_mut("a").unwrap();
    text.replace_range(text.len() - 8..text.len() - 4, "AAAA");
    assert!(diagnosis(&object, LIMIT).0.contains("no key of this cluster decrypts it"));
}

#[test]
fn an_item_for_a_key_of_another_size_is_diagnosed_without_an_operation() {
    let (text, granted) = diagnosis(&sealed(&[("a", &LARGER, Scope::Strict)]), 0);
    assert_eq!(
        (text.as_str(), granted),
        (
            "spec.encryptedData[\"a\"]: it is sealed for a key of 3072 bits, and no key of this cluster has that size",
            0
        )
    );
}

#[test]
fn no_key_is_said_only_when_every_key_was_tried_in_every_scope() {
    let names: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), &**FOREIGN, Scope::Strict)).collect();
    let object = sealed(&items);
    // Two scopes and four keys per item: the limit suffices for 25 of the 30.
    let (text, granted) = diagnosis(&object, 8);
    assert_eq!(granted, LIMIT);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[20]), (21, "and 10 more items"));
    assert!(lines[..20].iter().all(|line| line.contains("no key of this cluster decrypts it")));
    let few: Vec<_> = items[..26].iter().skip(10).copied().collect();
    let text = diagnosis(&sealed(&few), LIMIT).0;
    assert!(!text.contains("not determined"), "{text}");
    let nearly: Vec<_> = items[..19].to_vec();
    let many_keys =
        KeyRing::new(KEYS.iter().cloned().chain((10..12).map(|year| key(year, KeySize::Rsa2048))).collect());
    let error = decrypt_all(&sealed(&nearly), &many_keys, V1Data::Accepted).err().unwrap();
    let Examined::Finished(told) =
        Examination::new(&sealed(&nearly), &many_keys, &error).unwrap().advance(LIMIT)
    else {
        panic!("the limit ends it");
    };
    // Two scopes and six keys: 16 items take 192 operations, and the 17th is started but not finished.
    let undetermined = told.to_string().lines().filter(|line| line.contains("not determined")).count();
    assert_eq!(undetermined, 3);
}

#[test]
fn items_named_in_the_error_are_not_diagnosed() {
    let mut object = sealed(&[]);
    object.spec.encrypted_data.insert("a".to_owned(), "%%%".to_owned());
    let error = decrypt_all(&object, &ring(), V1Data::Accepted).err().unwrap();
    assert_eq!(error.to_string(), "illegal base64 data at input byte 0 (a)");
    assert!(Examination::new(&object, &ring(), &error).is_none());
}
