//! A key is retired only after this process has decrypted every item of the cluster with the other keys.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_crds::names::{OFF_RING_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION};
use sealed_secrets_tests::{Cluster, Edition, Reach, until};
use serde_json::{Value, json};

use crate::key_scene::{KeyScene, LABEL, SMALL, condition, key_secret};
use crate::scene::CANARY;
use crate::support::PATIENCE;

/// Two keys in a cluster of their own, and an object `db` sealed with the first. Returns the keys' names.
async fn object_on_the_first_of_two_keys() -> (KeyScene, [String; 2]) {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let scene = KeyScene::start(cluster, installation, &[]).await;
    scene.apply_policy(&json!({})).await;
    seal(&scene, "db").await;
    scene.request_rotation().await;
    let names = scene.until_keys(2).await;
    scene.until_offered(&names[1]).await;
    (scene, names.try_into().unwrap())
}

async fn seal(scene: &KeyScene, name: &str) {
    scene.0.seal_and_create(&scene.0.secret(name, "password", CANARY)).await;
    scene.0.until_synced(name, "True").await;
}

/// Waits until the policy reports a blocker with these words.
pub(crate) async fn until_blocked(scene: &KeyScene, words: &str) {
    let told = |status: &_| {
        let (_, reason, message) = condition(status, "Rotating");
        reason == "RotationBlocked" && message.contains(words)
    };
    scene.until_policy(words, told).await;
}

async fn metric(scene: &KeyScene, name: &str) -> String {
    let page = scene.controller().metrics().await.unwrap();
    let beginning = format!("sealed_secrets_controller_{name} ");
    page.lines().find_map(|line| line.strip_prefix(&beginning)).unwrap().to_owned()
}

async fn restart(scene: &mut KeyScene) {
    scene.0.controller.stop().await.unwrap();
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
}

#[tokio::test]
async fn a_key_retires_when_nothing_needs_it_and_every_item_decrypts() {
    let (scene, [first, _]) = object_on_the_first_of_two_keys().await;
    let mut broken = scene.0.seal(&scene.0.secret("broken", "password", CANARY)).await;
    broken["spec"]["encryptedData"]["password"] = json!("AAAA");
    scene.0.create(&broken).await;
    scene.0.until_synced("broken", "False").await;
    scene.say(&first, &json!({"state": "Retired"})).await;
    until_blocked(&scene, "UsageIncomplete").await;
    scene.0.sealed_secrets().delete("broken", &DeleteParams::default()).await.unwrap();
    until_blocked(&scene, "RetiresWhileUsed").await;
    let renewed = scene.0.seal(&scene.0.secret("db", "password", CANARY)).await;
    scene.0.merge("db", &json!({"spec": {"encryptedData": renewed["spec"]["encryptedData"]}})).await;
    scene.until_labelled(&first, "retired").await;
    scene.0.until_synced("db", "True").await;
}

