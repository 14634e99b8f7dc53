//! After a SealedSecret was decrypted: changes of its Secret are reverted, and no work is done twice.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::PATIENCE;

async fn edit(scene: &Scene, name: &str, change: &Value) {
    let parameters = PatchParams { field_manager: Some("an-intruder".to_owned()), ..PatchParams::default() };
    scene.secrets().patch(name, &parameters, &Patch::Merge(change)).await.unwrap();
}

/// The value of the first line of a metric that has all these parts.
async fn metric(scene: &Scene, parts: &[&str]) -> Option<f64> {
    let page = scene.controller.metrics().await.unwrap();
    let mut samples = page.lines().filter(|line| !line.starts_with('#'));
    let line = samples.find(|line| parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_deleted_secret_is_created_again() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let first = scene.secrets().get("db").await.unwrap();
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    let again = scene.until_secret("db", "is another one", |secret| secret.uid() != first.uid()).await;
    assert_eq!(item(&again, "password").as_deref(), Some(CANARY));
    assert_eq!(
        scene.until_event("db", "SecretRepaired").await,
        "the Secret had been deleted and was created again"
    );
    assert_eq!(metric(&scene, &["secret_repairs_total", scene.namespace()]).await, Some(1.0));
}

#[tokio::test]
async fn an_edited_secret_is_repaired_and_additions_of_others_stay() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let change = json!({
        "metadata": {"labels": {"added-by": "others"}},
        "stringData": {"password": "forged", "further": "x"}
    });
    edit(&scene, "db", &change).await;
    let repaired = scene
        .until_secret("db", "has its own password", |secret| {
            item(secret, "password").as_deref() == Some(CANARY)
        })
        .await;
    assert_eq!(item(&repaired, "further").as_deref(), Some("x"));
    assert_eq!(repaired.labels().get("added-by").map(String::as_str), Some("others"));
    assert_eq!(
        scene.until_event("db", "SecretRepaired").await,
        "the Secret had been changed by an-intruder and was put back"
    );
}

#[tokio::test]
async fn a_secret_that_somebody_changes_again_and_again_is_put_back_later_each_time() {
    let scene = Scene::set().await;
    scene.opened("fought-over").await;
    scene.opened("other").await;
    let forged = json!({"stringData": {"password": "forged"}});
    let is_back = |secret: &_| item(secret, "password").as_deref() == Some(CANARY);
    for _ in 0..5 {
        edit(&scene, "fought-over", &forged).await;
        scene.until_secret("fought-over", "is put back", is_back).await;
    }
    // The next back-off is eight seconds; a test process that is slower sees nothing.
    let since = Instant::now();
    edit(&scene, "fought-over", &forged).await;
    edit(&scene, "other", &forged).await;
    scene.until_secret("other", "is put back", is_back).await;
    let waits = !is_back(&scene.secrets().get("fought-over").await.unwrap());
    assert!(waits || since.elapsed() > Duration::from_secs(7), "it waits");
    scene.until_secret("fought-over", "is put back in the end", is_back).await;
}

async fn events(scene: &Scene, reason: &str) -> usize {
    scene.events(&format!("reason={reason}")).await.len()
}

#[tokio::test]
async fn a_fight_over_a_secret_is_reported_once() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let is_back = |secret: &_| item(secret, "password").as_deref() == Some(CANARY);
    for _ in 0..4 {
        edit(&scene, "db", &json!({"stringData": {"password": "forged"}})).await;
        scene.until_secret("db", "is put back", is_back).await;
    }
    let told = scene.until_event("db", "SecretContested").await;
    assert!(
        told.starts_with("the Secret had been changed by an-intruder and was put back, again and again"),
        "{told}"
    );
    let counted = async || metric(&scene, &["secret_repairs_total"]).await.filter(|repairs| *repairs >= 4.0);
    until("all repairs are counted", PATIENCE, counted).await.unwrap();
    scene.opened("later").await;
    assert_eq!((events(&scene, "SecretRepaired").await, events(&scene, "SecretContested").await), (1, 1));
}

