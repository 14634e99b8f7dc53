//! Status and events of an object, and the retries of the controller.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::{PATIENCE, sealed_secrets, until_logged};

async fn plant(scene: &Scene, name: &str) {
    let secret: Secret = serde_json::from_value(scene.secret(name, "theirs", "x")).unwrap();
    scene.secrets().create(&PostParams::default(), &secret).await.unwrap();
}

fn failures_told(scene: &Scene, name: &str) -> usize {
    let name = format!("name={name}");
    let is_of_it = |line: &&str| line.split_whitespace().any(|word| word == name);
    let failures = |line: &&str| line.contains("level=ERROR") && is_of_it(line);
    scene.controller.log().lines().filter(failures).count()
}

/// The number of events of this reason about an object.
async fn events(scene: &Scene, name: &str, reason: &str) -> usize {
    scene.events(&format!("involvedObject.name={name},reason={reason}")).await.len()
}

/// Waits until this many attempts for an object have failed.
async fn until_failed(scene: &Scene, name: &str, times: usize) {
    let found = async || (failures_told(scene, name) >= times).then_some(());
    until(&format!("{name} has failed {times} times"), PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn an_explicit_limit_of_retries_holds_until_a_change_and_without_one_there_is_none() {
    let (limited, unlimited) = (Scene::with(&["--max-unseal-retries=1"]).await, Scene::set().await);
    for scene in [&limited, &unlimited] {
        scene.fill_quota().await;
        scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    }
    until_failed(&limited, "db", 2).await;
    // The back-off doubles: four failures here take longer than a third one would have taken there.
    until_failed(&unlimited, "db", 5).await;
    assert_eq!(failures_told(&limited, "db"), 2);
    limited.merge("db", &json!({"spec": {"template": {"type": "Opaque"}}})).await;
    until_failed(&limited, "db", 4).await;
}

#[tokio::test]
async fn a_secret_of_another_owner_is_reported_once_and_its_object_waits_until_it_changes() {
    let scene = Scene::set().await;
    plant(&scene, "foreign").await;
    scene.seal_and_create(&scene.secret("foreign", "password", CANARY)).await;
    until_failed(&scene, "foreign", 1).await;
    scene.fill_quota().await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    // Four intervals of the doubling back-off.
    until_failed(&scene, "db", 5).await;
    assert_eq!(failures_told(&scene, "foreign"), 1);
    assert_eq!(events(&scene, "db", "ErrUpdateFailed").await, 1, "one event, not one per attempt");
    let handed_over = json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}});
    let change = Patch::Merge(&handed_over);
    scene.secrets().patch("foreign", &PatchParams::default(), &change).await.unwrap();
    scene.until_synced("foreign", "True").await;
}

#[tokio::test]
async fn without_update_status_events_are_written_and_no_status() {
    let scene = Scene::with(&["--update-status=false"]).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_event("db", "Unsealed").await;
    assert!(scene.sealed_secrets().get("db").await.unwrap().data.get("status").is_none());
    let first = scene.secrets().get("db").await.unwrap();
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_secret("db", "is another one", |secret| secret.uid() != first.uid()).await;
    scene.until_event("db", "SecretRepaired").await;
    scene.fill_quota().await;
    scene.seal_and_create(&scene.secret("refused", "password", CANARY)).await;
    until_failed(&scene, "refused", 4).await;
    for (name, reason) in [("db", "Unsealed"), ("refused", "ErrUpdateFailed")] {
        assert_eq!(events(&scene, name, reason).await, 1, "{name}: one event, not one per attempt");
    }
}

/// Waits until so many items need the only key.
async fn until_needed(scene: &Scene, items: usize) {
    let counted = async || {
        let page = scene.controller.metrics().await.unwrap();
        let mut keys = page.lines().filter(|line| line.starts_with("sealed_secrets_controller_key_items{"));
        keys.any(|line| line.ends_with(&format!(" {items}"))).then_some(())
    };
    until(&format!("{items} items need the key"), PATIENCE, counted).await.unwrap();
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_left_alone() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    until_needed(&scene, 1).await;
    scene.merge("db", &json!({"metadata": {"finalizers": ["example.com/wait"]}})).await;
    scene.sealed_secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let marked = async || scene.sealed_secrets().get("db").await.unwrap().metadata.deletion_timestamp;
    until("db is being deleted", PATIENCE, marked).await.unwrap();
    // The controller observes this by another watch than that of Secrets.
    until_needed(&scene, 0).await;
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.opened("later").await;
    assert!(scene.secrets().get_opt("db").await.unwrap().is_none());
    scene.merge("db", &json!({"metadata": {"finalizers": null}})).await;
}

