//! A key Secret is deleted only by a complete and current view of the cluster.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::SealingKeyPolicyStatus;
use sealed_secrets_crds::names::OFF_RING_SINCE_ANNOTATION;
use sealed_secrets_tests::{Cluster, Edition, Installation, Reach, until};
use serde_json::{Value, json};

use crate::controller_behind::no_watch_of_sealed_secrets;
use crate::key_scene::{KeyScene, SMALL, key_secret};
use crate::rotation_faults::behind_proxy;
use crate::scene::{CANARY, seal_with};
use crate::support::{PATIENCE, secret_manifest};
use crate::usage_retirement::until_blocked;

/// The name of a key that left the ring so long ago that its deletion is due by time.
const DUE: &str = "due";

/// The retention under which it is deleted.
fn retention() -> Value {
    json!({"retention": {"keepAtLeast": 2, "deleteAfterRetired": "1h"}})
}

/// A cluster of its own with two keys on the ring and one whose deletion is due. Returns a SealedSecret for the latter.
async fn with_a_key_that_is_due() -> (Cluster, Installation, Value) {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let mut due = key_secret(DUE, "retired", hour_ago);
    let long_ago = "2020-01-01T00:00:00Z".to_owned();
    due.annotations_mut().insert(OFF_RING_SINCE_ANNOTATION.to_owned(), long_ago);
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    for key in [&due, &key_secret("one", "active", hour_ago), &key_secret("two", "active", hour_ago)] {
        secrets.create(&PostParams::default(), key).await.unwrap();
    }
    let secret = secret_manifest(installation.namespace(), "db", "password", CANARY);
    let sealed = seal_with(&due.string_data.unwrap()["tls.crt"], &secret);
    (cluster, installation, sealed)
}

/// The number of attempts: a silent watch is detected after a while, and then no deletion is decided. A test process that is too
/// slow tries again.
const LOOKS: usize = 3;

#[tokio::test]
async fn a_key_is_not_deleted_while_the_watch_has_missed_an_object_that_needs_it() {
    for _ in 0..LOOKS {
        if is_kept_while_the_watch_is_silent().await {
            return;
        }
    }
    panic!("the watch was always found to be silent before the deletion was due");
}

/// Returns true if the deletion was decided while the silent watch was still undetected, and then not executed.
async fn is_kept_while_the_watch_is_silent() -> bool {
    let (cluster, installation, sealed) = with_a_key_that_is_due().await;
    let (proxy, kubeconfig) = behind_proxy(&installation).await;
    proxy.fail(no_watch_of_sealed_secrets);
    let mut scene = KeyScene::start(cluster, installation, &[&kubeconfig]).await;
    let watched = async || (proxy.faults() > 0).then_some(());
    until("SealedSecrets are watched", PATIENCE, watched).await.unwrap();
    scene.0.create(&sealed).await;
    scene.apply_policy(&retention()).await;
    let decided = async || {
        let (left, log) = (scene.names().await.contains(&DUE.to_owned()), scene.controller().log());
        assert!(left, "it is gone for ever");
        let is_decided = log.contains("the key Secret is not deleted yet: ");
        (is_decided || log.contains("watching SealedSecrets: ")).then_some(is_decided)
    };
    if !until("the deletion is decided", PATIENCE, decided).await.unwrap() {
        return false;
    }
    scene.0.controller.process().kill();
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    scene.0.until_synced("db", "False").await;
    scene.relabel(DUE, "active").await;
    scene.0.until_synced("db", "True").await;
    true
}

/// Requests the deletion of the due key, once the controller has counted so many SealedSecrets and items that do not decrypt:
/// these numbers are final. Waits until it reports the incomplete view.
async fn until_blocked_by_what_is_counted(scene: &KeyScene, objects: u64, undecryptable: u64) {
    let counted = |status: &SealingKeyPolicyStatus| {
        let counts = status.counts.unwrap_or_default();
        (counts.objects, counts.undecryptable_items) == (Some(objects), Some(undecryptable))
    };
    scene.until_policy("all is counted", counted).await;
    scene.apply_policy(&retention()).await;
    until_blocked(scene, "UsageIncomplete: due").await;
    assert!(scene.names().await.contains(&DUE.to_owned()));
}

#[tokio::test]
async fn a_due_key_stays_under_a_label_selector_and_while_an_item_does_not_decrypt_and_then_goes() {
    let (cluster, installation, sealed) = with_a_key_that_is_due().await;
    let mut scene = KeyScene::start(cluster, installation, &["--label-selector=watched=yes"]).await;
    scene.apply_policy(&json!({})).await;
    until_blocked_by_what_is_counted(&scene, 0, 0).await;
    scene.0.controller.stop().await.unwrap();
    scene.apply_policy(&json!({"suspend": false})).await;
    scene.0.create(&sealed).await;
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    until_blocked_by_what_is_counted(&scene, 1, 1).await;
    scene.0.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    assert_eq!(scene.until_keys(2).await, ["one", "two"]);
}