#[tokio::test]
async fn an_item_that_another_controller_adds_stays_until_the_spec_changes() {
    let mut scene = Scene::set().await;
    scene.opened("argocd-secret").await;
    let added = PatchParams { field_manager: Some("argocd-server".to_owned()), ..PatchParams::default() };
    let key = Patch::Merge(json!({"stringData": {"server.secretkey": "theirs"}}));
    scene.secrets().patch("argocd-secret", &added, &key).await.unwrap();
    let theirs = |secret: &Secret| item(secret, "server.secretkey");
    scene.opened("later").await;
    scene.controller.stop().await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    scene.opened("after-the-restart").await;
    assert_eq!(events(&scene, "SecretRepaired").await, 0);
    edit(&scene, "argocd-secret", &json!({"stringData": {"password": "forged"}})).await;
    let is_back = |secret: &_| item(secret, "password").as_deref() == Some(CANARY);
    let repaired = scene.until_secret("argocd-secret", "has its own password", is_back).await;
    assert_eq!(theirs(&repaired).as_deref(), Some("theirs"));
    let changed = scene.seal(&scene.secret("argocd-secret", "password", "new")).await;
    scene.merge("argocd-secret", &json!({"spec": changed["spec"]})).await;
    scene.until_secret("argocd-secret", "is as the spec says alone", |secret| theirs(secret).is_none()).await;
}

#[tokio::test]
async fn the_token_of_a_service_account_is_not_fought_over() {
    let scene = Scene::set().await;
    let mut secret = scene.secret("token", "note", CANARY);
    secret["type"] = json!("kubernetes.io/service-account-token");
    secret["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    let accounts: Api<ServiceAccount> = Api::namespaced(scene.cluster.client(), scene.namespace());
    let is_there = async || accounts.get_opt("default").await.unwrap();
    until("the namespace has its account", PATIENCE, is_there).await.unwrap();
    scene.seal_and_create(&secret).await;
    scene.until_synced("token", "True").await;
    // The fields that the token controller sets, which this control plane does not have.
    let manager =
        PatchParams { field_manager: Some("kube-controller-manager".to_owned()), ..PatchParams::default() };
    let filled = Patch::Merge(json!({
        "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u"}},
        "stringData": {"token": "eyJ", "ca.crt": "a certificate", "namespace": "n"}
    }));
    scene.secrets().patch("token", &manager, &filled).await.unwrap();
    scene.opened("later").await;
    let kept = scene.secrets().get("token").await.unwrap();
    assert_eq!(
        (item(&kept, "token").as_deref(), item(&kept, "note").as_deref()),
        (Some("eyJ"), Some(CANARY))
    );
    assert_eq!(kept.annotations().get("kubernetes.io/service-account.uid").map(String::as_str), Some("u"));
    assert_eq!(metric(&scene, &["secret_repairs_total", scene.namespace()]).await, None);
}

#[tokio::test]
async fn a_foreign_label_alone_is_no_drift() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    edit(&scene, "db", &json!({"metadata": {"labels": {"added-by": "others"}}})).await;
    scene.opened("later").await;
    assert_eq!(metric(&scene, &["secret_repairs_total", scene.namespace()]).await, None);
    assert!(scene.secrets().get("db").await.unwrap().labels().contains_key("added-by"));
}

#[tokio::test]
async fn skip_recreate_leaves_a_deleted_secret_deleted() {
    let mut scene = Scene::with(&["--skip-recreate"]).await;
    scene.opened("db").await;
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.opened("later").await;
    assert!(scene.secrets().get_opt("db").await.unwrap().is_none());
    scene.new_key().await;
    scene.opened("after-the-key").await;
    assert!(scene.secrets().get_opt("db").await.unwrap().is_none(), "a new key is no reason");
    let changed = scene.seal(&scene.secret("db", "password", "changed")).await;
    scene.merge("db", &json!({"spec": changed["spec"]})).await;
    scene.until_secret("db", "is made anew", |secret| item(secret, "password").is_some()).await;
}

#[tokio::test]
async fn a_restarted_controller_decrypts_no_unchanged_object() {
    let mut scene = Scene::set().await;
    for name in ["one", "two", "three"] {
        scene.opened(name).await;
    }
    scene.secrets().delete("three", &DeleteParams::default()).await.unwrap();
    scene.until_event("three", "SecretRepaired").await;
    scene.controller.stop().await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    for name in ["one", "two", "three"] {
        let name = format!("name=\"{name}\"");
        let known = async || metric(&scene, &["condition_info", &name]).await.filter(|value| *value > 0.0);
        until(&format!("the new process knows {name}"), PATIENCE, known).await.unwrap();
    }
    assert_eq!(metric(&scene, &["unseal_requests_total"]).await, Some(0.0));
}

