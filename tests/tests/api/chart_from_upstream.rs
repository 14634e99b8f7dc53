//! The life of a release: the original's chart becomes ours, goes, and comes back. Keys, CRDs, SealedSecrets and Secrets stay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{
    Cluster, ControllerProcess, Edition, Installation, Kubeseal, Reach, Tool, objects_of, workspace,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{apply_sealed, secret, until_secret};

/// Names a folder with the original's chart as rendered, and its CRD.
const ORIGINAL: &str = "HARNESS_ORIGINAL";

const CHART: &str = "deploy/helm/sealed-secrets";
const RELEASE: &str = "sealed-secrets-controller";
const NAMESPACE: &str = "kube-system";
const CRD: &str = "sealedsecrets.bitnami.com";

/// A chart that renders what the original's does, with the CRD where it has it.
fn original_chart() -> TempDir {
    let chart = tempfile::tempdir().unwrap();
    let folder = std::env::var_os(ORIGINAL).map(PathBuf::from);
    let (manifests, crd) = if let Some(folder) = folder.as_deref() {
        (vec![folder.join("chart-default.yaml")], crd_in(folder))
    } else {
        let data = workspace::root().join("tests/tests/data");
        let parts = ["existing-cluster/roles.yaml", "original-release/release.yaml"];
        (parts.map(|part| data.join(part)).to_vec(), data.join("existing-cluster/crd.yaml"))
    };
    for folder in ["templates", "crds"] {
        fs::create_dir(chart.path().join(folder)).unwrap();
    }
    let metadata = "apiVersion: v2\nname: sealed-secrets\nversion: 2.19.1\n";
    fs::write(chart.path().join("Chart.yaml"), metadata).unwrap();
    for manifest in manifests {
        let name = manifest.file_name().unwrap();
        fs::copy(&manifest, chart.path().join("templates").join(name)).unwrap();
    }
    fs::copy(crd, chart.path().join("crds/crd.yaml")).unwrap();
    chart
}

fn crd_in(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|file| file.file_name().unwrap().to_string_lossy().starts_with("crd-")).unwrap()
}

/// Runs Helm on the release's namespace and returns what it says.
fn helm(cluster: &Cluster, arguments: &[&str], values: &str) -> String {
    let helm = Tool::helm().unwrap().on(&cluster.kubeconfig());
    let arguments: Vec<_> = arguments.iter().copied().chain(["--namespace", NAMESPACE]).collect();
    helm.run(&arguments, values).unwrap().ok().unwrap()
}

/// The release as it stands in the cluster.
fn installation(cluster: &Cluster) -> (Installation, Vec<String>) {
    let objects = objects_of(&helm(cluster, &["get", "manifest", RELEASE], "")).unwrap();
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let arguments = arguments.iter().map(|argument| argument.as_str().unwrap().to_owned());
    let arguments = arguments.filter(|argument| !argument.starts_with("--listen")).collect();
    (cluster.installed(objects.clone(), NAMESPACE, Reach::WholeCluster), arguments)
}

/// Our controller as the release would start it, but for its ports.
async fn start(cluster: &Cluster) -> ControllerProcess {
    let (installation, arguments) = installation(cluster);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    installation.start(Edition::Ours, &arguments).await.unwrap()
}

async fn seal_and_open(cluster: &Cluster, controller: &ControllerProcess, name: &str) {
    let certificate = format!("http://{}/v1/cert.pem", controller.address());
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap();
    let input = secret("default", name, "password", name);
    let sealed = kubeseal.run(&["--cert", &certificate], &input).unwrap().ok().unwrap();
    apply_sealed(cluster, &sealed).await;
    until_secret(cluster, "default", name, &[("password", name)]).await;
}

/// Everything that no release may take away, by name; UIDs tell an object that was made anew.
async fn kept(cluster: &Cluster) -> BTreeMap<String, String> {
    let all = ListParams::default();
    let label = all.clone().labels("sealedsecrets.bitnami.com/sealed-secrets-key");
    let keys: Api<Secret> = Api::namespaced(cluster.client(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), "default");
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret"));
    let sealed: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &kind);
    let mut kept = BTreeMap::new();
    for key in keys.list(&label).await.unwrap() {
        kept.insert(format!("key {}", key.name_any()), format!("{:?} {:?}", key.uid(), key.data));
    }
    for secret in secrets.list(&all).await.unwrap() {
        kept.insert(format!("Secret {}", secret.name_any()), format!("{:?} {:?}", secret.uid(), secret.data));
    }
    for object in sealed.list(&all).await.unwrap() {
        kept.insert(format!("SealedSecret {}", object.name_any()), format!("{:?}", object.uid()));
    }
    kept.insert("CRD".into(), format!("{:?}", crds.get(CRD).await.unwrap().uid()));
    kept
}

/// The Secret is put back, which only its key can do.
async fn opens_again(cluster: &Cluster, name: &str) {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), "default");
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    until_secret(cluster, "default", name, &[("password", name)]).await;
}

async fn crd(cluster: &Cluster) -> CustomResourceDefinition {
    Api::all(cluster.client()).get(CRD).await.unwrap()
}

#[tokio::test]
async fn a_release_of_upstreams_chart_becomes_ours_and_goes_and_comes_back_and_everything_still_opens() {
    let cluster = Cluster::own().await.unwrap();
    let original = original_chart();
    helm(&cluster, &["install", RELEASE, original.path().to_str().unwrap()], "");
    let mut controller = installation(&cluster).0.start(Edition::Upstream, &[]).await.unwrap();
    seal_and_open(&cluster, &controller, "from-the-original").await;
    controller.stop().await.unwrap();
    let before = kept(&cluster).await;

    let said = helm(&cluster, &["upgrade", RELEASE, CHART, "--reset-values"], "");
    assert!(said.contains(&format!("the CRD {CRD} was there before this release")), "{said}");
    assert_eq!(kept(&cluster).await, before);
    let mut controller = start(&cluster).await;
    opens_again(&cluster, "from-the-original").await;
    seal_and_open(&cluster, &controller, "after-the-upgrade").await;
    controller.stop().await.unwrap();
    let before = kept(&cluster).await;

    let adopt = ["upgrade", RELEASE, CHART, "--set", "crds.adopt=true", "--take-ownership"];
    let said = helm(&cluster, &adopt, "");
    assert!(!said.contains("was there before this release"), "{said}");
    assert_eq!(kept(&cluster).await, before);
    assert_eq!(crd(&cluster).await.labels()["app.kubernetes.io/managed-by"], "Helm");
    let ours: Value = serde_saphyr::from_str(
        &fs::read_to_string(workspace::root().join("crds/yaml/sealedsecrets.bitnami.com.yaml")).unwrap(),
    )
    .unwrap();
    let ours: CustomResourceDefinition = serde_json::from_value(ours).unwrap();
    assert_eq!(crd(&cluster).await.spec.versions, ours.spec.versions, "the CRD is ours now");

    helm(&cluster, &["uninstall", RELEASE], "");
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    assert!(
        deployments
            .get_opt(RELEASE)
            .await
            .unwrap()
            .is_none_or(|gone| gone.metadata.deletion_timestamp.is_some())
    );
    assert_eq!(kept(&cluster).await, before);

    let said = helm(&cluster, &["install", RELEASE, CHART], "");
    assert!(!said.contains("was there before this release"), "its own CRDs: {said}");
    let controller = start(&cluster).await;
    for name in ["from-the-original", "after-the-upgrade"] {
        opens_again(&cluster, name).await;
    }
    seal_and_open(&cluster, &controller, "after-all").await;
}