fn condition(object: &Value, type_: &str, field: &str) -> String {
    let conditions = object["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == type_).unwrap();
    found[field].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn reason_message_and_generation_are_those_of_the_last_attempt() {
    let scene = Scene::set().await;
    plant(&scene, "db").await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    let mut bad = good.clone();
    bad["spec"]["encryptedData"]["password"] = json!("%%%");
    scene.create(&bad).await;
    let steps = [
        (json!({"metadata": {}}), "UnsealFailed", "illegal base64"),
        (json!({"spec": good["spec"]}), "NotManaged", "failed update: "),
    ];
    for (change, reason, message) in steps {
        scene.merge("db", &change).await;
        let told = async || {
            let object = scene.sealed_secrets().get("db").await.unwrap();
            let status = object.data.get("status").filter(|status| status["conditions"].is_array())?.clone();
            let current = status["observedGeneration"].as_i64() == object.metadata.generation;
            (current && condition(&status, "Synced", "reason") == reason).then_some(status)
        };
        let status = until(&format!("db says {reason}"), PATIENCE, told).await.unwrap();
        for type_ in ["Synced", "Ready", "Stalled"] {
            assert_eq!(condition(&status, type_, "reason"), reason);
            assert!(condition(&status, type_, "message").starts_with(message), "{status}");
        }
    }
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    let status = scene.sealed_secrets().get("db").await.unwrap().data["status"].clone();
    assert_eq!(
        (condition(&status, "Synced", "reason").as_str(), status["conditions"][0]["message"].as_str()),
        ("Unsealed", None)
    );
}

/// Grants the controller of `scene` its permissions in another namespace, too.
async fn bind_in(scene: &Scene, namespace: &str) {
    let own: Api<RoleBinding> = Api::namespaced(scene.cluster.client(), scene.namespace());
    let bindings = own.list(&ListParams::default()).await.unwrap().items;
    let binding = bindings.into_iter().find(|binding| binding.role_ref.kind == "ClusterRole").unwrap();
    let copy = RoleBinding {
        metadata: ObjectMeta { name: binding.metadata.name.clone(), ..ObjectMeta::default() },
        ..binding
    };
    let there: Api<RoleBinding> = Api::namespaced(scene.cluster.client(), namespace);
    there.create(&PostParams::default(), &copy).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_created_later_is_reconciled_as_soon_as_its_permissions_exist() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let name = format!("later-{}", installation.namespace());
    let additional = format!("--additional-namespaces={name}");
    let scene = Scene::start(cluster, installation, &[&additional]).await;
    scene.until_logged("watching SealedSecrets").await;
    let namespaces: Api<Namespace> = Api::all(scene.cluster.client());
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    bind_in(&scene, &name).await;
    let mut secret = scene.secret("db", "password", CANARY);
    secret["metadata"]["namespace"] = json!(name);
    let sealed = serde_json::from_value(scene.seal(&secret).await).unwrap();
    sealed_secrets(&scene.cluster, &name).create(&PostParams::default(), &sealed).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), &name);
    let there = async || secrets.get_opt("db").await.unwrap().and_then(|secret| item(&secret, "password"));
    assert_eq!(until("db is there", PATIENCE, there).await.unwrap(), CANARY);
}

#[tokio::test]
async fn sigterm_ends_it_also_while_a_key_is_made() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let mut controller =
        sealed_secrets_tests::ControllerProcess::spawn(&installation, Edition::Ours, &["--key-size=8192"])
            .await
            .unwrap();
    until_logged(&controller, "keys=0").await;
    assert!(controller.stop().await.unwrap().success());
    assert!(controller.log().contains("stopped"));
}

/// A status without the parts that differ between any two objects.
fn comparable_status(object: &kube::api::DynamicObject) -> Value {
    let mut status = object.data["status"].clone();
    for path in ["/lastSuccess/uid", "/lastSuccess/secretUid", "/lastSuccess/secretResourceVersion"] {
        if let Some(value) = status.pointer_mut(path) {
            *value = Value::Null;
        }
    }
    for condition in status["conditions"].as_array_mut().unwrap() {
        for time in ["lastTransitionTime", "lastUpdateTime"] {
            condition[time] = Value::Null;
        }
    }
    status
}

#[tokio::test]
async fn nothing_that_is_stored_beside_the_secret_depends_on_its_value() {
    let scene = Scene::set().await;
    let mut objects = Vec::new();
    for (name, value) in [("one", CANARY), ("two", "another value altogether")] {
        scene.seal_and_create(&scene.secret(name, "password", value)).await;
        scene.until_synced(name, "True").await;
        let secret = scene.until_secret(name, "is there", |_| true).await;
        assert_eq!((secret.metadata.annotations, secret.metadata.labels), (None, None), "{name}");
        objects.push(scene.sealed_secrets().get(name).await.unwrap());
    }
    assert_eq!(comparable_status(&objects[0]), comparable_status(&objects[1]));
    assert_eq!(objects[0].metadata.annotations, objects[1].metadata.annotations);
}
