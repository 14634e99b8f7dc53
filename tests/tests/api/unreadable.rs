//! SealedSecrets that cannot be parsed any more: the visible effects, and the recovery.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use sealed_secrets_tests::{Cluster, ControllerProcess, until};

use crate::scene::{CANARY, Scene, item};
use crate::support::PATIENCE;

const KIND: &str = "sealedsecrets.bitnami.com";
const FAILING: &str = r#"sealed_secrets_controller_watches_failing{resource="sealedsecrets"} "#;

/// Waits until `/readyz` returns this status and the metrics show whether a watch fails.
async fn until_told(controller: &ControllerProcess, status: u16) {
    let told = async || {
        let answer = controller.get("/readyz").await.ok()?;
        let page = controller.metrics().await.ok()?;
        let failing = page.lines().find_map(|line| line.strip_prefix(FAILING))?;
        (answer.status == status && (failing == "0") == (status == 200)).then_some(answer.body)
    };
    let body = until(&format!("readyz answers {status}"), PATIENCE, told).await.unwrap();
    assert_eq!(body.contains("the CRD or the permission is missing"), status == 503, "{body}");
}

#[tokio::test]
async fn a_replica_without_the_crd_is_not_ready_until_the_crd_is_back() {
    let scene = Scene::on(Cluster::own().await.unwrap(), &[]).await;
    until_told(&scene.controller, 200).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.cluster.client());
    let lost = definitions.get(KIND).await.unwrap();
    definitions.delete(KIND, &DeleteParams::default()).await.unwrap();
    until_told(&scene.controller, 503).await;
    assert_eq!(scene.controller.get("/healthz").await.unwrap().status, 200);
    assert!(scene.controller.certificate().await.unwrap().contains("BEGIN CERTIFICATE"));
    let metadata = ObjectMeta {
        name: lost.metadata.name,
        annotations: lost.metadata.annotations,
        ..ObjectMeta::default()
    };
    let restored = CustomResourceDefinition { metadata, spec: lost.spec, status: None };
    definitions.create(&PostParams::default(), &restored).await.unwrap();
    until_told(&scene.controller, 200).await;
    let served = async || scene.sealed_secrets().list(&ListParams::default()).await.ok();
    until("SealedSecrets are served", PATIENCE, served).await.unwrap();
    let sealed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    scene.create(&sealed).await;
    let secret = scene.until_secret("db", "is there", |secret| item(secret, "password").is_some()).await;
    assert_eq!(item(&secret, "password").as_deref(), Some(CANARY));
}
