//! Health of our objects in GitOps tools: kstatus, which Flux uses, Argo CD's built-in health check for SealedSecrets, and its
//! replacement in `deploy/gitops`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use http::Method;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use sealed_secrets_tests::{Cluster, Fault, FaultProxy, programs, until, workspace};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, seal_with};
use crate::support::PATIENCE;

const FOREIGN_CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

/// The result of the kstatus library.
fn kstatus(object: &DynamicObject) -> String {
    answer_of(&programs::kstatus().unwrap(), &json!(object)).trim().to_owned()
}

/// The result and message of the check in `deploy/gitops/argo-cd`, run by the Lua library that Argo CD uses.
fn recipe(object: &DynamicObject) -> (String, String) {
    let file = workspace::root().join("deploy/gitops/argo-cd/argocd-cm.yaml");
    let map: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let script = &map["data"]["resource.customizations.health.bitnami.com_SealedSecret"];
    assert!(script.is_string(), "{map}");
    let asked = json!({"script": script, "object": object});
    let verdict: Value = serde_json::from_str(&answer_of(&programs::lua_health().unwrap(), &asked)).unwrap();
    let text = |field: &str| verdict[field].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

/// The program's output for this input.
fn answer_of(program: &Path, question: &Value) -> String {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{question}");
    String::from_utf8(output.stdout).unwrap()
}

/// The result and message of Argo CD's built-in check: the first condition Synced decides; without one it is progressing.
fn argo(object: &DynamicObject) -> (&'static str, String) {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let mut synced = conditions.into_iter().flatten().filter(|condition| condition["type"] == "Synced");
    let verdict = synced.find_map(|condition| {
        let health = match condition["status"].as_str() {
            Some("True") => "Healthy",
            Some("False") => "Degraded",
            _ => return None,
        };
        Some((health, condition["message"].as_str().unwrap_or_default().to_owned()))
    });
    verdict.unwrap_or(("Progressing", String::new()))
}

/// The results of kstatus, Argo CD and our check, and the message that both checks show.
async fn judged(scene: &Scene, name: &str) -> ([String; 3], String) {
    let object = scene.sealed_secrets().get(name).await.unwrap();
    let (health, message) = argo(&object);
    let (recipe, shown) = recipe(&object);
    assert_eq!(shown, message);
    ([kstatus(&object), health.to_owned(), recipe], message)
}

fn healthy() -> ([String; 3], String) {
    (["Current", "Healthy", "Healthy"].map(str::to_owned), String::new())
}

const FAILED: [&str; 3] = ["Failed", "Degraded", "Degraded"];

#[tokio::test]
async fn an_unsealed_object_is_current_and_healthy() {
    let scene = Scene::set().await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    assert_eq!(judged(&scene, "db").await, healthy());
    let mut changed = scene.sealed_secrets().get("db").await.unwrap();
    changed.metadata.generation = Some(2);
    assert_eq!(kstatus(&changed), "InProgress", "a generation that was not looked at yet");
    assert_eq!(recipe(&changed).0, "Progressing");
    changed.data["status"] = Value::Null;
    assert_eq!(recipe(&changed).0, "Progressing", "nothing was looked at yet");
}

#[tokio::test]
async fn an_object_that_does_not_decrypt_is_failed_and_degraded_with_the_reason() {
    let scene = Scene::set().await;
    scene.create(&seal_with(FOREIGN_CERTIFICATE, &scene.secret("db", "password", CANARY))).await;
    scene.until_synced("db", "False").await;
    let (verdicts, message) = judged(&scene, "db").await;
    assert_eq!(verdicts, FAILED);
    assert!(message.starts_with("no key could decrypt secret (password)"), "{message}");
}

#[tokio::test]
async fn a_secret_of_another_owner_is_failed_and_degraded_until_it_is_gone() {
    let scene = Scene::set().await;
    let foreign = json!({"metadata": {"name": "db"}, "stringData": {"a": "b"}});
    scene.secrets().create(&PostParams::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "False").await;
    let (verdicts, message) = judged(&scene, "db").await;
    assert_eq!(verdicts, FAILED);
    assert!(message.contains("already exists and is not managed by SealedSecret"), "{message}");
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    assert_eq!(judged(&scene, "db").await, healthy());
}

#[tokio::test]
async fn an_invalid_object_is_failed_and_degraded() {
    let scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    sealed["spec"]["encryptedData"]["password"] = json!("not base64!");
    scene.create(&sealed).await;
    scene.until_synced("db", "False").await;
    assert_eq!(judged(&scene, "db").await.0, FAILED);
}

/// A controller while the API server refuses to create Secrets.
#[tokio::test]
async fn a_transient_error_is_in_progress_and_stays_healthy_only_for_unsealed_objects() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    let scene = Scene::start(cluster, installation, &[&proxy.flag()]).await;
    scene.seal_and_create(&scene.secret("opened", "password", CANARY)).await;
    scene.until_synced("opened", "True").await;
    proxy.fail(|method, path| {
        (*method == Method::POST && path.contains("/secrets")).then_some(Fault::Status(500))
    });
    scene.secrets().delete("opened", &DeleteParams::default()).await.unwrap();
    scene.seal_and_create(&scene.secret("new", "password", CANARY)).await;
    for (name, expected) in [("opened", "Healthy"), ("new", "Degraded")] {
        let reconciling = async || {
            let object = scene.sealed_secrets().get(name).await.unwrap();
            let conditions = object.data.pointer("/status/conditions")?.as_array()?.clone();
            conditions.iter().any(|condition| condition["type"] == "Reconciling").then_some(object)
        };
        let object = until(&format!("{name} is reconciling"), PATIENCE, reconciling).await.unwrap();
        assert_eq!((kstatus(&object).as_str(), argo(&object).0), ("InProgress", expected), "{name}");
        assert_eq!(recipe(&object).0, "Progressing", "{name}");
    }
    proxy.heal();
    for name in ["opened", "new"] {
        scene.until_secret(name, "is there", |_| true).await;
        let settled = async || (judged(&scene, name).await == healthy()).then_some(());
        until(&format!("{name} is healthy again"), PATIENCE, settled).await.unwrap();
    }
}
