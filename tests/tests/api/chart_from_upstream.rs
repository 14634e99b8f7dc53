//! Upgrade from the original's chart to ours, uninstallation and reinstallation. Keys, CRDs, SealedSecrets and Secrets stay.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, Edition, workspace};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::release::{
    CHART, RELEASE, assert_all_is_kept, assert_no_controller, helm, kept, opens_again, opens_again_in,
    seal_and_open, seal_and_open_in, start, start_as,
};

/// The variable that names a folder with the rendered chart of the original, and its CRD.
const ORIGINAL: &str = "HARNESS_ORIGINAL";

const CRD: &str = "sealedsecrets.bitnami.com";

/// The original's chart with its default values, and the permissions that it grants then, written by us.
const DEFAULT: [&str; 2] = ["chart-default.yaml", "existing-cluster/roles.yaml"];
/// The original's chart with Roles for the namespaces `TEAMS`.
const NAMESPACED: [&str; 2] = ["chart-namespaced.yaml", "original-namespaces/roles.yaml"];
const TEAMS: [&str; 2] = ["team-a", "team-b"];

/// A chart that renders the same objects as the original's, with the CRD if that has it.
fn original_chart([rendered, roles]: [&str; 2]) -> TempDir {
    let chart = tempfile::tempdir().unwrap();
    let folder = std::env::var_os(ORIGINAL).map(PathBuf::from);
    let (manifests, crd) = if let Some(folder) = folder.as_deref() {
        (vec![folder.join(rendered)], crd_in(folder))
    } else {
        let data = workspace::root().join("tests/tests/data");
        let parts = [roles, "original-release/release.yaml"];
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

async fn assert_the_crd_is_ours(cluster: &Cluster) {
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let crd = crds.get(CRD).await.unwrap();
    assert_eq!(crd.labels()["app.kubernetes.io/managed-by"], "Helm");
    let file = workspace::root().join("crds/yaml/sealedsecrets.bitnami.com.yaml");
    let ours: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let ours: CustomResourceDefinition = serde_json::from_value(ours).unwrap();
    assert_eq!(crd.spec.versions, ours.spec.versions);
}

#[tokio::test]
async fn a_release_of_upstreams_chart_becomes_ours_and_back_and_again_and_everything_still_decrypts() {
    let cluster = Cluster::own().await.unwrap();
    let original = original_chart(DEFAULT);
    helm(&cluster, &["install", RELEASE, original.path().to_str().unwrap()]);
    let mut controller = start_as(&cluster, Edition::Upstream, &[]).await;
    seal_and_open(&cluster, &controller, "from-the-original").await;
    controller.stop().await.unwrap();
    let before = kept(&cluster).await;

    let said = helm(&cluster, &["upgrade", RELEASE, CHART, "--reset-values"]);
    assert!(said.contains(&format!("the CRD {CRD} was there before this release")), "{said}");
    assert_all_is_kept(&cluster, &before).await;
    let mut controller = start(&cluster).await;
    opens_again(&cluster, "from-the-original").await;
    seal_and_open(&cluster, &controller, "after-the-upgrade").await;
    controller.stop().await.unwrap();
    let before = kept(&cluster).await;

    helm(&cluster, &["rollback", RELEASE, "1"]);
    assert_all_is_kept(&cluster, &before).await;
    let mut controller = start_as(&cluster, Edition::Upstream, &[]).await;
    // From here on the original's watches work.
    seal_and_open(&cluster, &controller, "under-the-original-again").await;
    for name in ["from-the-original", "after-the-upgrade"] {
        opens_again(&cluster, name).await;
    }
    controller.stop().await.unwrap();
    let before = kept(&cluster).await;

    let adopt = ["upgrade", RELEASE, CHART, "--reset-values", "--set", "crds.adopt=true", "--take-ownership"];
    let said = helm(&cluster, &adopt);
    assert!(!said.contains("was there before this release"), "{said}");
    assert_all_is_kept(&cluster, &before).await;
    assert_the_crd_is_ours(&cluster).await;

    helm(&cluster, &["uninstall", RELEASE]);
    assert_no_controller(&cluster).await;
    assert_all_is_kept(&cluster, &before).await;

    let said = helm(&cluster, &["install", RELEASE, CHART]);
    assert!(!said.contains("was there before this release"), "its own CRDs: {said}");
    let controller = start(&cluster).await;
    for name in ["from-the-original", "after-the-upgrade"] {
        opens_again(&cluster, name).await;
    }
    seal_and_open(&cluster, &controller, "after-all").await;
}

#[tokio::test]
async fn in_a_namespaced_release_of_upstreams_chart_our_image_decrypts_without_watching_keys() {
    let cluster = Cluster::own().await.unwrap();
    for team in TEAMS {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}});
        cluster.apply(&[namespace]).await.unwrap();
    }
    helm(&cluster, &["install", RELEASE, original_chart(NAMESPACED).path().to_str().unwrap()]);
    let arguments = ["--additional-namespaces", &TEAMS.join(",")];
    let mut controller = start_as(&cluster, Edition::Upstream, &arguments).await;
    seal_and_open_in(&cluster, &controller, TEAMS[0], "from-the-original").await;
    controller.stop().await.unwrap();

    let mut controller = start_as(&cluster, Edition::Ours, &arguments).await;
    opens_again_in(&cluster, TEAMS[0], "from-the-original").await;
    for team in TEAMS {
        seal_and_open_in(&cluster, &controller, team, "with-ours").await;
        opens_again_in(&cluster, team, "with-ours").await;
    }
    controller.stop().await.unwrap();
    let log = controller.log();
    assert_eq!(log.matches("the permission to watch key Secrets is missing").count(), 1, "{log}");
    assert!(!log.contains("unfinished work"), "nothing can be in flight where nothing may be seen:\n{log}");
}
