//! Several controllers on the same keys: together they write and emit the same as one.

use http::Method;
use jiff::{SignedDuration, Timestamp};
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyState};
use sealed_secrets_tests::{ControllerProcess, Edition, Fault, until};
use serde_json::json;

use crate::key_scene::{KeyScene, SMALL, key_secret};
use crate::rotation_doors::on_an_old_key;
use crate::rotation_faults::with_proxy;
use crate::support::PATIENCE;

/// The number of events of a reason.
async fn told(scene: &KeyScene, reason: &str) -> i32 {
    let events = scene.0.events(&format!("reason={reason}")).await;
    events.iter().map(|event| event.count.unwrap_or(1)).sum()
}

/// Waits until this controller has the key in its metrics.
async fn until_seen(controller: &ControllerProcess, name: &str) {
    let sample = format!("key_info{{name=\"{name}\"");
    let seen = async || controller.metrics().await.ok()?.contains(&sample).then_some(());
    until(&format!("{name} is on the page"), PATIENCE, seen).await.unwrap();
}

#[tokio::test]
async fn three_replicas_create_one_key_when_the_period_is_over_and_report_it_once() {
    let mut scene = on_an_old_key(json!({"suspend": true}), &[]).await;
    let two = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let three = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    scene.apply_policy(&json!({"rotation": {"every": "1h"}})).await;
    let names = scene.until_keys(2).await;
    scene.until_offered(names.iter().find(|name| *name != "old").unwrap()).await;
    for name in &names {
        until_seen(&two, name).await;
        until_seen(&three, name).await;
    }
    // A new run starts after the previous one has emitted its events.
    let old = Timestamp::now() - SignedDuration::from_hours(3);
    scene.create_secret(&key_secret("marker", "active", old)).await;
    let mut replicas = [two, three];
    for replica in &mut replicas {
        until_seen(replica, "marker").await;
        replica.stop().await.unwrap();
    }
    until_seen(scene.controller(), "marker").await;
    scene.0.controller.stop().await.unwrap();
    assert_eq!((told(&scene, "KeyGenerated").await, told(&scene, "KeyActivated").await), (1, 1));
    assert_eq!(scene.names().await.len(), 3, "the old one, its successor, and the marker");
}

#[tokio::test]
async fn a_replica_that_sees_no_keys_for_a_while_takes_no_word_back_that_another_has_heeded() {
    let (scene, proxy, _) = with_proxy().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let seeing = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    until_seen(&seeing, &first).await;
    proxy.fail(|method, path| is_list_of_keys(method, path).then_some(Fault::Status(500)));
    scene.say(&first, &json!({"state": "Compromised"})).await;
    let heeded = |key: &SealingKey| {
        key.status.as_ref().and_then(|status| status.observed_generation) == key.metadata.generation
    };
    scene.until_phase(&first, SealingKeyPhase::Compromised).await;
    scene.until_key(&first, "heeded", heeded).await;
    // This replica has observed that, and has tried to list the keys since: any write of it would have happened.
    let before = proxy.faults();
    let tried = async || (proxy.faults() >= before + 3).then_some(());
    until("the blind one has tried to see the keys", PATIENCE, tried).await.unwrap();
    let said = scene.sealing_keys().get(&first).await.unwrap();
    assert_eq!((said.spec.state, said.metadata.generation), (SealingKeyState::Compromised, Some(2)));
    proxy.heal();
    let names = scene.until_keys(2).await;
    scene.until_offered(names.iter().find(|name| **name != first).unwrap()).await;
    scene.until_phase(&first, SealingKeyPhase::Compromised).await;
}

fn is_list_of_keys(method: &Method, path: &str) -> bool {
    *method == Method::GET && path.contains("/secrets?")
}
