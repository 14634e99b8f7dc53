//! Helpers for several test files.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use sealed_secrets_tests::{Cluster, ControllerProcess, Tool, objects_of, until, until_served, workspace};
use serde_json::{Value, json};

/// A generous timeout for a busy machine; includes the minute after which a controller resynchronizes a failed watch.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until the time is later than `moment` in whole seconds, and returns it.
pub(crate) async fn until_later_than(moment: Timestamp) -> Timestamp {
    let later = async || Some(Timestamp::now()).filter(|now| now.as_second() > moment.as_second());
    until("a second has passed", PATIENCE, later).await.unwrap()
}

/// The manifest of a Secret with one item.
pub(crate) fn secret_manifest(namespace: &str, name: &str, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "stringData": { key: value },
    })
}

/// The manifest of a Secret with one item, as a user would write it.
pub(crate) fn secret(namespace: &str, name: &str, key: &str, value: &str) -> String {
    secret_manifest(namespace, name, key, value).to_string()
}

/// The kind SealedSecret, of objects with any fields.
pub(crate) fn sealed_secret_kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret"))
}

/// The SealedSecrets of a namespace.
pub(crate) fn sealed_secrets(cluster: &Cluster, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client(), namespace, &sealed_secret_kind())
}

/// The events of a namespace that match this field selector.
pub(crate) async fn events(cluster: &Cluster, namespace: &str, selector: &str) -> Vec<Event> {
    let events: Api<Event> = Api::namespaced(cluster.client(), namespace);
    events.list(&ListParams::default().fields(selector)).await.unwrap().items
}

/// Waits until the controller has logged a line with this text.
pub(crate) async fn until_logged(controller: &ControllerProcess, text: &str) {
    let found = async || controller.log().contains(text).then_some(());
    until(&format!("the log says {text:?}"), PATIENCE, found).await.unwrap();
}

/// Server-side applies the SealedSecret that kubeseal printed as JSON.
pub(crate) async fn apply_sealed(cluster: &Cluster, sealed: &str) {
    let sealed: Value = serde_json::from_str(sealed).expect("kubeseal prints JSON");
    let text = |path: &str| sealed.pointer(path).and_then(Value::as_str).expect(path).to_owned();
    let api = sealed_secrets(cluster, &text("/metadata/namespace"));
    let parameters = PatchParams::apply("tests").force();
    api.patch(&text("/metadata/name"), &parameters, &Patch::Apply(&sealed))
        .await
        .expect("the SealedSecret is accepted");
}

/// Waits until the Secret exists with exactly these items.
pub(crate) async fn until_secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    items: &[(&str, &str)],
) -> Secret {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let wanted: BTreeMap<_, _> =
        items.iter().map(|&(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect();
    let what = format!("Secret {namespace}/{name} has the expected items");
    let found = async || {
        let secret = secrets.get_opt(name).await.expect("Secrets can be read")?;
        let data: BTreeMap<_, _> =
            secret.data.clone()?.into_iter().map(|(key, value)| (key, value.0)).collect();
        (data == wanted).then_some(secret)
    };
    until(&what, PATIENCE, found).await.unwrap()
}

/// Installs a CRD as `kubectl replace` does, so that no field of another schema remains, and waits until it is served.
pub(crate) async fn install_crd(cluster: &Cluster, yaml: &str) {
    let crd: Value = serde_saphyr::from_str(yaml).unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let name = crd["metadata"]["name"].as_str().unwrap().to_owned();
    match crds.get_opt(&name).await.unwrap() {
        None => {
            crds.create(&PostParams::default(), &serde_json::from_value(crd).unwrap()).await.unwrap();
        }
        Some(present) => {
            let mut crd: CustomResourceDefinition = serde_json::from_value(crd).unwrap();
            crd.metadata.resource_version = present.metadata.resource_version;
            crds.replace(&name, &PostParams::default(), &crd).await.unwrap();
        }
    }
    until_served(&cluster.client(), &name).await.unwrap();
}

/// Builds an overlay outside of the repository with kustomize: based on this folder of the repository, with these further lines,
/// in which `REPOSITORY` is the path of the repository.
pub(crate) fn overlay(folder: &str, further: &str) -> Vec<Value> {
    let elsewhere = tempfile::tempdir().unwrap();
    let here = fs::canonicalize(elsewhere.path()).unwrap();
    let to_the_root = "../".repeat(here.components().count() - 1);
    let repository = format!("{to_the_root}{}", workspace::root().strip_prefix("/").unwrap().display());
    let further = further.replace("REPOSITORY", &repository);
    let lines = format!("resources: [{repository}/{folder}]\n{further}\n");
    fs::write(here.join("kustomization.yaml"), lines).unwrap();
    let kubectl = Tool::kubectl().unwrap();
    objects_of(&kubectl.run(&["kustomize", here.to_str().unwrap()], "").unwrap().ok().unwrap()).unwrap()
}
