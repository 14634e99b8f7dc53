//! Flags of the controller in a cluster.

use kube::ResourceExt as _;
use kube::api::DeleteParams;
use sealed_secrets_tests::until;
use serde_json::json;

use crate::scene::{CANARY, Scene};
use crate::support::PATIENCE;

#[tokio::test]
async fn a_sealed_secret_that_gets_the_selected_label_later_is_unsealed_then() {
    let scene = Scene::with(&["--label-selector=tier=blue"]).await;
    scene.seal_and_create(&scene.secret("late", "password", CANARY)).await;
    let mut chosen = scene.seal(&scene.secret("chosen", "password", CANARY)).await;
    chosen["metadata"]["labels"] = json!({"tier": "blue"});
    scene.create(&chosen).await;
    scene.until_synced("chosen", "True").await;
    assert!(scene.secrets().get_opt("late").await.unwrap().is_none());
    scene.merge("late", &json!({"metadata": {"labels": {"tier": "blue"}}})).await;
    scene.until_synced("late", "True").await;
}

#[tokio::test]
async fn with_few_requests_per_second_everything_happens_though_later() {
    let scene = Scene::with(&["--kubeclient-qps=5", "--kubeclient-burst=2", "--watch-for-secrets"]).await;
    for name in ["one", "two", "three"] {
        scene.seal_and_create(&scene.secret(name, "password", CANARY)).await;
    }
    for name in ["one", "two", "three"] {
        scene.until_synced(name, "True").await;
    }
}

#[tokio::test]
async fn old_gc_behavior_is_accepted_with_a_warning_that_it_has_no_effect() {
    let scene = Scene::with(&["--old-gc-behavior"]).await;
    scene.until_logged("--old-gc-behavior has no effect").await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    // The owner reference that the garbage collector needs. Collection itself may take minutes in a new cluster, whose kinds the
    // collector does not know yet.
    let owner = scene.secrets().get("db").await.unwrap().owner_references()[0].clone();
    let owning = scene.sealed_secrets().get("db").await.unwrap();
    assert_eq!((Some(owner.uid), owner.controller), (owning.metadata.uid, Some(true)));
}

#[tokio::test]
async fn without_names_in_the_metrics_failing_objects_are_counted_until_they_are_gone() {
    let scene = Scene::with(&["--metrics-omit-secret-labels"]).await;
    let mut renamed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    renamed["metadata"]["name"] = json!("nameless");
    scene.create(&renamed).await;
    scene.until_synced("nameless", "False").await;
    let page = scene.controller.metrics().await.unwrap();
    let sample =
        format!("sealed_secrets_controller_unsynced_objects{{namespace=\"{}\"}} 1\n", scene.namespace());
    assert!(page.contains(&sample) && !page.contains("nameless"), "{page}");
    scene.sealed_secrets().delete("nameless", &DeleteParams::default()).await.unwrap();
    let gone = async || (!scene.controller.metrics().await.unwrap().contains(&sample)).then_some(());
    until("the page counts it no more", PATIENCE, gone).await.unwrap();
}
