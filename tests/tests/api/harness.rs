//! Tests of the harness that all other tests use.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use sealed_secrets_tests::{Cluster, Tool, objects_of, shipped_manifests, shipped_manifests_in, until};
use serde_json::{Value, json};

use crate::support::{PATIENCE, overlay};

#[tokio::test]
async fn the_administrator_may_do_everything() {
    let cluster = Cluster::shared().await.unwrap();
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let groups = review.status.unwrap().user_info.unwrap().groups.unwrap();
    assert!(groups.contains(&"system:masters".to_owned()), "{groups:?}");
}

#[tokio::test]
async fn a_deleted_namespace_goes_away() {
    let cluster = Cluster::shared().await.unwrap();
    let name = cluster.namespace("gone").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    let gone = async || namespaces.get_opt(&name).await.unwrap().is_none().then_some(());
    until("the namespace is gone", PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn an_owned_object_goes_with_its_owner() {
    let cluster = Cluster::shared().await.unwrap();
    let namespace = cluster.namespace("owned").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), &namespace);
    let create = async |object| {
        maps.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    };
    let owner = create(json!({ "metadata": { "name": "owner" } })).await;
    let reference =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid });
    create(json!({ "metadata": { "name": "owned", "ownerReferences": [reference] } })).await;
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    let gone = async || maps.get_opt("owned").await.unwrap().is_none().then_some(());
    until("the owned object is gone", PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_control_plane_of_its_own_is_another_one() {
    let shared = Cluster::shared().await.unwrap();
    let own = Cluster::own().await.unwrap();
    assert_ne!(shared.access().server(), own.access().server());
    let name = shared.namespace("only-here").await.unwrap();
    let namespaces: Api<Namespace> = Api::all(own.client());
    assert!(namespaces.get_opt(&name).await.unwrap().is_none());
}

#[test]
fn the_tests_apply_the_same_as_kubectl() {
    let kubectl = Tool::kubectl().unwrap();
    let theirs = kubectl.run(&["kustomize", "deploy/kustomize/base"], "").unwrap().ok().unwrap();
    assert_eq!(by_name(shipped_manifests().unwrap()), by_name(objects_of(&theirs).unwrap()));
}

#[test]
fn in_any_namespace_the_tests_apply_the_same_as_an_overlay_for_it() {
    let theirs = overlay("deploy/kustomize/base", "namespace: sealing");
    assert_eq!(by_name(shipped_manifests_in("sealing").unwrap()), by_name(theirs));
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|mut object| {
            as_floats(&mut object);
            (format!("{} {}", object["kind"], object["metadata"]["name"]), object)
        })
        .collect()
}

/// Converts numbers to floats: kubectl writes 1.0 as 1.
fn as_floats(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().into(),
        Value::Array(items) => items.iter_mut().for_each(as_floats),
        Value::Object(fields) => fields.values_mut().for_each(as_floats),
        _ => {}
    }
}

/// Returns true if the service account of the controller installed in `home` has this right.
async fn may(cluster: &Cluster, home: &str, verb: &str, resource: &str, namespace: &str) -> bool {
    let attributes = ResourceAttributes {
        verb: Some(verb.into()),
        resource: Some(resource.into()),
        namespace: Some(namespace.into()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{home}:sealed-secrets-controller")),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(cluster.client());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
async fn a_namespaced_installation_has_the_shipped_permissions_in_its_namespaces_only() {
    let cluster = Cluster::shared().await.unwrap();
    let additional = cluster.namespace("additional").await.unwrap();
    let installation = cluster.install_namespaced(&[&additional]).await.unwrap();
    let home = installation.namespace();
    for namespace in [home, &additional] {
        assert!(may(&cluster, home, "update", "secrets", namespace).await, "{namespace}");
        assert!(!may(&cluster, home, "delete", "pods", namespace).await, "{namespace}");
    }
    assert!(!may(&cluster, home, "get", "secrets", "default").await);
    assert!(!may(&cluster, home, "list", "namespaces", "").await);
}
