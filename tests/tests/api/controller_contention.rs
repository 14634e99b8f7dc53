//! Other writers to a SealedSecret, its Secret or its namespace, and fairness between many large objects and a small one.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, DEFAULT_KEY_SIZE, Edition, Fault, FaultProxy, Reach, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::{PATIENCE, sealed_secrets};

/// Decryption of one object takes 1.5 s of processor time.
const LARGE_ITEMS: usize = 1_000;
const LARGE_OBJECTS: usize = 40;

/// Objects of one namespace all of whose items decrypt, and the number of items.
const FULL_OBJECTS: usize = 60;
const FULL_ITEMS: usize = 200;
/// The number of these that may have been decrypted before, and wait for their writes.
const OPENED_BEFORE: usize = 15;

/// The number of attempts: the work may finish before the test can observe it.
const LOOKS: usize = 4;

impl Scene {
    /// As [`Scene::set`], with a proxy in front of the API server.
    async fn behind_proxy() -> (Self, FaultProxy) {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let proxy = FaultProxy::start(&installation).await.unwrap();
        let controller = installation.start(Edition::Ours, &[&proxy.flag()]).await.unwrap();
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

/// A SealedSecret with many items that no key decrypts under its name.
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
async fn many_large_objects_that_do_not_decrypt_do_not_delay_a_small_one() {
    let scene = Scene::with(&[DEFAULT_KEY_SIZE]).await;
    let sealed = scene.seal(&scene.secret("elsewhere", "password", CANARY)).await;
    let small = scene.seal(&scene.secret("small", "password", CANARY)).await;
    for number in 0..LARGE_OBJECTS {
        scene.create(&large(&sealed, &format!("large-{number}"))).await;
    }
    let created: u64 = scene.create(&small).await.resource_version().unwrap().parse().unwrap();
    scene.until_synced("small", "True").await;
    let decided = version(&scene.sealed_secrets().get("small").await.unwrap());
    let all = scene.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
    let is_told = |object: &&DynamicObject| {
        object.data.get("status").is_some() && (created..decided).contains(&version(*object))
    };
    let told = all.iter().filter(is_told).count();
    assert!(told <= LARGE_OBJECTS / 2, "{told} large objects were decided before the small one");
}

impl Scene {
    /// Creates objects of which every item decrypts, all at once. They share their items, sealed with scope cluster-wide.
    async fn create_full_objects(&self) {
        let mut secret = self.secret("full", "password", CANARY);
        secret["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        let mut sealed = self.seal(&secret).await;
        let item = sealed["spec"]["encryptedData"]["password"].clone();
        let items = (0..FULL_ITEMS).map(|number| (format!("item{number}"), item.clone()));
        sealed["spec"]["encryptedData"] = Value::Object(items.collect());
        let named = |number: usize| {
            let mut sealed = sealed.clone();
            sealed["metadata"]["name"] = json!(format!("full-{number}"));
            sealed["spec"]["template"]["metadata"]["name"] = json!(format!("full-{number}"));
            sealed
        };
        let creating = (0..FULL_OBJECTS).map(|number| async move { self.create(&named(number)).await });
        futures::future::join_all(creating).await;
    }

    /// The resourceVersions of the Secrets of these objects, in the order of the writes.
    async fn full_secrets(&self) -> Vec<u64> {
        let all = self.secrets().list(&ListParams::default()).await.unwrap().items;
        let full = all.iter().filter(|secret| secret.name_any().starts_with("full-"));
        let mut versions: Vec<_> = full.map(version).collect();
        versions.sort_unstable();
        versions
    }
}

impl Scene {
    async fn create_in(&self, namespace: &str, sealed: &Value) -> DynamicObject {
        let objects = sealed_secrets(&self.cluster, namespace);
        let object = serde_json::from_value(sealed.clone()).unwrap();
        objects.create(&PostParams::default(), &object).await.unwrap()
    }
}

fn version(object: &impl kube::Resource) -> u64 {
    object.meta().resource_version.as_ref().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_item_of_a_quiet_namespace_has_its_turn_whatever_another_namespace_has_queued() {
    for _ in 0..LOOKS {
        let cluster = Cluster::shared().await.unwrap();
        let quiet = cluster.namespace("quiet").await.unwrap();
        let installation = cluster.install_namespaced(&[&quiet]).await.unwrap();
        let scene = Scene::start(cluster, installation, &[DEFAULT_KEY_SIZE]).await;
        let mut small = scene.secret("small", "password", CANARY);
        small["metadata"]["namespace"] = json!(quiet);
        let small = scene.seal(&small).await;
        scene.create_full_objects().await;
        let created = version(&scene.create_in(&quiet, &small).await);
        let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), &quiet);
        let there = async || secrets.get_metadata_opt("small").await.unwrap();
        let opened = version(&until("small is there", PATIENCE, there).await.unwrap());
        let full = scene.full_secrets().await;
        let between = full.iter().filter(|version| (created..opened).contains(version)).count();
        assert!(between <= OPENED_BEFORE, "{between} others were written before it");
        if full.iter().filter(|version| **version < opened).count() < FULL_OBJECTS {
            return;
        }
    }
    panic!("the others were always done before the small one came");
}

#[tokio::test]
async fn sigterm_does_not_wait_for_pending_decryptions() {
    for _ in 0..LOOKS {
        let mut scene = Scene::with(&[DEFAULT_KEY_SIZE]).await;
        scene.create_full_objects().await;
        let before = scene.full_secrets().await.len();
        assert!(scene.controller.stop().await.unwrap().success());
        let after = scene.full_secrets().await.len();
        assert!(after - before <= OPENED_BEFORE, "{} were opened after the signal", after - before);
        if after < FULL_OBJECTS {
            return;
        }
    }
    panic!("all was always done before the signal came");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut scene, proxy) = Scene::behind_proxy().await;
    proxy.fail(|method, path| {
        (*method == http::Method::POST && path.contains("/secrets")).then_some(Fault::Silence)
    });
    scene.seal_and_create(&scene.secret("stuck", "password", CANARY)).await;
    let in_work = async || (proxy.faults() > 0).then_some(());
    until("its Secret is being written", PATIENCE, in_work).await.unwrap();
    scene.controller.process().signal("TERM").unwrap();
    scene.until_logged("SIGTERM: stopping").await;
    assert!(scene.controller.stop().await.unwrap().success());
    assert!(scene.controller.log().contains("second signal: stopping at once"));
}

#[tokio::test]
async fn templates_that_took_too_long_are_not_rendered_again_after_a_restart() {
    let mut scene = Scene::set().await;
    let sealed = scene.seal(&scene.secret("slow", "password", CANARY)).await;
    scene.controller.stop().await.unwrap();
    let created = scene.create(&sealed).await;
    let status = json!({"status": {
        "observedGeneration": created.metadata.generation,
        "conditions": [{"type": "Synced", "status": "False", "reason": "TemplateOutOfTime", "message": "too slow"}],
    }});
    let change = Patch::Merge(&status);
    scene.sealed_secrets().patch_status("slow", &PatchParams::default(), &change).await.unwrap();
    let before = scene.sealed_secrets().get("slow").await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    scene.opened("later").await;
    let after = scene.sealed_secrets().get("slow").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
    assert!(scene.secrets().get_opt("slow").await.unwrap().is_none());
    scene.merge("slow", &json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})).await;
    scene.until_synced("slow", "True").await;
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

