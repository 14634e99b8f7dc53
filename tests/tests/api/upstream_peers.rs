//! The original's programs with each other: a failure here is a failure of the environment, not of our programs.

use sealed_secrets_tests::{Cluster, Edition, Kubeseal};

use crate::support::{apply_sealed, secret, until_secret};

#[tokio::test]
async fn upstream_decrypts_an_object_that_upstream_sealed_with_a_certificate_file() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, controller.certificate().await.unwrap()).unwrap();
    let namespace = installation.namespace();
    let arguments = ["--cert", file.to_str().unwrap()];
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap();
    let sealed =
        kubeseal.run(&arguments, &secret(namespace, "db", "password", "hunter2")).unwrap().ok().unwrap();
    apply_sealed(&cluster, &sealed).await;
    until_secret(&cluster, namespace, "db", &[("password", "hunter2")]).await;
}

#[tokio::test]
async fn upstream_finds_its_controller_through_the_service_proxy() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap().with_kubeconfig(cluster.kubeconfig());
    let arguments = ["--controller-namespace", installation.namespace(), "--fetch-cert"];
    let certificate = kubeseal.run(&arguments, "").unwrap().ok().unwrap();
    assert_eq!(certificate, controller.certificate().await.unwrap());
}

#[tokio::test]
async fn upstream_stops_on_sigterm() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let mut controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn upstream_with_the_whole_cluster_decrypts_in_every_namespace() {
    let cluster = Cluster::own().await.unwrap();
    let installation =
        cluster.install("kube-system", sealed_secrets_tests::Reach::WholeCluster).await.unwrap();
    let _controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    let namespace = cluster.namespace("app").await.unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap().with_kubeconfig(cluster.kubeconfig());
    let sealed = kubeseal.run(&[], &secret(&namespace, "db", "password", "hunter2")).unwrap().ok().unwrap();
    apply_sealed(&cluster, &sealed).await;
    until_secret(&cluster, &namespace, "db", &[("password", "hunter2")]).await;
}

#[tokio::test]
async fn upstream_decrypts_in_an_additional_namespace() {
    let cluster = Cluster::shared().await.unwrap();
    let additional = cluster.namespace("additional").await.unwrap();
    let installation = cluster.install_namespaced(&[&additional]).await.unwrap();
    let controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap();
    let certificate = format!("http://{}/v1/cert.pem", controller.address());
    let input = secret(&additional, "db", "password", "hunter2");
    let sealed = kubeseal.run(&["--cert", &certificate], &input).unwrap().ok().unwrap();
    apply_sealed(&cluster, &sealed).await;
    until_secret(&cluster, &additional, "db", &[("password", "hunter2")]).await;
}
