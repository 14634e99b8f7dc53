//! The original and ours on keys that were rotated: each takes over from the other.

use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_tests::{Cluster, Edition};
use serde_json::json;

use crate::key_scene::{KeyScene, SMALL};
use crate::scene::{CANARY, Scene};
use crate::support::until_secret;

/// Seals to the present key, and sees it opened.
async fn seal(scene: &KeyScene, name: &str) {
    scene.0.seal_and_create(&scene.0.secret(name, "password", CANARY)).await;
    scene.0.until_synced(name, "True").await;
}

#[tokio::test]
async fn after_three_rotations_upstream_opens_everything_and_makes_no_key_and_ours_takes_over_back() {
    let mut scene = KeyScene::set().await;
    scene.apply_policy(&json!({})).await;
    seal(&scene, "under-0").await;
    for rotation in 1..=3 {
        let request = scene.later_than_all_keys().await.to_string();
        scene.annotate_policy(&request).await;
        let names = scene.until_keys(rotation + 1).await;
        scene.until_offered(names.last().unwrap()).await;
        seal(&scene, &format!("under-{rotation}")).await;
    }
    let keys = scene.names().await;
    let certificate = scene.controller().certificate().await.unwrap();
    scene.0.controller.stop().await.unwrap();

    let objects = ["under-0", "under-1", "under-2", "under-3"];
    for name in objects {
        scene.delete_secret(name).await;
    }
    let upstream = scene.0.installation.start(Edition::Upstream, &[]).await.unwrap();
    assert_eq!(upstream.certificate().await.unwrap(), certificate);
    for name in objects {
        until_secret(&scene.0.cluster, scene.0.namespace(), name, &[("password", CANARY)]).await;
    }
    assert_eq!(scene.names().await, keys, "no key was made");
    drop(upstream);

    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    assert_eq!(scene.controller().certificate().await.unwrap(), certificate);
    for name in objects {
        scene.delete_secret(name).await;
        until_secret(&scene.0.cluster, scene.0.namespace(), name, &[("password", CANARY)]).await;
    }
    assert_eq!(scene.names().await, keys);
    scene.until_phase(keys.last().unwrap(), SealingKeyPhase::Primary).await;
}

#[tokio::test]
async fn upgraded_in_place_the_keys_of_upstream_are_adopted_and_shown_and_none_is_made() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let mut upstream = installation.start(Edition::Upstream, &["--key-size=2048"]).await.unwrap();
    let certificate = upstream.certificate().await.unwrap();
    upstream.stop().await.unwrap();
    let controller = installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    assert_eq!(controller.certificate().await.unwrap(), certificate);
    let scene = KeyScene(Scene { cluster, installation, controller });
    let [adopted] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&adopted, SealingKeyPhase::Primary).await;
}

#[tokio::test]
async fn a_key_that_waits_is_not_seen_by_upstream_and_a_retired_one_neither() {
    let mut scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let request = scene.later_than_all_keys().await.to_string();
    scene.apply_policy(&json!({"rotation": {"rotateAfter": request, "activationDelay": "1d"}})).await;
    scene.until_keys(2).await;
    let own = scene.controller().certificate().await.unwrap();
    scene.0.controller.stop().await.unwrap();
    let upstream = scene.0.installation.start(Edition::Upstream, &[]).await.unwrap();
    assert_eq!(upstream.certificate().await.unwrap(), own, "{first} leads for both");
    assert_eq!(scene.names().await.len(), 2);
}

#[tokio::test]
async fn the_legacy_key_without_a_label_is_adopted_as_upstream_does_and_shown() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    let mut legacy = crate::key_scene::key_secret("sealed-secrets-key", "active", jiff::Timestamp::now());
    legacy.metadata.labels = None;
    secrets.create(&kube::api::PostParams::default(), &legacy).await.unwrap();
    let controller = installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let scene = KeyScene(Scene { cluster, installation, controller });
    scene.until_phase("sealed-secrets-key", SealingKeyPhase::Primary).await;
    assert!(scene.names().await.is_empty(), "no key was made beside it");
    assert_eq!(secrets.get("sealed-secrets-key").await.unwrap().labels().len(), 0);
    secrets.delete("sealed-secrets-key", &DeleteParams::default()).await.unwrap();
}
