//! The main task of the controller: it creates Secrets from SealedSecrets and keeps them in sync.

use kube::ResourceExt as _;
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Fault, FaultProxy, until};
use serde_json::json;

use crate::scene::{CANARY, Scene, is_owned_by, item, seal_with};
use crate::support::PATIENCE;

#[tokio::test]
async fn a_created_sealed_secret_becomes_a_secret_that_it_owns() {
    let scene = Scene::set().await;
    let mut secret = scene.secret("db", "password", CANARY);
    secret["type"] = json!("example.com/kind");
    secret["metadata"]["labels"] = json!({"team": "shop"});
    secret["metadata"]["annotations"] = json!({"note": "kept"});
    let sealed = scene.seal_and_create(&secret).await;
    let opened = scene
        .until_secret("db", "has the item", |secret| item(secret, "password").as_deref() == Some(CANARY))
        .await;
    assert!(is_owned_by(&opened, &sealed));
    assert_eq!(opened.type_.as_deref(), Some("example.com/kind"));
    assert_eq!(opened.labels()["team"], "shop");
    assert_eq!(opened.annotations()["note"], "kept");
    assert_eq!(scene.until_synced("db", "True").await, "");
    assert_eq!(scene.until_event("db", "Unsealed").await, "SealedSecret unsealed successfully");
}

#[tokio::test]
async fn a_changed_sealed_secret_changes_its_secret() {
    let scene = Scene::set().await;
    scene.seal_and_create(&scene.secret("db", "password", "one")).await;
    scene
        .until_secret("db", "has the first value", |secret| {
            item(secret, "password").as_deref() == Some("one")
        })
        .await;
    let changed = scene.seal(&scene.secret("db", "password", "two")).await;
    scene.merge("db", &json!({"spec": {"encryptedData": changed["spec"]["encryptedData"], "template": {"metadata": {"labels": {"new": "label"}}}}})).await;
    let second = |secret: &_| {
        item(secret, "password").as_deref() == Some("two") && secret.labels().contains_key("new")
    };
    scene.until_secret("db", "has the second value and label", second).await;
    scene.merge("db", &json!({"spec": {"encryptedData": {"password": null}}})).await;
    scene.until_secret("db", "has no item", |secret| item(secret, "password").is_none()).await;
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn the_probes_and_the_certificate_are_served() {
    let scene = Scene::set().await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ok\n")] {
        let answer = scene.controller.get(path).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    let certificate = scene.controller.certificate().await.unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"), "{certificate}");
    assert_eq!(scene.controller.get("/v1/nothing").await.unwrap().status, 404);
    assert!(
        scene
            .controller
            .metrics()
            .await
            .unwrap()
            .contains("sealed_secrets_controller_unseal_requests_total 0\n")
    );
}

#[tokio::test]
async fn until_the_keys_are_read_it_is_alive_and_not_ready() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    proxy.fail(|_, _| Some(Fault::Status(503)));
    let controller = ControllerProcess::spawn(&installation, Edition::Ours, &[&proxy.flag()]).await.unwrap();
    let tries = async || (proxy.faults() > 0).then_some(());
    until("it has asked the API server", PATIENCE, tries).await.unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/v1/cert.pem", 500)] {
        assert_eq!(controller.get(path).await.unwrap().status, status, "{path}");
    }
    proxy.heal();
    let ready = async || controller.get("/readyz").await.ok().filter(|answer| answer.status == 200);
    until("it is ready", PATIENCE, ready).await.unwrap();
}

#[tokio::test]
async fn sigterm_ends_it_cleanly() {
    let mut scene = Scene::set().await;
    let status = scene.controller.stop().await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", scene.controller.log());
}

#[tokio::test]
async fn it_also_runs_from_a_kubeconfig() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let flag = format!("--kubeconfig={}", cluster.kubeconfig().display());
    let scene = Scene::start(cluster, installation, &[&flag]).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn a_restarted_controller_keeps_its_key_and_writes_nothing_again() {
    let mut scene = Scene::set().await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    let before = scene.secrets().get("db").await.unwrap();
    let object = scene.sealed_secrets().get("db").await.unwrap();
    let certificate = scene.controller.certificate().await.unwrap();
    scene.controller.stop().await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    scene.seal_and_create(&scene.secret("later", "password", "p")).await;
    scene.until_synced("later", "True").await;
    assert_eq!(scene.controller.certificate().await.unwrap(), certificate);
    assert_eq!(scene.secrets().get("db").await.unwrap().resource_version(), before.resource_version());
    assert_eq!(scene.sealed_secrets().get("db").await.unwrap().resource_version(), object.resource_version());
}

#[tokio::test]
async fn an_object_sealed_with_a_stored_certificate_is_unsealed_too() {
    let scene = Scene::set().await;
    let certificate = scene.controller.certificate().await.unwrap();
    let sealed = seal_with(&certificate, &scene.secret("db", "password", CANARY));
    assert!(!sealed.to_string().contains(CANARY));
    scene.create(&sealed).await;
    scene.until_synced("db", "True").await;
}
