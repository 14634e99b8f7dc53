//! Properties of all Secrets, items and byte strings.

#![cfg(test)]

mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::envelope::{Envelope, seal};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize, SealingCertificate};
use sealed_secrets_core::decryption::{DecryptionError, ItemError, V1Data, decrypt_value};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::{seal_secret, seal_value};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, unseal};
use sealed_secrets_crds::{Scope, SealedSecret};
use zeroize::Zeroizing;

use self::world::Still;

struct Installation {
    certificate: SealingCertificate,
    ring: KeyRing,
}

fn installation(name: &str) -> Installation {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: Timestamp::from_second(1_700_000_000).unwrap(),
        validity: SignedDuration::from_hours(24),
        serial: [7; 16],
    };
    let certificate = request.self_sign(&key).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    let data = [field("tls.key", &key.expose_pkcs1_pem().unwrap()), field("tls.crt", certificate.pem())];
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
    let key = RingKey::from_secret(&secret, OrderBy::CertNotBefore).unwrap();
    Installation { certificate, ring: KeyRing::new(vec![Arc::new(key)]) }
}

static OURS: LazyLock<Installation> = LazyLock::new(|| installation("ours"));
static THEIRS: LazyLock<Installation> = LazyLock::new(|| installation("theirs"));

fn unsealed(sealed: &SealedSecret) -> Result<Secret, UnsealError> {
    let mut renderer = Renderer { budget: &Budget::default(), sources: &mut Still::forever() };
    unseal(sealed, &OURS.ring, V1Data::Accepted, &mut renderer).map(|unsealed| unsealed.secret)
}

fn decrypted_by_ours(envelope: &Envelope<'_>, label: &Label) -> Option<Zeroizing<Vec<u8>>> {
    OURS.ring.iter().find_map(|key| envelope.decrypt(key.key_pair(), label))
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop::sample::select(Scope::ALL.to_vec())
}

fn any_text_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-z]{1,8}", ".{0,12}", 0..3)
}

