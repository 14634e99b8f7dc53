//! What GitOps tools make of our status: kstatus, which Flux uses, and Argo CD's health check for SealedSecrets.

use std::io::Write as _;
use std::process::{Command, Stdio};

use http::Method;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use sealed_secrets_tests::{Cluster, Edition, Fault, FaultProxy, programs, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, seal_with};
use crate::support::PATIENCE;

const FOREIGN_CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

/// The verdict of the library itself.
fn kstatus(object: &DynamicObject) -> String {
    let mut child = Command::new(programs::kstatus().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = serde_json::to_string(object).unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What Argo CD's built-in check says, with its message: the first condition Synced decides, without one it waits.
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

async fn judged(scene: &Scene, name: &str) -> (String, &'static str, String) {
    let object = scene.sealed_secrets().get(name).await.unwrap();
    let (health, message) = argo(&object);
    (kstatus(&object), health, message)
}

#[tokio::test]
async fn what_has_opened_is_current_and_healthy() {
    let scene = Scene::set().await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    assert_eq!(judged(&scene, "db").await, ("Current".to_owned(), "Healthy", String::new()));
    let mut changed = scene.sealed_secrets().get("db").await.unwrap();
    changed.metadata.generation = Some(2);
    assert_eq!(kstatus(&changed), "InProgress", "a generation that was not looked at yet");
}

#[tokio::test]
async fn what_cannot_open_is_failed_and_degraded_with_the_reason() {
    let scene = Scene::set().await;
    scene.create(&seal_with(FOREIGN_CERTIFICATE, &scene.secret("db", "password", CANARY))).await;
    scene.until_synced("db", "False").await;
    let (kstatus, health, message) = judged(&scene, "db").await;
    assert_eq!((kstatus.as_str(), health), ("Failed", "Degraded"));
    assert!(message.starts_with("no key could decrypt secret (password)"), "{message}");
}

#[tokio::test]
async fn what_is_not_ours_is_failed_and_degraded_until_it_is_out_of_the_way() {
    let scene = Scene::set().await;
    let foreign = json!({"metadata": {"name": "db"}, "stringData": {"a": "b"}});
    scene.secrets().create(&PostParams::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "False").await;
    let (kstatus, health, message) = judged(&scene, "db").await;
    assert_eq!((kstatus.as_str(), health), ("Failed", "Degraded"));
    assert!(message.contains("already exists and is not managed by SealedSecret"), "{message}");
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    assert_eq!(judged(&scene, "db").await, ("Current".to_owned(), "Healthy", String::new()));
}

#[tokio::test]
async fn what_is_not_valid_is_failed_and_degraded() {
    let scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    sealed["spec"]["encryptedData"]["password"] = json!("not base64!");
    scene.create(&sealed).await;
    scene.until_synced("db", "False").await;
    let (kstatus, health, _) = judged(&scene, "db").await;
    assert_eq!((kstatus.as_str(), health), ("Failed", "Degraded"));
}

/// A controller whose API server refuses to create Secrets for a while.
#[tokio::test]
async fn a_passing_error_is_in_progress_and_stays_healthy_only_for_what_has_opened() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    let kubeconfig = format!("--kubeconfig={}", proxy.kubeconfig().display());
    let controller = installation.start(Edition::Ours, &[&kubeconfig]).await.unwrap();
    let scene = Scene { cluster, installation, controller };
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
    }
    proxy.heal();
    for name in ["opened", "new"] {
        scene.until_secret(name, "is there", |_| true).await;
        let settled = async || {
            let (kstatus, health, _) = judged(&scene, name).await;
            (kstatus == "Current" && health == "Healthy").then_some(())
        };
        until(&format!("{name} is healthy again"), PATIENCE, settled).await.unwrap();
    }
}
