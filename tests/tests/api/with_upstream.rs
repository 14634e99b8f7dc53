//! Ours and the original side by side: each decrypts SealedSecrets of the other, and starts with the other's keys.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Installation, Kubeseal};

use crate::support::{apply_sealed, sealed_secrets, secret, until_secret};

const SCOPES: [&str; 3] = ["strict", "namespace-wide", "cluster-wide"];
const BOTH: [Edition; 2] = [Edition::Ours, Edition::Upstream];

/// Seals one Secret per scope with the kubeseal of `edition` and waits until `controller` has decrypted them all.
async fn seal_and_open_all_scopes(
    cluster: &Cluster,
    installation: &Installation,
    controller: &ControllerProcess,
    edition: Edition,
) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, controller.certificate().await.unwrap()).unwrap();
    let kubeseal = Kubeseal::of(edition).unwrap();
    for scope in SCOPES {
        let name = format!("{edition:?}-{scope}").to_lowercase();
        let arguments = ["--cert", file.to_str().unwrap(), "--scope", scope];
        let input = secret(installation.namespace(), &name, "password", scope);
        let sealed = kubeseal.run(&arguments, &input).unwrap().ok().unwrap();
        apply_sealed(cluster, &sealed).await;
        until_secret(cluster, installation.namespace(), &name, &[("password", scope)]).await;
    }
}

async fn key_secrets(cluster: &Cluster, namespace: &str) -> Vec<Secret> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let label = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
    secrets.list(&label).await.unwrap().items
}

/// Starts `first`, seals with both programs, stops it, and lets `second` take over its keys and its SealedSecrets.
async fn take_over(first: Edition, second: Edition) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let mut controller = installation.start(first, &[]).await.unwrap();
    let certificate = controller.certificate().await.unwrap();
    for edition in BOTH {
        seal_and_open_all_scopes(&cluster, &installation, &controller, edition).await;
    }
    controller.stop().await.unwrap();

    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    secrets.delete("ours-strict", &DeleteParams::default()).await.unwrap();
    let successor = installation.start(second, &[]).await.unwrap();
    assert_eq!(successor.certificate().await.unwrap(), certificate, "the same certificate for the same key");
    touch(&cluster, installation.namespace(), "ours-strict").await;
    until_secret(&cluster, installation.namespace(), "ours-strict", &[("password", "strict")]).await;
    assert_eq!(key_secrets(&cluster, installation.namespace()).await.len(), 1, "no further key was made");
}

/// Changes the spec of a SealedSecret so that its Secret changes, too.
async fn touch(cluster: &Cluster, namespace: &str, name: &str) {
    let sealed = sealed_secrets(cluster, namespace);
    let change =
        serde_json::json!({ "spec": { "template": { "metadata": { "labels": { "touched": "true" } } } } });
    sealed.patch(name, &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
}

#[tokio::test]
async fn our_controller_decrypts_objects_sealed_by_both_and_upstream_takes_over() {
    take_over(Edition::Ours, Edition::Upstream).await;
}

#[tokio::test]
async fn upstreams_controller_decrypts_objects_sealed_by_both_and_ours_takes_over() {
    take_over(Edition::Upstream, Edition::Ours).await;
}

#[tokio::test]
async fn our_kubeseal_finds_upstreams_controller_through_the_service_proxy() {
    finds_controller(Edition::Ours, Edition::Upstream).await;
}

#[tokio::test]
async fn upstreams_kubeseal_finds_our_controller_through_the_service_proxy() {
    finds_controller(Edition::Upstream, Edition::Ours).await;
}

#[tokio::test]
async fn our_kubeseal_finds_our_controller_through_the_service_proxy() {
    finds_controller(Edition::Ours, Edition::Ours).await;
}

async fn finds_controller(kubeseal: Edition, controller: Edition) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let serving = installation.start(controller, &[]).await.unwrap();
    let kubeseal = Kubeseal::of(kubeseal).unwrap().with_kubeconfig(cluster.kubeconfig());
    let namespace = ["--controller-namespace", installation.namespace()];
    let fetched = kubeseal.run(&[&namespace[..], &["--fetch-cert"]].concat(), "").unwrap().ok().unwrap();
    assert_eq!(fetched, serving.certificate().await.unwrap());
    let input = secret(installation.namespace(), "db", "password", "hunter2");
    let sealed = kubeseal.run(&namespace, &input).unwrap().ok().unwrap();
    apply_sealed(&cluster, &sealed).await;
    until_secret(&cluster, installation.namespace(), "db", &[("password", "hunter2")]).await;
}
