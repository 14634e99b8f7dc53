//! The CRD of either side installed over the other's: all objects stay, and both schemas accept the same manifests.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealed_secrets_crds::SEALED_SECRET_CRD_YAML;
use sealed_secrets_tests::{Cluster, until};
use serde_json::{Value, json};

use crate::support::PATIENCE;

/// The names, fields and columns of upstream's CRD, in our own words: see `tests/data/README.md`.
const UPSTREAM: &str = include_str!("../data/existing-cluster/crd.yaml");

async fn install(cluster: &Cluster, yaml: &str) {
    let crd: Value = serde_saphyr::from_str(yaml).unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let name = "sealedsecrets.bitnami.com";
    // As `kubectl replace` does, so that nothing of the other's schema stays.
    match crds.get_opt(name).await.unwrap() {
        None => {
            crds.create(&PostParams::default(), &serde_json::from_value(crd).unwrap()).await.unwrap();
        }
        Some(present) => {
            let mut crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
            crd.metadata.resource_version = present.metadata.resource_version;
            crds.replace(name, &PostParams::default(), &crd).await.unwrap();
        }
    }
    let established = async || {
        let conditions = crds.get(name).await.ok()?.status?.conditions?;
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
            .then_some(())
    };
    until("the CRD is established", PATIENCE, established).await.unwrap();
}

fn every_field(name: &str) -> Value {
    json!({
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": name, "annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"}},
        "spec": {
            "data": "AAAA",
            "encryptedData": {"password": "AgAA"},
            "template": {
                "metadata": {
                    "name": name, "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/x"],
                    "unknown": {"kept": true}
                },
                "type": "example.com/kind",
                "immutable": true,
                "data": {"config": "{{ .password }}"}
            }
        }
    })
}

async fn objects_survive(first: &str, second: &str) {
    let cluster = Cluster::own().await.unwrap();
    install(&cluster, first).await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret"));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &kind);
    let created = async || {
        let manifest = serde_json::from_value(every_field("kept")).unwrap();
        api.create(&PostParams::default(), &manifest).await.ok()
    };
    let before = until("a SealedSecret can be created", PATIENCE, created).await.unwrap();
    assert_eq!(before.data["spec"], every_field("kept")["spec"], "the first schema drops nothing");
    install(&cluster, second).await;
    let after = api.get("kept").await.unwrap();
    assert_eq!(after.data["spec"], before.data["spec"]);
    assert_eq!(after.metadata.uid, before.metadata.uid);
    let again = json!({"metadata": {"labels": {"still": "writable"}}});
    api.patch("kept", &PatchParams::default(), &Patch::Merge(&again)).await.unwrap();
}

#[tokio::test]
async fn our_crd_over_upstreams_keeps_every_object() {
    objects_survive(UPSTREAM, SEALED_SECRET_CRD_YAML).await;
}

#[tokio::test]
async fn upstreams_crd_over_ours_keeps_every_object() {
    objects_survive(SEALED_SECRET_CRD_YAML, UPSTREAM).await;
}