/// The number of objects with slow templates, in each of two namespaces.
const SLOW_OBJECTS: usize = 60;
const PLAIN_OBJECTS: usize = 60;
const SLOW_TEMPLATE: &str = "{{range 4}}{{$key := genPrivateKey \"rsa\"}}{{end}}";

impl Scene {
    async fn create_slow_objects(&self, namespace: &str) {
        let slow = |number: usize| {
            json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                "metadata": {"name": format!("slow-{number}"), "namespace": namespace},
                "spec": {"encryptedData": {}, "template": {"data": {"text": SLOW_TEMPLATE}}}
            })
        };
        for number in 0..SLOW_OBJECTS {
            self.create_in(namespace, &slow(number)).await;
        }
    }

    async fn create_plain_objects(&self, sealed: &Value) {
        for number in 0..PLAIN_OBJECTS {
            let mut sealed = sealed.clone();
            sealed["metadata"]["name"] = json!(format!("plain-{number}"));
            self.create(&sealed).await;
        }
    }

    /// The number of objects of the namespace that have a status.
    async fn decided_in(&self, namespace: &str) -> usize {
        let objects = sealed_secrets(&self.cluster, namespace);
        let all = objects.list(&ListParams::default()).await.unwrap().items;
        all.iter().filter(|object| object.data.get("status").is_some()).count()
    }
}

#[tokio::test]
async fn bulk_work_without_templates_completes_while_slow_templates_of_two_other_namespaces_wait() {
    // One informer watches all namespaces.
    let cluster = Cluster::own().await.unwrap();
    let slow = [cluster.namespace("slow").await.unwrap(), cluster.namespace("slow").await.unwrap()];
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let mut scene = Scene::start(cluster, installation, &[]).await;
    let mut secret = scene.secret("plain", "password", CANARY);
    secret["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
    let plain = scene.seal(&secret).await;
    scene.controller.stop().await.unwrap();
    for namespace in &slow {
        scene.create_slow_objects(namespace).await;
    }
    scene.create_plain_objects(&plain).await;
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    let are_there = async || {
        let secrets = scene.secrets().list_metadata(&ListParams::default()).await.unwrap().items;
        let plain = secrets.iter().filter(|secret| secret.name_any().starts_with("plain-"));
        (plain.count() == PLAIN_OBJECTS).then_some(())
    };
    until("all Secrets without templates are there", PATIENCE, are_there).await.unwrap();
    let decided = scene.decided_in(&slow[0]).await + scene.decided_in(&slow[1]).await;
    assert!(decided < SLOW_OBJECTS / 2, "{decided} slow ones were decided before");
}
