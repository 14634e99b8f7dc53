//! Ownership of Secrets: annotations that hand a Secret over, changing owners, and fields that the API server never changes.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, is_owned_by, item};
use crate::support::PATIENCE;

const MANAGED: &str = "sealedsecrets.bitnami.com/managed";
const PATCH: &str = "sealedsecrets.bitnami.com/patch";
const SKIP_OWNER: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";

/// Creates an existing Secret with these annotations.
async fn plant(scene: &Scene, name: &str, annotations: &[&str]) -> Secret {
    let mut secret = scene.secret(name, "theirs", "x");
    secret["metadata"]["annotations"] =
        annotations.iter().map(|name| ((*name).to_owned(), json!("true"))).collect();
    let secret = serde_json::from_value(secret).unwrap();
    scene.secrets().create(&PostParams::default(), &secret).await.unwrap()
}

async fn edit(scene: &Scene, name: &str, change: &Value) {
    scene.secrets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

async fn start_again(scene: &mut Scene) {
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
}

async fn repairs_told(scene: &Scene) -> usize {
    scene.events("reason=SecretRepaired").await.len()
}

/// A reference to another owner that exists: the garbage collector deletes objects without an existing owner.
async fn owner(scene: &Scene, name: &str, controller: bool) -> Value {
    let maps: Api<ConfigMap> = Api::namespaced(scene.cluster.client(), scene.namespace());
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    let uid = maps.create(&PostParams::default(), &map).await.unwrap().uid();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "controller": controller})
}

#[tokio::test]
async fn a_sealed_secret_that_is_restored_adopts_the_secret_of_the_one_before() {
    let mut scene = Scene::on(Cluster::own().await.unwrap(), &[]).await;
    // The garbage collector would delete the Secret at the moment of its adoption.
    scene.cluster.stop_garbage_collection().unwrap();
    let lost = scene.opened("db").await;
    let first = scene.secrets().get("db").await.unwrap();
    scene.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let gone = async || scene.sealed_secrets().get_opt("db").await.unwrap().is_none().then_some(());
    until("the SealedSecret is gone", PATIENCE, gone).await.unwrap();
    assert!(is_owned_by(&scene.secrets().get("db").await.unwrap(), &lost), "with the owner that is gone");
    let restored = scene.seal_and_create(&scene.secret("db", "password", "restored")).await;
    let adopted = scene.until_secret("db", "is adopted", |secret| is_owned_by(secret, &restored)).await;
    assert_eq!(item(&adopted, "password").as_deref(), Some("restored"));
    assert_eq!(adopted.uid(), first.uid(), "it is the same Secret");
}

#[tokio::test]
async fn an_owner_reference_that_is_removed_is_put_back() {
    let scene = Scene::set().await;
    let sealed = scene.opened("db").await;
    edit(&scene, "db", &json!({"metadata": {"ownerReferences": null}})).await;
    scene.until_secret("db", "is owned again", |secret| is_owned_by(secret, &sealed)).await;
    scene.until_event("db", "SecretRepaired").await;
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn a_secret_that_somebody_else_controls_now_is_left_to_them() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    edit(&scene, "db", &json!({"metadata": {"ownerReferences": [owner(&scene, "other", true).await]}})).await;
    let message = scene.until_synced("db", "False").await;
    assert_eq!(message, "failed update: Resource \"db\" already exists and is not managed by SealedSecret");
    let secret = scene.secrets().get("db").await.unwrap();
    assert_eq!(secret.owner_references()[0].name, "other");
}

#[tokio::test]
async fn a_secret_without_owner_is_not_ours_for_a_controller_that_has_not_seen_it_otherwise() {
    let mut scene = Scene::set().await;
    scene.opened("db").await;
    scene.controller.stop().await.unwrap();
    edit(&scene, "db", &json!({"metadata": {"ownerReferences": null}})).await;
    start_again(&mut scene).await;
    scene.until_synced("db", "False").await;
    assert!(scene.secrets().get("db").await.unwrap().owner_references().is_empty());
}

#[tokio::test]
async fn an_owner_that_others_have_added_stays_when_ours_is_put_back() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let owners = scene.secrets().get("db").await.unwrap().owner_references().to_vec();
    let owners = json!([owners[0], owner(&scene, "other", false).await]);
    edit(
        &scene,
        "db",
        &json!({"metadata": {"ownerReferences": owners}, "stringData": {"password": "forged"}}),
    )
    .await;
    let is_back = |secret: &Secret| item(secret, "password").as_deref() == Some(CANARY);
    let secret = scene.until_secret("db", "has its own password", is_back).await;
    let names: Vec<_> = secret.owner_references().iter().map(|owner| owner.name.as_str()).collect();
    assert_eq!(names, ["db", "other"]);
}

