//! Clock skew: no key is created, retired, removed or deleted because of it; the skew is reported, and everything is done after
//! it is corrected.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};
use sealed_secrets_crds::{SealingKeyPhase, SealingKeyPolicyStatus};
use sealed_secrets_tests::{Cluster, Reach, until};
use serde_json::{Value, json};

use crate::key_scene::{KeyScene, LABEL, condition, key_secret};
use crate::rotation_faults::{behind_proxy, with_proxy};
use crate::support::PATIENCE;

/// A time a year ahead of the controller's clock, and one a year behind.
fn years() -> [String; 2] {
    [365, -365].map(|days| {
        let date = Timestamp::now() + SignedDuration::from_hours(days * 24);
        date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    })
}

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

fn tells_skew(status: &SealingKeyPolicyStatus) -> bool {
    !status.conditions.is_empty() && condition(status, "Rotating").2.starts_with("ClockSkew")
}

#[tokio::test]
async fn under_clock_skew_no_key_is_created_and_the_skew_is_reported_until_the_clock_is_set() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    for date in &years() {
        let before = scene.names().await.len();
        proxy.pretend_date(Some(date));
        let request = scene.request_rotation().await;
        let status = scene.until_policy("blocked", tells_skew).await;
        assert_eq!((condition(&status, "Rotating").0.as_str(), status.failed_attempts), ("True", 0));
        assert_eq!(scene.names().await.len(), before);
        proxy.pretend_date(None);
        scene.until_handled(&request).await;
        scene.until_keys(before + 1).await;
    }
    scene.until_event("RotationBlocked", "ClockSkew").await;
}

/// Imports a key that started an hour ago, with these annotations.
async fn plant(scene: &KeyScene, name: &str, label: &str, annotations: &Value) {
    let mut key = key_secret(name, label, Timestamp::now() - SignedDuration::from_hours(1));
    key.metadata.annotations = serde_json::from_value(annotations.clone()).unwrap();
    scene.create_secret(&key).await;
}

#[tokio::test]
async fn no_key_is_removed_retired_or_deleted_while_the_clock_is_off() {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let (proxy, kubeconfig) = behind_proxy(&installation).await;
    let scene = KeyScene::start(cluster, installation, &[&kubeconfig]).await;
    scene.until_keys(1).await;
    let retention = json!({"keepAtLeast": 2, "retireWhenUnusedFor": "1h", "deleteAfterRetired": "1h"});
    scene.apply_policy(&json!({"retention": retention})).await;
    plant(&scene, "other", "active", &json!({})).await;
    for (round, date) in years().iter().enumerate() {
        proxy.pretend_date(Some(date));
        let [compromised, unused, retired, new] =
            ["compromised", "unused", "retired", "new"].map(|name| format!("{name}-{round}"));
        let leaked = json!({
            KEY_STATE_ANNOTATION: "Compromised", STATE_SINCE_ANNOTATION: LONG_AGO,
            COMPROMISED_SINCE_ANNOTATION: LONG_AGO, DECRYPT_UNTIL_ANNOTATION: LONG_AGO
        });
        plant(&scene, &compromised, "active", &leaked).await;
        plant(&scene, &unused, "active", &json!({UNUSED_SINCE_ANNOTATION: LONG_AGO})).await;
        plant(&scene, &retired, "retired", &json!({OFF_RING_SINCE_ANNOTATION: LONG_AGO})).await;
        scene.until_policy("blocked", tells_skew).await;
        plant(&scene, &new, "active", &json!({})).await;
        scene.until_phase(&new, SealingKeyPhase::DecryptOnly).await;
        // The latest key has a SealingKey, so the actions for the others would have happened by now.
        let last = format!("last-{round}");
        plant(&scene, &last, "active", &json!({})).await;
        scene.until_phase(&last, SealingKeyPhase::DecryptOnly).await;
        for (name, label) in [(&compromised, "active"), (&unused, "active"), (&retired, "retired")] {
            assert_eq!(scene.secrets().get(name).await.unwrap().labels()[LABEL], label, "{name}");
        }
        let noted = scene.secrets().get(&new).await.unwrap();
        assert!(!noted.annotations().contains_key(UNUSED_SINCE_ANNOTATION), "no date is written");
        proxy.pretend_date(None);
        scene.until_labelled(&compromised, "compromised").await;
        scene.until_labelled(&unused, "retired").await;
        let gone = async || scene.secrets().get_opt(&retired).await.unwrap().is_none().then_some(());
        until("the retired key is deleted", PATIENCE, gone).await.unwrap();
        let is_noted = |key: &Secret| key.annotations().contains_key(UNUSED_SINCE_ANNOTATION);
        scene.0.until_secret(&new, "noted as unused", is_noted).await;
        scene.until_policy("not blocked", |status| !tells_skew(status)).await;
    }
}

#[tokio::test]
async fn a_compromised_key_is_not_offered_even_while_the_clock_is_off_and_has_a_successor_when_it_is_set() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    plant(&scene, "older", "active", &json!({})).await;
    scene.until_phase("older", SealingKeyPhase::DecryptOnly).await;
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    proxy.pretend_date(Some(&years()[0]));
    scene.say(&first, &json!({"state": "Compromised"})).await;
    scene.until_offered("older").await;
    scene.until_policy("blocked", tells_skew).await;
    let secret = scene.secrets().get(&first).await.unwrap();
    assert_eq!(secret.annotations().get(KEY_STATE_ANNOTATION).map(String::as_str), Some("Compromised"));
    assert!(!secret.annotations().contains_key(STATE_SINCE_ANNOTATION), "no date is written");
    assert_eq!(scene.names().await.len(), 2);
    proxy.pretend_date(None);
    let names = scene.until_keys(3).await;
    let new = names.iter().find(|name| **name != first && *name != "older").unwrap();
    scene.until_offered(new).await;
    let secret = scene.secrets().get(&first).await.unwrap();
    assert!(secret.annotations().contains_key(STATE_SINCE_ANNOTATION));
}

/// An hour from now, as a date of RFC 9110 and of a policy.
fn in_an_hour() -> (String, String) {
    let moment = Timestamp::now() + SignedDuration::from_hours(1);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&moment).unwrap();
    (date, Timestamp::from_second(moment.as_second()).unwrap().to_string())
}

#[tokio::test]
async fn a_request_that_is_dated_ahead_of_our_clock_is_reported_as_clock_skew() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let (date, request) = in_an_hour();
    proxy.pretend_date(Some(&date));
    scene.annotate_policy(&request).await;
    scene.until_policy("blocked", tells_skew).await;
    scene.until_event("RotationBlocked", "ClockSkew").await;
    proxy.pretend_date(None);
    let waits = |status: &SealingKeyPolicyStatus| {
        !tells_skew(status) && status.next_rotation_time.as_ref() == Some(&request)
    };
    scene.until_policy("scheduled", waits).await;
    assert_eq!(scene.names().await.len(), 1);
}

#[tokio::test]
async fn a_signal_asks_for_a_key_by_the_clock_of_the_api_server() {
    let (mut scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let (date, moment) = in_an_hour();
    scene.until_policy("a month from now", |status| status.next_rotation_time.is_some()).await;
    proxy.pretend_date(Some(&date));
    scene.0.controller.process().signal("USR1").unwrap();
    let asks = |status: &SealingKeyPolicyStatus| status.next_rotation_time.as_ref() == Some(&moment);
    scene.until_policy("asked for", asks).await;
    assert_eq!(scene.names().await.len(), 1);
}