prop_compose! {
    fn any_secret()(
        scope in any_scope(),
        mut annotations in any_text_map(),
        labels in any_text_map(),
        data in btree_map("[a-zA-Z0-9._-]{1,12}", vec(any::<u8>(), 0..200), 0..4),
        string_data in btree_map("[a-z]{1,12}", ".{0,40}", 0..3),
        type_ in prop::option::of("[a-z/.]{1,20}"),
        immutable in any::<Option<bool>>(),
    ) -> Secret {
        scope.write_to(&mut annotations);
        Secret {
            metadata: ObjectMeta {
                name: Some("db".to_owned()),
                namespace: Some("shop".to_owned()),
                annotations: Some(annotations),
                labels: Some(labels),
                uid: Some("stripped".to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
            string_data: Some(string_data),
            type_,
            immutable,
        }
    }
}

/// Merges `stringData` into `data`, as the API server does.
fn merged_data(secret: &Secret) -> BTreeMap<String, ByteString> {
    let mut data = secret.data.clone().unwrap_or_default();
    let text = secret.string_data.clone().unwrap_or_default();
    data.extend(text.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
    data
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_secret_survives_sealing_and_unsealing(secret in any_secret(), seed in any::<u64>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let sealed = seal_secret(&mut rng, OURS.certificate.public_key(), secret.clone()).unwrap();
        let decrypted = unsealed(&sealed).unwrap();
        prop_assert_eq!(decrypted.data.as_ref(), Some(&merged_data(&secret)));
        prop_assert_eq!(&decrypted.type_, &secret.type_);
        prop_assert_eq!(decrypted.immutable, secret.immutable);
        prop_assert_eq!(&decrypted.metadata.labels, &secret.metadata.labels);
        prop_assert_eq!(decrypted.metadata.annotations.unwrap_or_default(), secret.metadata.annotations.unwrap_or_default());
        prop_assert_eq!(decrypted.metadata.uid, None);
    }

    #[test]
    fn no_sealed_text_contains_its_plaintext(value in "[a-zA-Z0-9]{12,40}", seed in any::<u64>()) {
        let label = Label::new(Scope::Strict, "shop", "db");
        let mut rng = StdRng::seed_from_u64(seed);
        let item = seal_value(&mut rng, OURS.certificate.public_key(), &label, value.as_bytes()).unwrap();
        prop_assert!(!item.contains(&value));
    }

    #[test]
    fn another_installation_decrypts_nothing(value in vec(any::<u8>(), 0..64), seed in any::<u64>()) {
        let label = Label::new(Scope::ClusterWide, "", "");
        let mut rng = StdRng::seed_from_u64(seed);
        let item = seal_value(&mut rng, THEIRS.certificate.public_key(), &label, &value).unwrap();
        prop_assert_eq!(decrypt_value(&OURS.ring, &label, &item).unwrap_err(), ItemError::NoKey);
    }

    #[test]
    fn an_item_changed_in_one_byte_does_not_decrypt(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let label = Label::new(Scope::Strict, "shop", "db");
        let mut rng = StdRng::seed_from_u64(1);
        let mut item = seal(&mut rng, OURS.certificate.public_key(), &label, b"value").unwrap();
        let at = at.index(item.len());
        item[at] ^= flip;
        let decrypted = Envelope::parse(&item).ok().and_then(|envelope| decrypted_by_ours(&envelope, &label));
        prop_assert!(decrypted.is_none());
    }

    #[test]
    fn a_truncated_or_lengthened_item_does_not_decrypt(keep in any::<prop::sample::Index>(), surplus in vec(any::<u8>(), 1..40)) {
        let label = Label::new(Scope::Strict, "shop", "db");
        let mut rng = StdRng::seed_from_u64(2);
        let item = seal(&mut rng, OURS.certificate.public_key(), &label, b"value").unwrap();
        let truncated = item[..keep.index(item.len())].to_vec();
        for changed in [truncated, [item.clone(), surplus].concat()] {
            let decrypted = Envelope::parse(&changed).ok().and_then(|envelope| decrypted_by_ours(&envelope, &label));
            prop_assert!(decrypted.is_none());
        }
    }
}

proptest! {
    /// Stable counterpart of the fuzz target `envelope`.
    #[test]
    fn no_text_makes_decryption_panic(text in prop_oneof![".{0,80}", "[A-Za-z0-9+/=\r\n]{0,700}"]) {
        let label = Label::new(Scope::Strict, "shop", "db");
        prop_assert!(decrypt_value(&OURS.ring, &label, &text).is_err());
    }

    #[test]
    fn no_bytes_make_reading_keys_and_certificates_panic(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(KeyPair::from_pem(&bytes).is_err());
        prop_assert!(SealingCertificate::from_pem(&bytes).is_err());
        prop_assert!(KeyPair::from_file(&bytes).is_err());
        prop_assert!(SealingCertificate::from_file(&bytes).is_err());
    }

    #[test]
    fn line_breaks_within_an_item_do_not_matter_but_spaces_do(at in any::<prop::sample::Index>()) {
        let label = Label::new(Scope::Strict, "shop", "db");
        let mut rng = StdRng::seed_from_u64(3);
        let item = seal_value(&mut rng, OURS.certificate.public_key(), &label, b"value").unwrap();
        let at = at.index(item.len());
        let with = |text: &str| format!("{}{text}{}", &item[..at], &item[at..]);
        let decrypted = decrypt_value(&OURS.ring, &label, &with("\r\n")).unwrap();
        prop_assert_eq!(decrypted.as_slice(), b"value");
        prop_assert_eq!(decrypt_value(&OURS.ring, &label, &with(" ")).unwrap_err(), ItemError::NotBase64(at));
    }
}

#[test]
fn every_item_that_does_not_decrypt_is_named_after_upstreams_sentence() {
    let mut rng = StdRng::seed_from_u64(4);
    let data = ["a", "b"].map(|key| (key.to_owned(), ByteString(b"canary".to_vec())));
    let metadata =
        ObjectMeta { name: Some("db".into()), namespace: Some("shop".into()), ..ObjectMeta::default() };
    let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
    let mut sealed = seal_secret(&mut rng, THEIRS.certificate.public_key(), secret).unwrap();
    sealed.spec.encrypted_data.insert("c".into(), "%%%".into());
    sealed.spec.encrypted_data.insert("d".into(), "AgA=".into());
    let UnsealError::Decryption(DecryptionError::Items(errors)) = unsealed(&sealed).unwrap_err() else {
        panic!("items do not decrypt");
    };
    assert_eq!(
        errors.to_string(),
        "no key could decrypt secret (a, b, d)\n\
         illegal base64 data at input byte 0 (c)\n\
         spec.encryptedData[\"d\"]: it is cut short: 2 bytes, and at least 530 are needed"
    );
}

#[test]
fn the_last_applied_annotations_with_their_plaintext_are_left_out() {
    let annotation = |name: &str| (name.to_owned(), "{\"stringData\":{\"a\":\"canary\"}}".to_owned());
    let annotations = [
        annotation("kubectl.kubernetes.io/last-applied-configuration"),
        annotation("kubecfg.ksonnet.io/last-applied-configuration"),
    ];
    let metadata = ObjectMeta {
        name: Some("db".into()),
        namespace: Some("shop".into()),
        annotations: Some(annotations.into()),
        ..ObjectMeta::default()
    };
    let secret = Secret { metadata, ..Secret::default() };
    let sealed = seal_secret(&mut StdRng::seed_from_u64(5), OURS.certificate.public_key(), secret).unwrap();
    assert!(!serde_json::to_string(&sealed).unwrap().contains("canary"));
}

#[test]
fn a_strict_or_namespace_wide_secret_must_declare_a_namespace() {
    let metadata = ObjectMeta { name: Some("db".into()), ..ObjectMeta::default() };
    let secret = Secret { metadata, ..Secret::default() };
    let error =
        seal_secret(&mut StdRng::seed_from_u64(6), OURS.certificate.public_key(), secret).unwrap_err();
    assert_eq!(error.to_string(), "secret must declare a namespace");
}

#[test]
fn nothing_secret_shows_in_debug_output() {
    let key = OURS.ring.newest().unwrap();
    let shown = format!("{:?}", key.key_pair());
    assert_eq!(shown, format!("KeyPair {{ fingerprint: {:?}, .. }}", key.fingerprint()));
}
