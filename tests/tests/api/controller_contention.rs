//! What others do to a SealedSecret, its Secret or its namespace, and what many large objects do to a small one.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use sealed_secrets_tests::{Cluster, Edition, Fault, FaultProxy, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::PATIENCE;

/// Each takes a second and a half of a processor.
const LARGE_ITEMS: usize = 1_000;
const LARGE_OBJECTS: usize = 40;

impl Scene {
    /// As [`Scene::set`], with a proxy before the API server.
    async fn behind_proxy() -> (Self, FaultProxy) {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let proxy = FaultProxy::start(&installation).await.unwrap();
        let kubeconfig = format!("--kubeconfig={}", proxy.kubeconfig().display());
        let controller = installation.start(Edition::Ours, &[&kubeconfig]).await.unwrap();
        (Self { cluster, installation, controller }, proxy)
    }

    /// Waits until the API server shows the Secret with this item.
    async fn until_item(&self, name: &str, value: &str) {
        let has = |secret: &Secret| item(secret, "password").as_deref() == Some(value);
        self.until_secret(name, "has the value", has).await;
    }
}

#[tokio::test]
async fn a_secret_that_exists_is_updated_and_put_back_though_the_quota_is_full() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let managed = json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}});
    let mut theirs = scene.secret("theirs", "password", "x");
    theirs["metadata"]["annotations"] = managed["metadata"]["annotations"].clone();
    let theirs: Secret = serde_json::from_value(theirs).unwrap();
    scene.secrets().create(&PostParams::default(), &theirs).await.unwrap();
    scene.fill_quota().await;

    let changed = scene.seal(&scene.secret("db", "password", "changed")).await;
    scene.merge("db", &json!({"spec": changed["spec"]})).await;
    scene.until_item("db", "changed").await;
    let edit = Patch::Merge(json!({"stringData": {"password": "forged"}}));
    scene.secrets().patch("db", &PatchParams::default(), &edit).await.unwrap();
    scene.until_event("db", "SecretRepaired").await;
    scene.until_item("db", "changed").await;

    scene.seal_and_create(&scene.secret("theirs", "password", CANARY)).await;
    scene.until_item("theirs", CANARY).await;
    scene.seal_and_create(&scene.secret("new", "password", CANARY)).await;
    let message = scene.until_synced("new", "False").await;
    assert!(message.contains("exceeded quota"), "{message}");
}

/// A SealedSecret with many items that no key opens under its name.
fn large(sealed: &Value, name: &str) -> Value {
    let mut sealed = sealed.clone();
    let item = sealed["spec"]["encryptedData"]["password"].clone();
    let items = (0..LARGE_ITEMS).map(|number| (format!("item{number}"), item.clone()));
    sealed["spec"]["encryptedData"] = Value::Object(items.collect());
    sealed["metadata"]["name"] = json!(name);
    sealed["spec"]["template"]["metadata"]["name"] = json!(name);
    sealed
}

#[tokio::test]
async fn many_large_objects_that_do_not_open_do_not_keep_a_small_one_waiting() {
    let scene = Scene::set().await;
    let sealed = scene.seal(&scene.secret("elsewhere", "password", CANARY)).await;
    let small = scene.seal(&scene.secret("small", "password", CANARY)).await;
    for number in 0..LARGE_OBJECTS {
        scene.create(&large(&sealed, &format!("large-{number}"))).await;
    }
    let created: u64 = scene.create(&small).await.resource_version().unwrap().parse().unwrap();
    scene.until_synced("small", "True").await;
    let all = scene.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
    let version = |object: &DynamicObject| object.resource_version().unwrap().parse::<u64>().unwrap();
    let is_told = |object: &&DynamicObject| object.data.get("status").is_some() && version(object) > created;
    let told = all.iter().filter(is_told).count();
    assert!(told <= LARGE_OBJECTS / 2, "{} large objects were decided before the small one", told - 1);
}

fn is_of_sealed_secrets(path: &str) -> bool {
    path.contains("/sealedsecrets")
}

#[tokio::test]
async fn conditions_of_others_stay_though_the_watch_has_not_shown_them() {
    let (scene, proxy) = Scene::behind_proxy().await;
    scene.opened("db").await;
    proxy.fail(|_, path| (is_of_sealed_secrets(path) && path.contains("watch=")).then_some(Fault::Silence));
    let silent = async || (proxy.faults() > 0).then_some(());
    until("SealedSecrets are not watched", PATIENCE, silent).await.unwrap();
    let mut status = scene.sealed_secrets().get("db").await.unwrap().data["status"].clone();
    let others = json!({"type": "Approved", "status": "True"});
    status["conditions"].as_array_mut().unwrap().push(others.clone());
    let change = Patch::Merge(json!({"status": status}));
    scene.sealed_secrets().patch_status("db", &PatchParams::default(), &change).await.unwrap();

    let before = scene.secrets().get("db").await.unwrap();
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let again = scene.until_secret("db", "is another one", |secret| secret.uid() != before.uid()).await;
    let told = async || {
        let status = scene.sealed_secrets().get("db").await.unwrap().data["status"].clone();
        (status["lastSuccess"]["secretUid"].as_str() == again.uid().as_deref()).then_some(status)
    };
    let status = until("the status knows the new Secret", PATIENCE, told).await.unwrap();
    let types: Vec<_> = status["conditions"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert!(types.contains(&&others["type"]), "{types:?}");
}

#[tokio::test]
async fn an_object_that_is_deleted_while_it_is_in_work_leaves_the_metrics() {
    let (scene, proxy) = Scene::behind_proxy().await;
    proxy.fail(|method, path| {
        (*method == http::Method::POST && path.contains("/secrets")).then_some(Fault::Silence)
    });
    scene.seal_and_create(&scene.secret("gone", "password", CANARY)).await;
    let in_work = async || (proxy.faults() > 0).then_some(());
    until("its Secret is being written", PATIENCE, in_work).await.unwrap();
    scene.sealed_secrets().delete("gone", &DeleteParams::default()).await.unwrap();
    scene.until_logged("name=gone").await;
    proxy.heal();
    scene.opened("later").await;
    let page = async || scene.controller.metrics().await.unwrap();
    assert!(page().await.contains("name=\"later\""));
    let left = async || (!page().await.contains("name=\"gone\"")).then_some(());
    until("what is gone is off the page", PATIENCE, left).await.unwrap();
}
