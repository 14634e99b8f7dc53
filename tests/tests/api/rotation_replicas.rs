//! Several controllers on the same keys: they make and tell what one would.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use sealed_secrets_tests::{ControllerProcess, Edition, until};
use serde_json::json;

use crate::key_scene::{KeyScene, SMALL, key_secret};
use crate::rotation_doors::on_an_old_key;
use crate::support::PATIENCE;

/// How often something was told, by reason.
async fn told(scene: &KeyScene, reason: &str) -> i32 {
    let events: Api<Event> = Api::namespaced(scene.0.cluster.client(), scene.0.namespace());
    let about = ListParams::default().fields(&format!("reason={reason}"));
    events.list(&about).await.unwrap().items.iter().map(|event| event.count.unwrap_or(1)).sum()
}

/// Waits until this controller shows the key in its metrics.
async fn until_seen(controller: &ControllerProcess, name: &str) {
    let sample = format!("key_info{{name=\"{name}\"");
    let seen = async || controller.metrics().await.ok()?.contains(&sample).then_some(());
    until(&format!("{name} is on the page"), PATIENCE, seen).await.unwrap();
}

#[tokio::test]
async fn three_replicas_make_one_key_when_the_period_is_over_and_tell_it_once() {
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
    // A turn begins when the one before has told what it had to.
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