#[tokio::test]
async fn drift_while_no_controller_ran_is_repaired_at_the_start() {
    let mut scene = Scene::set().await;
    scene.opened("edited").await;
    scene.opened("deleted").await;
    scene.controller.stop().await.unwrap();
    edit(&scene, "edited", &json!({"stringData": {"password": "forged"}})).await;
    scene.secrets().delete("deleted", &DeleteParams::default()).await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    for name in ["edited", "deleted"] {
        let is_back = |secret: &_| item(secret, "password").as_deref() == Some(CANARY);
        scene.until_secret(name, "has its own password", is_back).await;
    }
}

#[tokio::test]
async fn a_forged_memory_in_the_status_does_not_make_a_secret_ours() {
    let scene = Scene::set().await;
    scene.opened("db").await;
    let status = scene.sealed_secrets().get("db").await.unwrap().data["status"].clone();
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}, "stringData": {"theirs": "x"}
    });
    let foreign = serde_json::from_value(foreign).unwrap();
    scene.secrets().create(&kube::api::PostParams::default(), &foreign).await.unwrap();
    scene.seal_and_create(&scene.secret("other", "password", CANARY)).await;
    scene.until_synced("other", "False").await;
    let change = Patch::Merge(json!({"status": status}));
    scene.sealed_secrets().patch_status("other", &PatchParams::default(), &change).await.unwrap();
    scene.merge("other", &json!({"spec": {"template": {"type": "Opaque"}}})).await;
    scene.until_synced("other", "False").await;
    let secret = scene.secrets().get("other").await.unwrap();
    assert_eq!((item(&secret, "theirs").as_deref(), item(&secret, "password")), (Some("x"), None));
}

fn conditions(object: &kube::api::DynamicObject) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = object.data["status"]["conditions"].as_array().unwrap().iter();
    conditions.map(|condition| (text(&condition["type"]), text(&condition["status"]))).collect()
}

#[tokio::test]
async fn the_conditions_are_those_that_gitops_tools_read() {
    let scene = Scene::set().await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    let mut sealed = good.clone();
    sealed["spec"]["encryptedData"]["password"] = json!("AAAA");
    scene.create(&sealed).await;
    scene.until_synced("db", "False").await;
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|&(one, other)| (one.to_owned(), other.to_owned())).collect()
    };
    let stalled = scene.sealed_secrets().get("db").await.unwrap();
    assert_eq!(conditions(&stalled), pairs(&[("Synced", "False"), ("Ready", "False"), ("Stalled", "True")]));
    scene.merge("db", &json!({"spec": good["spec"]})).await;
    scene.until_synced("db", "True").await;
    let opened = scene.sealed_secrets().get("db").await.unwrap();
    assert_eq!(conditions(&opened), pairs(&[("Synced", "True"), ("Ready", "True")]));
}

#[tokio::test]
async fn a_label_selector_selects_sealed_secrets_and_does_not_hide_their_secrets() {
    let scene = Scene::with(&["--label-selector=team=a"]).await;
    let mut selected = scene.seal(&scene.secret("selected", "password", CANARY)).await;
    selected["metadata"]["labels"] = json!({"team": "a"});
    scene.seal_and_create(&scene.secret("ignored", "password", CANARY)).await;
    scene.create(&selected).await;
    scene.until_synced("selected", "True").await;
    let first = scene.secrets().get("selected").await.unwrap();
    scene.secrets().delete("selected", &DeleteParams::default()).await.unwrap();
    scene.until_secret("selected", "is another one", |secret| secret.uid() != first.uid()).await;
    assert!(scene.secrets().get_opt("ignored").await.unwrap().is_none());
}

#[tokio::test]
async fn sigusr1_makes_a_new_key_with_the_labels_that_were_asked_for() {
    let mut scene = Scene::with(&["--privatekey-labels=team=a", "--privatekey-annotations=why=test"]).await;
    scene.new_key().await;
    let labelled = ListParams::default().labels("team=a,sealedsecrets.bitnami.com/sealed-secrets-key=active");
    let keys = scene.secrets().list(&labelled).await.unwrap().items;
    assert!(keys.len() >= 2, "{} keys", keys.len());
    assert!(keys.iter().all(|key| key.annotations().get("why").map(String::as_str) == Some("test")));
}
