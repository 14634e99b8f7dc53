//! The primary key while other keys, or the data about them, are invalid.

use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use sealed_secrets_crds::{SealingKeyPhase, SealingKeyPolicyStatus};
use sealed_secrets_tests::{Cluster, Fault, until};
use serde_json::json;

use crate::controller_keys::without_watch_on_secrets;
use crate::key_scene::{KeyScene, condition, key_secret};
use crate::rotation_doors::on_an_old_key;
use crate::rotation_faults::{is_write, with_proxy};
use crate::support::PATIENCE;

#[tokio::test]
async fn a_new_key_is_offered_only_after_a_list_has_shown_it() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let before = scene.controller().certificate().await.unwrap();
    let is_made = AtomicBool::new(false);
    proxy.fail(move |method, path| {
        is_made.fetch_or(is_write(method, path, (&Method::POST, "/secrets")), Ordering::SeqCst);
        let is_list = method == Method::GET && path.contains("/secrets?") && !path.contains("watch=");
        (is_list && is_made.load(Ordering::SeqCst)).then_some(Fault::Status(500))
    });
    scene.request_rotation().await;
    let names = scene.until_keys(2).await;
    let failed = async || (proxy.faults() >= 3).then_some(());
    until("three turns have seen no key", PATIENCE, failed).await.unwrap();
    assert_eq!(scene.controller().certificate().await.unwrap(), before);
    proxy.heal();
    scene.until_offered(names.iter().find(|name| **name != first).unwrap()).await;
}

#[tokio::test]
async fn without_the_right_to_watch_a_new_key_is_offered_within_the_polling_time() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    without_watch_on_secrets(&cluster, installation.namespace()).await;
    let scene = KeyScene::start(cluster, installation, &[]).await;
    scene.0.until_logged("the permission to watch key Secrets is missing").await;
    let now = scene.later_than_all_keys().await;
    scene.create_secret(&key_secret("younger", "active", now)).await;
    scene.until_offered("younger").await;
}

/// Marks a key as compromised once its SealingKey exists.
async fn revoke(scene: &KeyScene, name: &str) {
    scene.until_phase(name, SealingKeyPhase::Primary).await;
    scene.say(name, &json!({"state": "Compromised"})).await;
}

#[tokio::test]
async fn of_external_keys_the_next_leads_when_one_is_compromised_and_after_the_last_none_does() {
    let scene = on_an_old_key(json!({"keySource": "External"}), &[]).await;
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    scene.create_secret(&key_secret("younger", "active", hour_ago)).await;
    scene.until_offered("younger").await;
    revoke(&scene, "younger").await;
    scene.until_offered("old").await;
    revoke(&scene, "old").await;
    let none_leads = |status: &SealingKeyPolicyStatus| {
        status.primary.is_none() && condition(status, "Ready").1 == "NoPrimary"
    };
    let status = scene.until_policy("no key leads", none_leads).await;
    assert_eq!(condition(&status, "Ready").0, "False");
    assert!(condition(&status, "Rotating").2.contains("ExternalKeys"), "{:?}", status.conditions);
    assert_eq!(scene.controller().get("/v1/cert.pem").await.unwrap().status, 500);
    assert_eq!(scene.names().await, ["old", "younger"]);
    scene.create_secret(&key_secret("brought", "active", Timestamp::now())).await;
    scene.until_offered("brought").await;
}

#[tokio::test]
async fn a_pin_on_a_compromised_key_is_reported_and_its_successor_is_primary() {
    let scene = on_an_old_key(json!({"primary": {"pin": "old"}}), &[]).await;
    revoke(&scene, "old").await;
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| *name != "old").unwrap();
    scene.until_offered(new).await;
    let is_told = |status: &SealingKeyPolicyStatus| {
        let leads = status.primary.as_ref().is_some_and(|primary| primary.name == *new);
        leads && condition(status, "Rotating").2.contains("PinIgnored: old")
    };
    scene.until_policy("the pin is ignored", is_told).await;
}

#[tokio::test]
async fn when_the_policy_is_deleted_the_flags_rule_and_no_key_goes() {
    let scene = on_an_old_key(json!({"keySource": "External"}), &["--key-renew-period=1h"]).await;
    scene.until_phase("old", SealingKeyPhase::Primary).await;
    assert_eq!(scene.names().await, ["old"]);
    scene.policies().delete("default", &DeleteParams::default()).await.unwrap();
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| *name != "old").unwrap();
    scene.until_offered(new).await;
    scene.until_phase("old", SealingKeyPhase::DecryptOnly).await;
}
