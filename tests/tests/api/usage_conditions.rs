//! Counts and conditions of the keys that SealedSecrets need.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject};
use sealed_secrets_tests::{Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene};
use crate::support::PATIENCE;

/// A Secret with three items.
fn three_items(scene: &Scene, name: &str) -> Value {
    let mut secret = scene.secret(name, "password", CANARY);
    secret["stringData"] = json!({"password": CANARY, "token": CANARY, "user": "me"});
    secret
}

async fn opened(scene: &Scene, secret: &Value) {
    scene.seal_and_create(secret).await;
    scene.until_synced(secret["metadata"]["name"].as_str().unwrap(), "True").await;
}

/// The numbers on the metrics page that begin with this name.
async fn numbers(scene: &Scene, metric: &str) -> Vec<u64> {
    let page = scene.controller.metrics().await.unwrap();
    let beginning = format!("sealed_secrets_controller_{metric}");
    let samples = page.lines().filter(|line| line.starts_with(&beginning));
    let mut numbers: Vec<u64> =
        samples.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until the keys of the ring decrypt so many items, fewest first, and so many are not sealed with the primary.
async fn until_items(scene: &Scene, of_keys: &[u64], stale: u64) {
    let found = async || {
        let counted = numbers(scene, "key_items{").await == of_keys;
        (counted && numbers(scene, "stale_items").await == [stale]).then_some(())
    };
    until(&format!("the keys open {of_keys:?} items, {stale} are stale"), PATIENCE, found).await.unwrap();
}

fn condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == type_)
}

/// Waits until an object has this condition or has lost it, and returns the object.
async fn until_condition(scene: &Scene, name: &str, type_: &str, holds: bool) -> DynamicObject {
    let found = async || {
        let object = scene.sealed_secrets().get(name).await.unwrap();
        let current = object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
        (current && condition(&object, type_).is_some() == holds).then_some(object)
    };
    until(&format!("{type_} of {name} is there: {holds}"), PATIENCE, found).await.unwrap()
}

/// Seals the items again with the current certificate.
async fn re_encrypt(scene: &Scene, secret: &Value) {
    let sealed = scene.seal(secret).await;
    let name = secret["metadata"]["name"].as_str().unwrap();
    scene.merge(name, &json!({"spec": {"encryptedData": sealed["spec"]["encryptedData"]}})).await;
}

/// The number of events about the object. An event is emitted in parallel with the status update, so it may arrive first or last.
async fn events(scene: &Scene, name: &str) -> i32 {
    let events = scene.events(&format!("involvedObject.name={name}")).await;
    events.iter().map(|event| event.count.unwrap_or(1)).sum()
}

async fn until_told_once(scene: &Scene, name: &str) {
    let told = async || (events(scene, name).await == 1).then_some(());
    until("the event of the first opening", PATIENCE, told).await.unwrap();
}

#[tokio::test]
async fn after_a_rotation_objects_are_stale_until_they_are_re_encrypted_and_the_items_of_keys_follow() {
    let mut scene = Scene::set().await;
    let secret = three_items(&scene, "db");
    opened(&scene, &secret).await;
    until_items(&scene, &[3], 0).await;
    assert!(condition(&scene.sealed_secrets().get("db").await.unwrap(), "Stale").is_none());
    until_told_once(&scene, "db").await;

    scene.new_key().await;
    let stale = until_condition(&scene, "db", "Stale", true).await;
    let said = condition(&stale, "Stale").unwrap();
    let message = said["message"].as_str().unwrap();
    assert_eq!((&said["status"], &said["reason"]), (&json!("True"), &json!("NotOnPrimary")));
    assert!(
        message.starts_with("3 of 3 items are not sealed with the current key (3 on SHA256:"),
        "{message}"
    );
    assert_eq!(stale.data["status"]["conditions"][0]["type"], "Synced", "{stale:?}");
    until_items(&scene, &[0, 3], 3).await;
    assert_eq!(events(&scene, "db").await, 1, "a rotation is not an event of every object");
    assert_eq!(numbers(&scene, "unseal_requests_total").await, [1], "nothing was opened again");

    re_encrypt(&scene, &secret).await;
    until_condition(&scene, "db", "Stale", false).await;
    until_items(&scene, &[0, 3], 0).await;

    scene.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    until_items(&scene, &[0, 0], 0).await;
}

#[tokio::test]
async fn a_restarted_controller_knows_the_items_of_each_key_without_decrypting_or_writing() {
    let mut scene = Scene::set().await;
    opened(&scene, &three_items(&scene, "db")).await;
    scene.new_key().await;
    opened(&scene, &scene.secret("later", "password", CANARY)).await;
    let before = until_condition(&scene, "db", "Stale", true).await;
    scene.controller.stop().await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    until_items(&scene, &[1, 3], 3).await;
    assert_eq!(numbers(&scene, "unseal_requests_total").await, [0]);
    let after = scene.sealed_secrets().get("db").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
}

#[tokio::test]
async fn objects_that_became_stale_while_no_controller_ran_are_reported_with_one_write_and_no_decryption() {
    let mut scene = Scene::set().await;
    opened(&scene, &three_items(&scene, "db")).await;
    until_told_once(&scene, "db").await;
    scene.controller.stop().await.unwrap();
    // Slightly in the future: the existing key may be of this very second.
    let soon = Timestamp::now() + SignedDuration::from_secs(1);
    let cutoff = soon.strftime("--key-cutoff-time=%a, %d %b %Y %H:%M:%S +0000").to_string();
    scene.controller = scene.installation.start(Edition::Ours, &[&cutoff]).await.unwrap();
    let stale = until_condition(&scene, "db", "Stale", true).await;
    until_items(&scene, &[0, 3], 3).await;
    opened(&scene, &scene.secret("later", "password", CANARY)).await;
    assert_eq!(numbers(&scene, "unseal_requests_total").await, [1], "only what is new was opened");
    assert_eq!(events(&scene, "db").await, 1, "a restart is not an event of every object");
    let after = scene.sealed_secrets().get("db").await.unwrap();
    assert_eq!(after.resource_version(), stale.resource_version(), "written once");
}

#[tokio::test]
async fn a_status_of_an_earlier_shape_is_no_hint_and_does_no_harm() {
    let mut scene = Scene::set().await;
    opened(&scene, &scene.secret("db", "password", CANARY)).await;
    scene.controller.stop().await.unwrap();
    let status = json!({"status": {"lastSuccess": {"keys": null}}});
    let parameters = kube::api::PatchParams::default();
    let change = kube::api::Patch::Merge(&status);
    scene.sealed_secrets().patch_status("db", &parameters, &change).await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    until_items(&scene, &[1], 0).await;
    let opened_once = async || (numbers(&scene, "unseal_requests_total").await == [1]).then_some(());
    until("it was opened once", PATIENCE, opened_once).await.unwrap();
    let keys = async || {
        let object = scene.sealed_secrets().get("db").await.unwrap();
        (object.data["status"]["lastSuccess"]["keys"][0]["items"] == 1).then_some(())
    };
    until("the status remembers again", PATIENCE, keys).await.unwrap();
}

#[tokio::test]
async fn items_that_do_not_decrypt_count_for_no_key_and_the_others_of_the_object_do() {
    let scene = Scene::set().await;
    let mut sealed = scene.seal(&three_items(&scene, "db")).await;
    sealed["spec"]["encryptedData"]["token"] = json!("AAAA");
    scene.create(&sealed).await;
    scene.until_synced("db", "False").await;
    until_items(&scene, &[2], 0).await;
}
