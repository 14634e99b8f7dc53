//! A Helm release in a cluster: its controller, and the objects that no release may delete.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Resource, ResourceExt as _};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Kubeseal, Output, Reach, Tool, objects_of};
use serde_json::Value;

use crate::key_scene::LABEL;
use crate::support::{apply_sealed, sealed_secrets, secret, until_secret};

pub(crate) const CHART: &str = "deploy/helm/sealed-secrets";
pub(crate) const RELEASE: &str = "sealed-secrets-controller";
pub(crate) const NAMESPACE: &str = "kube-system";

/// Runs Helm on the release's namespace.
pub(crate) fn try_helm(cluster: &Cluster, arguments: &[&str]) -> Output {
    let helm = Tool::helm().unwrap().on(&cluster.kubeconfig());
    let arguments: Vec<_> = arguments.iter().copied().chain(["--namespace", NAMESPACE]).collect();
    helm.run(&arguments, "").unwrap()
}

/// Runs Helm on the release's namespace and returns its output.
pub(crate) fn helm(cluster: &Cluster, arguments: &[&str]) -> String {
    try_helm(cluster, arguments).ok().unwrap()
}

/// The objects of the release.
fn objects(cluster: &Cluster) -> Vec<Value> {
    objects_of(&helm(cluster, &["get", "manifest", RELEASE])).unwrap()
}

/// The controller's arguments in the Deployment, without its ports.
fn arguments(objects: &[Value]) -> Vec<&str> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
    arguments.filter(|argument| !argument.starts_with("--listen")).collect()
}

/// Starts our controller with the arguments of the release, except for its ports.
pub(crate) async fn start(cluster: &Cluster) -> ControllerProcess {
    start_as(cluster, Edition::Ours, &arguments(&objects(cluster))).await
}

/// Message of Go's runtime about a data race of the original: with several additional namespaces it registers its types from
/// several goroutines at once.
const DATA_RACE: &str = "concurrent map writes";

/// Starts either controller with the service account of the release and these arguments. The original is started again where its
/// data race has ended it.
pub(crate) async fn start_as(cluster: &Cluster, edition: Edition, arguments: &[&str]) -> ControllerProcess {
    let installation = cluster.installed(objects(cluster), NAMESPACE, Reach::WholeCluster);
    loop {
        match installation.start(edition, arguments).await {
            Err(error) if edition == Edition::Upstream && error.to_string().contains(DATA_RACE) => {}
            started => return started.unwrap(),
        }
    }
}

/// Seals a Secret with this name for this controller, and waits for its decryption.
pub(crate) async fn seal_and_open(cluster: &Cluster, controller: &ControllerProcess, name: &str) {
    seal_and_open_in(cluster, controller, "default", name).await;
}

pub(crate) async fn seal_and_open_in(
    cluster: &Cluster,
    controller: &ControllerProcess,
    namespace: &str,
    name: &str,
) {
    let certificate = format!("http://{}/v1/cert.pem", controller.address());
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap();
    let input = secret(namespace, name, "password", name);
    let sealed = kubeseal.run(&["--cert", &certificate], &input).unwrap().ok().unwrap();
    apply_sealed(cluster, &sealed).await;
    until_secret(cluster, namespace, name, &[("password", name)]).await;
}

/// The objects that no release may delete, by name, with their UIDs to detect that one was recreated.
pub(crate) async fn kept(cluster: &Cluster) -> BTreeMap<String, String> {
    let all = ListParams::default();
    let label = all.clone().labels(LABEL);
    let keys: Api<Secret> = Api::namespaced(cluster.client(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), "default");
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let sealed = sealed_secrets(cluster, "default");
    let mut kept = BTreeMap::new();
    for key in keys.list(&label).await.unwrap() {
        kept.insert(format!("key {}", key.name_any()), format!("{:?} {:?}", identity(&key), key.data));
    }
    for secret in secrets.list(&all).await.unwrap() {
        kept.insert(
            format!("Secret {}", secret.name_any()),
            format!("{:?} {:?}", identity(&secret), secret.data),
        );
    }
    for object in sealed.list(&all).await.unwrap() {
        kept.insert(format!("SealedSecret {}", object.name_any()), identity(&object));
    }
    for crd in crds.list(&all).await.unwrap() {
        kept.insert(format!("CRD {}", crd.name_any()), identity(&crd));
    }
    kept
}

fn identity(object: &impl Resource) -> String {
    let metadata = object.meta();
    format!("{:?}, deleted {:?}", metadata.uid, metadata.deletion_timestamp)
}

/// Asserts that the objects still exist unchanged.
pub(crate) async fn assert_all_is_kept(cluster: &Cluster, before: &BTreeMap<String, String>) {
    let now = kept(cluster).await;
    for (name, object) in before {
        assert_eq!(now.get(name), Some(object), "{name}");
    }
}

/// Asserts that the release's Deployment is gone, or being deleted.
pub(crate) async fn assert_no_controller(cluster: &Cluster) {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    let found = deployments.get_opt(RELEASE).await.unwrap();
    assert!(found.is_none_or(|gone| gone.metadata.deletion_timestamp.is_some()));
}

/// Waits until the Secret exists again, which requires its key.
pub(crate) async fn opens_again(cluster: &Cluster, name: &str) {
    opens_again_in(cluster, "default", name).await;
}

pub(crate) async fn opens_again_in(cluster: &Cluster, namespace: &str, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    until_secret(cluster, namespace, name, &[("password", name)]).await;
}