#[tokio::test]
async fn an_update_that_the_spec_requests_is_not_reported_as_a_repair() {
    let mut scene = Scene::set().await;
    scene.opened("db").await;
    let labelled = |value: &str| json!({"spec": {"template": {"metadata": {"labels": {"step": value}}}}});
    let has_label = |value: &'static str| {
        move |secret: &Secret| secret.labels().get("step").is_some_and(|label| label == value)
    };
    scene.merge("db", &labelled("live")).await;
    scene.until_secret("db", "follows the spec", has_label("live")).await;
    scene.until_synced("db", "True").await;
    scene.controller.stop().await.unwrap();
    scene.merge("db", &labelled("down")).await;
    start_again(&mut scene).await;
    scene.until_secret("db", "follows the spec", has_label("down")).await;
    scene.until_synced("db", "True").await;
    assert_eq!(repairs_told(&scene).await, 0);
}

#[tokio::test]
async fn items_merged_into_a_patched_secret_are_repaired_and_those_of_others_stay() {
    let scene = Scene::set().await;
    plant(&scene, "db", &[PATCH]).await;
    scene.opened("db").await;
    edit(&scene, "db", &json!({"stringData": {"password": "forged", "theirs": "changed"}})).await;
    let is_back = |secret: &Secret| item(secret, "password").as_deref() == Some(CANARY);
    let secret = scene.until_secret("db", "has our item", is_back).await;
    assert_eq!(item(&secret, "theirs").as_deref(), Some("changed"));
    assert!(secret.owner_references().is_empty());
}

#[tokio::test]
async fn a_secret_to_be_patched_and_managed_is_merged_and_owned() {
    let scene = Scene::set().await;
    plant(&scene, "db", &[PATCH, MANAGED]).await;
    let sealed = scene.opened("db").await;
    let secret = scene.secrets().get("db").await.unwrap();
    assert!(is_owned_by(&secret, &sealed));
    assert_eq!(
        (item(&secret, "theirs").as_deref(), item(&secret, "password").as_deref()),
        (Some("x"), Some(CANARY))
    );
}

#[tokio::test]
async fn a_secret_that_is_handed_over_later_is_taken_over() {
    let scene = Scene::set().await;
    plant(&scene, "db", &[]).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "False").await;
    edit(&scene, "db", &json!({"metadata": {"annotations": {MANAGED: "true"}}})).await;
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn a_secret_without_owner_on_request_is_synced_again_and_again() {
    let mut scene = Scene::set().await;
    let mut secret = scene.secret("db", "password", CANARY);
    secret["metadata"]["annotations"] = json!({SKIP_OWNER: "true"});
    scene.seal_and_create(&secret).await;
    scene.until_synced("db", "True").await;
    assert!(scene.secrets().get("db").await.unwrap().owner_references().is_empty());
    scene.controller.stop().await.unwrap();
    start_again(&mut scene).await;
    scene.opened("later").await;
    scene.until_synced("db", "True").await;
    scene.merge("db", &json!({"spec": {"template": {"metadata": {"labels": {"step": "2"}}}}})).await;
    let message = scene.until_synced("db", "False").await;
    assert!(message.ends_with("already exists and is not managed by SealedSecret"), "{message}");
}

#[tokio::test]
async fn an_immutable_secret_is_reported_and_recreated_when_it_is_deleted() {
    let scene = Scene::set().await;
    let mut secret = scene.secret("db", "password", "old");
    secret["immutable"] = json!(true);
    scene.seal_and_create(&secret).await;
    scene.until_synced("db", "True").await;
    let changed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    scene.merge("db", &json!({"spec": {"encryptedData": changed["spec"]["encryptedData"]}})).await;
    let message = scene.until_synced("db", "False").await;
    assert!(
        message.contains("the Secret is immutable") && message.contains("delete the Secret"),
        "{message}"
    );
    assert_eq!(item(&scene.secrets().get("db").await.unwrap(), "password").as_deref(), Some("old"));
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    let secret = scene.secrets().get("db").await.unwrap();
    assert_eq!((item(&secret, "password").as_deref(), secret.immutable), (Some(CANARY), Some(true)));
}

#[tokio::test]
async fn another_type_is_reported_and_the_secret_recreated_when_it_is_deleted() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    scene.merge("db", &json!({"spec": {"template": {"type": "example.com/other"}}})).await;
    let message = scene.until_synced("db", "False").await;
    assert!(
        message.starts_with("failed update: the type of an existing Secret cannot be changed"),
        "{message}"
    );
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    assert_eq!(scene.secrets().get("db").await.unwrap().type_.as_deref(), Some("example.com/other"));
}
