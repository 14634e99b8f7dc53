//! Validation of SealingKeyPolicy and SealingKey by the API server, with the rules of their CRDs.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealed_secrets_crds::{SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML};
use sealed_secrets_tests::Cluster;
use serde_json::{Value, json};

use crate::support::install_crd;

async fn cluster_with_key_kinds() -> Cluster {
    let cluster = Cluster::own().await.unwrap();
    install_crd(&cluster, SEALING_KEY_CRD_YAML).await;
    install_crd(&cluster, SEALING_KEY_POLICY_CRD_YAML).await;
    cluster
}

/// The API server's response to a dry run of the creation of such an object.
async fn answer(cluster: &Cluster, kind: &str, spec: &Value) -> Result<(), String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("sealedsecrets.rs", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &resource);
    let object = json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": kind, "metadata": {"name": "default"}, "spec": spec
    });
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let created = api.create(&dry_run, &serde_json::from_value(object).unwrap()).await;
    created.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_policy_is_accepted_with_every_field_and_with_none() {
    let cluster = cluster_with_key_kinds().await;
    let full = json!({
        "suspend": false,
        "keySource": "Generate",
        "generate": {
            "keySize": 4096, "certificateValidity": "87600h", "commonName": "", "secretPrefix": "sealed-secrets-key"
        },
        "rotation": {"every": "30d", "rotateAfter": "2026-11-20T09:00:00Z", "activationDelay": "0s"},
        "primary": {"orderBy": "CertNotBefore", "pin": ""},
        "retention": {"keepAtLeast": 3, "retireWhenUnusedFor": "0s", "deleteAfterRetired": "0s"}
    });
    for spec in [full, json!({}), json!({"rotation": {"every": "60m", "activationDelay": "59m"}})] {
        assert_eq!(answer(&cluster, "SealingKeyPolicy", &spec).await, Ok(()), "{spec}");
    }
}

#[tokio::test]
async fn a_policy_that_was_applied_with_fields_may_be_applied_without_any() {
    let cluster = cluster_with_key_kinds().await;
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("sealedsecrets.rs", "v1alpha1", "SealingKeyPolicy"));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &resource);
    let apply = async |spec: &Value| {
        let object = json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
            "metadata": {"name": "default"}, "spec": spec
        });
        let parameters = PatchParams::apply("somebody's-gitops");
        api.patch("default", &parameters, &Patch::Apply(&object)).await.unwrap().data["spec"].take()
    };
    for spec in [json!({"retention": {"keepAtLeast": 3}}), json!({}), json!({"suspend": true}), json!({})] {
        assert_eq!(apply(&spec).await, spec);
    }
}

#[tokio::test]
async fn a_policy_that_would_do_harm_is_refused_with_the_field() {
    let cluster = cluster_with_key_kinds().await;
    let refused = [
        (json!({"rotation": {"every": "59m"}}), "every must be 0 (off) or at least 1h"),
        (json!({"rotation": {"every": "30s"}}), "spec.rotation.every"),
        (json!({"rotation": {"every": "1h30m"}}), "spec.rotation.every"),
        (json!({"rotation": {"every": "-1h"}}), "spec.rotation.every"),
        (json!({"rotation": {"every": "999999999w"}}), "spec.rotation.every"),
        (
            json!({"rotation": {"every": "1d", "activationDelay": "24h"}}),
            "activationDelay must be shorter than every",
        ),
        (
            json!({"rotation": {"every": "2w", "activationDelay": "15d"}}),
            "activationDelay must be shorter than every",
        ),
        (json!({"rotation": {"rotateAfter": "tomorrow"}}), "spec.rotation.rotateAfter"),
        (json!({"generate": {"keySize": 1024}}), "spec.generate.keySize"),
        (json!({"generate": {"certificateValidity": "0s"}}), "spec.generate.certificateValidity"),
        (json!({"generate": {"secretPrefix": "My_Keys"}}), "spec.generate.secretPrefix"),
        (json!({"keySource": "Elsewhere"}), "spec.keySource"),
        (json!({"primary": {"orderBy": "Name"}}), "spec.primary.orderBy"),
        (json!({"retention": {"keepAtLeast": 0}}), "spec.retention.keepAtLeast"),
        (
            json!({"retention": {"keepAtLeast": 1, "deleteAfterRetired": "90d"}}),
            "deleteAfterRetired needs keepAtLeast of 2 or more",
        ),
    ];
    for (spec, reason) in refused {
        let answer = answer(&cluster, "SealingKeyPolicy", &spec).await;
        assert!(answer.as_ref().is_err_and(|text| text.contains(reason)), "{spec}: {answer:?}");
    }
}

#[tokio::test]
async fn off_and_no_delay_are_written_as_zero_in_either_form() {
    let cluster = cluster_with_key_kinds().await;
    for zero in ["0", "0s"] {
        let spec = json!({
            "rotation": {"every": zero, "activationDelay": "52w"},
            "retention": {"keepAtLeast": 1, "deleteAfterRetired": zero}
        });
        assert_eq!(answer(&cluster, "SealingKeyPolicy", &spec).await, Ok(()), "{spec}");
    }
}

#[tokio::test]
async fn only_a_compromised_key_has_an_end_of_decryption() {
    let cluster = cluster_with_key_kinds().await;
    let until = |state: &str| json!({"state": state, "decryptUntil": "2027-01-01T00:00:00Z"});
    assert_eq!(answer(&cluster, "SealingKey", &until("Compromised")).await, Ok(()));
    assert_eq!(
        answer(&cluster, "SealingKey", &json!({"state": "Retired", "decryptUntil": null})).await,
        Ok(())
    );
    for spec in [until("Retired"), until("Active"), json!({"decryptUntil": "2027-01-01T00:00:00Z"})] {
        let answer = answer(&cluster, "SealingKey", &spec).await;
        let reason = "decryptUntil is for keys in state Compromised";
        assert!(answer.as_ref().is_err_and(|text| text.contains(reason)), "{spec}: {answer:?}");
    }
    assert!(answer(&cluster, "SealingKey", &json!({"state": "Lost"})).await.is_err());
}
