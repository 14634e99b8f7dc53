//! When a key is made and what it is called: time is moved by hand.

#![cfg(test)]

use std::sync::{Arc, LazyLock};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, SealingKey};
use sealed_secrets_core::rotation::{Occasion, Plan, RotationPolicy, plan, successor_name};

const DAY: i64 = 86_400;

static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [0, 1].map(|_| KeyPair::generate(KeySize::Rsa2048).unwrap()));

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + day * DAY).unwrap()
}

fn key(which: usize, not_before: i64, created: i64, label: &str, order_by: OrderBy) -> Arc<SealingKey> {
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: at(not_before),
        validity: SignedDuration::from_hours(24),
        serial: [1; 16],
    };
    let certificate = request.self_sign(&KEYS[which]).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    let data =
        [field("tls.key", &KEYS[which].expose_pkcs1_pem().unwrap()), field("tls.crt", certificate.pem())];
    let metadata = ObjectMeta {
        creation_timestamp: Some(Time(at(created))),
        labels: Some([("sealedsecrets.bitnami.com/sealed-secrets-key".to_owned(), label.to_owned())].into()),
        ..ObjectMeta::default()
    };
    let secret = Secret { metadata, data: Some(data.into()), ..Secret::default() };
    Arc::new(SealingKey::from_secret(&secret, order_by).unwrap())
}

fn ring(not_before: i64, created: i64) -> KeyRing {
    KeyRing::new(vec![key(0, not_before, created, "active", OrderBy::CertNotBefore)])
}

fn every_30_days() -> RotationPolicy {
    RotationPolicy { every: Some(SignedDuration::from_hours(24 * 30)), rotate_after: None }
}

#[test]
fn an_empty_ring_gets_its_first_key_whatever_the_policy() {
    let planned = plan(&RotationPolicy::default(), &KeyRing::default(), at(0));
    assert_eq!(planned, Plan { generate: Some(Occasion::FirstKey), look_again_at: None });
}

#[test]
fn a_young_key_is_left_alone_until_its_period_is_over() {
    assert_eq!(
        plan(&every_30_days(), &ring(0, 0), at(29)),
        Plan { generate: None, look_again_at: Some(at(30)) }
    );
    assert_eq!(plan(&every_30_days(), &ring(0, 0), at(30)).generate, Some(Occasion::PeriodOver));
}

#[test]
fn without_a_period_nothing_is_ever_due() {
    assert_eq!(
        plan(&RotationPolicy::default(), &ring(0, 0), at(9999)),
        Plan { generate: None, look_again_at: None }
    );
}

#[test]
fn a_request_is_met_by_a_key_that_began_at_that_very_second() {
    let policy = RotationPolicy { every: None, rotate_after: Some(at(5)) };
    assert_eq!(plan(&policy, &ring(4, 4), at(6)).generate, Some(Occasion::Requested));
    assert_eq!(plan(&policy, &ring(5, 5), at(6)), Plan { generate: None, look_again_at: None });
}

#[test]
fn a_request_for_the_future_waits_for_its_moment() {
    let policy = RotationPolicy { every: None, rotate_after: Some(at(5)) };
    assert_eq!(plan(&policy, &ring(0, 0), at(4)), Plan { generate: None, look_again_at: Some(at(5)) });
}

#[test]
fn a_key_dated_in_the_future_counts_as_made() {
    let policy = RotationPolicy { rotate_after: Some(at(0)), ..every_30_days() };
    assert_eq!(plan(&policy, &ring(1, 1), at(0)).generate, None);
}

#[test]
fn a_certificate_dated_a_year_after_its_secret_is_judged_by_the_secret() {
    assert_eq!(plan(&every_30_days(), &ring(365, 0), at(31)).generate, Some(Occasion::PeriodOver));
}

#[test]
fn the_newest_key_is_chosen_by_the_order_that_was_asked_for() {
    let newest = |order_by| {
        let keys = vec![key(0, 1, 9, "active", order_by), key(1, 2, 8, "active", order_by)];
        KeyRing::new(keys).primary().unwrap().fingerprint().clone()
    };
    assert_eq!(newest(OrderBy::CertNotBefore), *KEYS[1].fingerprint());
    assert_eq!(newest(OrderBy::SecretCreationTimestamp), *KEYS[0].fingerprint());
}

#[test]
fn keys_of_the_same_age_have_the_same_order_in_every_replica() {
    let keys = || [0, 1].map(|which| key(which, 1, 1, "active", OrderBy::CertNotBefore)).to_vec();
    let reversed = keys().into_iter().rev().collect();
    assert_eq!(
        KeyRing::new(keys()).primary().unwrap().fingerprint(),
        KeyRing::new(reversed).primary().unwrap().fingerprint()
    );
}

#[test]
fn a_pending_key_is_the_newest_but_does_not_lead() {
    let keys =
        vec![key(0, 1, 1, "active", OrderBy::CertNotBefore), key(1, 2, 2, "pending", OrderBy::CertNotBefore)];
    let ring = KeyRing::new(keys);
    assert_eq!(ring.newest().unwrap().fingerprint(), KEYS[1].fingerprint());
    assert_eq!(ring.primary().unwrap().fingerprint(), KEYS[0].fingerprint());
}

/// Known answers: `printf 'UID\0FINGERPRINT\0N' | sha256sum | cut -c1-10 | xxd -r -p | base32 | tr A-Z a-z`.
#[test]
fn the_name_of_a_successor_is_what_the_shell_computes() {
    assert_eq!(successor_name("sealed-secrets-key", "uid-1", None, 0), "sealed-secrets-keyj3kmolou");
    let key = KeyPair::from_pem(include_bytes!("data/rsa2048-pkcs1.pem")).unwrap();
    assert_eq!(successor_name("k", "uid-1", Some(key.fingerprint()), 3), "kqf6yf7qt");
}
