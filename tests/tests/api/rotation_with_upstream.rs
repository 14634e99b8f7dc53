//! The original and ours with rotated keys: each takes over from the other.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{RotationPhase, SealingKeyPhase};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::json;

use crate::key_scene::{KeyScene, SMALL, key_secret};
use crate::scene::{CANARY, Scene};
use crate::support::until_secret;

/// Seals with the current key, and waits for the decryption.
async fn seal(scene: &KeyScene, name: &str) {
    scene.0.seal_and_create(&scene.0.secret(name, "password", CANARY)).await;
    scene.0.until_synced(name, "True").await;
}

#[tokio::test]
async fn after_three_rotations_upstream_decrypts_everything_and_creates_no_key_and_ours_takes_over_again() {
    let mut scene = KeyScene::with_policy(&json!({})).await;
    seal(&scene, "under-0").await;
    for rotation in 1..=3 {
        scene.request_rotation().await;
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

/// The key as the original's first versions created it.
const LEGACY: &str = "sealed-secrets-key";

fn legacy_key(not_before: Timestamp) -> Secret {
    let mut legacy = key_secret(LEGACY, "active", not_before);
    legacy.metadata.labels = None;
    legacy
}

async fn with_legacy_key() -> KeyScene {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    secrets.create(&PostParams::default(), &legacy_key(Timestamp::now())).await.unwrap();
    let scene = KeyScene::start(cluster, installation, &[]).await;
    scene.until_phase(LEGACY, SealingKeyPhase::Primary).await;
    scene
}

#[tokio::test]
async fn the_legacy_key_without_a_label_is_adopted_as_upstream_does_and_shown() {
    let scene = with_legacy_key().await;
    assert!(scene.names().await.is_empty(), "no key was made beside it");
    assert_eq!(scene.secrets().get(LEGACY).await.unwrap().labels().len(), 0);
}

#[tokio::test]
async fn the_legacy_key_stays_when_a_policy_names_new_keys_otherwise() {
    let scene = with_legacy_key().await;
    scene.apply_policy(&json!({"generate": {"secretPrefix": "shop-key"}})).await;
    let status = scene.until_policy("heeded", |status| status.phase == Some(RotationPhase::Idle)).await;
    assert_eq!(status.primary.unwrap().name, LEGACY);
    assert!(scene.names().await.is_empty(), "no key was made instead of it");
}

/// A long time, but shorter than the interval between two periodic lists.
const BEFORE_THE_NEXT_LIST: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_legacy_key_is_seen_as_soon_as_it_comes_or_goes() {
    let scene = KeyScene::set().await;
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let rings = |keys: usize| scene.controller().log().matches(&format!("keys={keys} ")).count();
    let seen = async |what: &str, keys, times| {
        until(what, BEFORE_THE_NEXT_LIST, async || (rings(keys) == times).then_some(())).await.unwrap();
    };
    scene.create_secret(&key_secret("labelled", "active", hour_ago)).await;
    seen("a key with a label", 2, 1).await;
    scene.create_secret(&legacy_key(hour_ago)).await;
    seen("a key without a label", 3, 1).await;
    scene.delete_secret(LEGACY).await;
    seen("it has gone", 2, 2).await;
}
