//! Either CRD replaced by the other one: all objects stay, and both schemas accept the same manifests.

use kube::api::{Patch, PatchParams, PostParams};
use sealed_secrets_crds::SEALED_SECRET_CRD_YAML;
use sealed_secrets_tests::{Cluster, until};
use serde_json::{Value, json};

use crate::support::{PATIENCE, install_crd, sealed_secrets};

/// The names, fields and columns of upstream's CRD, with descriptions of our own: see `tests/data/README.md`.
const UPSTREAM: &str = include_str!("../data/existing-cluster/crd.yaml");

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
    install_crd(&cluster, first).await;
    let api = sealed_secrets(&cluster, "default");
    let created = async || {
        let manifest = serde_json::from_value(every_field("kept")).unwrap();
        api.create(&PostParams::default(), &manifest).await.ok()
    };
    let before = until("a SealedSecret can be created", PATIENCE, created).await.unwrap();
    assert_eq!(before.data["spec"], every_field("kept")["spec"], "the first schema drops nothing");
    install_crd(&cluster, second).await;
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