/// Backdates an annotation by years.
async fn since_long(scene: &KeyScene, key: &str, annotation: &str) {
    let change = json!({"metadata": {"annotations": {annotation: "2020-01-01T00:00:00Z"}}});
    scene.secrets().patch(key, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

#[tokio::test]
async fn a_key_unused_for_long_retires_and_is_later_deleted_by_the_policy() {
    let (scene, [first, _]) = object_on_the_first_of_two_keys().await;
    scene.request_rotation().await;
    scene.until_keys(3).await;
    let retention = json!({"keepAtLeast": 2, "retireWhenUnusedFor": "1h", "deleteAfterRetired": "1h"});
    scene.apply_policy(&json!({"retention": retention})).await;
    scene.0.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let is_noted = |key: &Secret| key.annotations().contains_key(UNUSED_SINCE_ANNOTATION);
    let noted = scene.0.until_secret(&first, "noted as unused", is_noted).await;
    assert_eq!(noted.labels()[LABEL], "active", "the hour is not over");
    since_long(&scene, &first, UNUSED_SINCE_ANNOTATION).await;
    let retired = scene.until_labelled(&first, "retired").await;
    assert!(retired.annotations().contains_key(OFF_RING_SINCE_ANNOTATION), "{retired:?}");
    since_long(&scene, &first, OFF_RING_SINCE_ANNOTATION).await;
    scene.until_event("KeyDeleted", &first).await;
    let left = scene.names().await;
    assert!(left.len() == 2 && !left.contains(&first), "{left:?}");
}

#[tokio::test]
async fn time_in_which_an_item_did_not_decrypt_does_not_count_and_is_reported_from_the_first_day() {
    let (scene, [first, _]) = object_on_the_first_of_two_keys().await;
    scene.apply_policy(&json!({"retention": {"keepAtLeast": 1, "retireWhenUnusedFor": "26w"}})).await;
    scene.0.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let is_noted = |key: &Secret| key.annotations().contains_key(UNUSED_SINCE_ANNOTATION);
    scene.0.until_secret(&first, "noted as unused", is_noted).await;
    let mut broken = scene.0.seal(&scene.0.secret("broken", "password", CANARY)).await;
    broken["spec"]["encryptedData"]["password"] = json!("AAAA");
    scene.0.create(&broken).await;
    scene.0.until_secret(&first, "nobody knows", |key| !is_noted(key)).await;
    until_blocked(&scene, "UsageIncomplete: no unused key retires").await;
    scene.until_event("RotationBlocked", "UsageIncomplete: no unused key retires").await;
    scene.0.sealed_secrets().delete("broken", &DeleteParams::default()).await.unwrap();
    scene.0.until_secret(&first, "noted anew", is_noted).await;
    assert_eq!(scene.secrets().get(&first).await.unwrap().labels()[LABEL], "active");
}

#[tokio::test]
async fn a_controller_of_one_namespace_reports_that_it_cannot_retire_unused_keys() {
    let scene = KeyScene::set().await;
    scene.until_keys(1).await;
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    scene.create_secret(&key_secret("unused", "active", hour_ago)).await;
    scene.apply_policy(&json!({"retention": {"keepAtLeast": 1, "retireWhenUnusedFor": "26w"}})).await;
    until_blocked(&scene, "UsageIncomplete: no unused key retires").await;
    let unused = scene.secrets().get("unused").await.unwrap();
    assert!(!unused.annotations().contains_key(UNUSED_SINCE_ANNOTATION), "{:?}", unused.annotations());
}

#[tokio::test]
async fn after_a_restart_every_item_is_decrypted_before_a_key_retires_and_nothing_is_written() {
    let (mut scene, [first, _]) = object_on_the_first_of_two_keys().await;
    scene.0.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    seal(&scene, "later").await;
    let before =
        (scene.0.sealed_secrets().get("later").await.unwrap(), scene.secrets().get("later").await.unwrap());
    restart(&mut scene).await;
    scene.say(&first, &json!({"state": "Retired"})).await;
    scene.until_labelled(&first, "retired").await;
    assert_eq!(metric(&scene, "unseal_requests_total").await, "0", "to look is not an attempt");
    let after =
        (scene.0.sealed_secrets().get("later").await.unwrap(), scene.secrets().get("later").await.unwrap());
    assert_eq!(after.0.resource_version(), before.0.resource_version());
    assert_eq!(after.1.resource_version(), before.1.resource_version());
}

#[tokio::test]
async fn a_status_that_lies_about_its_key_retires_none() {
    let (mut scene, [first, second]) = object_on_the_first_of_two_keys().await;
    let certificate = scene.secrets().get(&second).await.unwrap().data.unwrap()["tls.crt"].0.clone();
    let fingerprint = SealingCertificate::from_pem(&certificate).unwrap().fingerprint().to_string();
    scene.0.controller.stop().await.unwrap();
    let lie = json!({"status": {"lastSuccess": {"keys": [{"fingerprint": fingerprint, "items": 1}]}}});
    let change = Patch::Merge(lie);
    scene.0.sealed_secrets().patch_status("db", &PatchParams::default(), &change).await.unwrap();
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let shown = format!("sealed_secrets_controller_key_items{{fingerprint=\"{fingerprint}\"}} 1\n");
    let believed = async || scene.controller().metrics().await.unwrap().contains(&shown).then_some(());
    until("the status is shown as long as nothing depends on it", PATIENCE, believed).await.unwrap();
    scene.say(&first, &json!({"state": "Retired"})).await;
    until_blocked(&scene, "RetiresWhileUsed").await;
    assert_eq!(scene.secrets().get(&first).await.unwrap().labels()[LABEL], "active");
    assert_eq!(metric(&scene, "stale_items").await, "1", "what was seen counts more than what was told");
    let stale = |object: &Value| object["status"]["conditions"].to_string().contains("Stale");
    assert!(stale(&scene.0.sealed_secrets().get("db").await.unwrap().data));
}
