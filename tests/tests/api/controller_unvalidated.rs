//! With a CRD that does not validate, which many clusters still have: whatever a spec contains, the Secret loses no item.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use sealed_secrets_tests::{Cluster, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::{PATIENCE, install_crd};

/// The CRD that the original installed from 0.13 to 0.17, and that its chart never upgrades.
const UNVALIDATING: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sealedsecrets.bitnami.com}
spec:
  group: bitnami.com
  names: {kind: SealedSecret, listKind: SealedSecretList, plural: sealedsecrets, singular: sealedsecret}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {x-kubernetes-preserve-unknown-fields: true}
          status: {x-kubernetes-preserve-unknown-fields: true}
";

async fn unvalidated() -> Scene {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    install_crd(&cluster, UNVALIDATING).await;
    Scene::start(cluster, installation, &[]).await
}

/// Replaces the spec as a user does who does not know the other fields of the object.
async fn write_spec(scene: &Scene, name: &str, spec: &Value) {
    let written = async || {
        let mut object = scene.sealed_secrets().get(name).await.unwrap();
        object.data["spec"] = spec.clone();
        // The API server applies a new schema with a delay, and the controller writes the status meanwhile.
        scene.sealed_secrets().replace(name, &PostParams::default(), &object).await.ok()
    };
    let stored = until("the spec is stored", PATIENCE, written).await.unwrap();
    assert_eq!(&stored.data["spec"], spec, "the API server keeps what it is given");
}

async fn live(scene: &Scene) -> Secret {
    scene.secrets().get("live").await.unwrap()
}

#[tokio::test]
async fn an_item_that_is_not_text_does_not_decrypt_and_the_secret_is_left_unchanged() {
    let scene = unvalidated().await;
    let mut secret = scene.secret("live", "password", CANARY);
    secret["stringData"]["user"] = json!("app");
    let good = scene.seal_and_create(&secret).await;
    scene.until_synced("live", "True").await;
    let before = live(&scene).await;
    assert_eq!((item(&before, "user"), item(&before, "password")), (Some("app".into()), Some(CANARY.into())));
    for value in [json!({"value": "AgX"}), json!(["AgX"]), json!(5), json!(null), json!(true), json!("")] {
        let mut spec = good.data["spec"].clone();
        spec["encryptedData"]["password"] = value.clone();
        write_spec(&scene, "live", &spec).await;
        let message = scene.until_synced("live", "False").await;
        let wanted = "no key could decrypt secret (password)\n\
                      spec.encryptedData[\"password\"]: there is no text; put the base64 text here that kubeseal writes";
        assert_eq!(message, wanted, "{value}");
        assert_eq!(live(&scene).await.metadata.resource_version, before.metadata.resource_version, "{value}");
    }
    write_spec(&scene, "live", &good.data["spec"]).await;
    scene.until_synced("live", "True").await;
}

#[tokio::test]
async fn a_field_of_another_type_is_named_and_the_secret_stays_as_it_is() {
    let scene = unvalidated().await;
    let good = scene.opened("live").await;
    let before = live(&scene).await;
    let with = |path: &str, value: Value| {
        let mut spec = good.data["spec"].clone();
        *spec.pointer_mut(path).unwrap() = value;
        spec
    };
    let wrong = [
        with("/encryptedData", json!(["AgX"])),
        with("/encryptedData", json!("AgX")),
        with("/encryptedData", json!(5)),
        with("/template", json!("text")),
        with("/template", json!([])),
        with("/template", json!({"data": ["text"]})),
        with("/template", json!({"data": {"a": {}}})),
        with("/template", json!({"metadata": []})),
        with("/template", json!({"metadata": {"labels": {"a": {}}}})),
        json!([]),
        json!("text"),
    ];
    for spec in wrong {
        write_spec(&scene, "live", &spec).await;
        let message = scene.until_synced("live", "False").await;
        assert!(!message.is_empty(), "{spec}");
        assert_eq!(live(&scene).await.metadata.resource_version, before.metadata.resource_version, "{spec}");
    }
    // Null counts as absent.
    write_spec(&scene, "live", &with("/template", json!(null))).await;
    scene.until_synced("live", "True").await;
}
