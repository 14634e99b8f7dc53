//! A cluster with our controller, and a laptop with a copy of a folder of `deploy/gitops`.

use std::process::Command;

use sealed_secrets_tests::programs::{self, ControlPlanePrograms};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Laptop, Reach, workspace};
use tempfile::TempDir;

/// The cluster, the controller in `kube-system`, and the folder of the laptop.
pub(crate) struct Setup {
    pub(crate) cluster: Cluster,
    _controller: ControllerProcess,
    folder: TempDir,
}

impl Setup {
    /// A cluster with the controller and these namespaces, and a copy of `deploy/gitops/FOLDER` with the certificate in `cert.pem`.
    pub(crate) async fn new(namespaces: &[&str], folder: &str) -> (Self, Laptop) {
        let cluster = Cluster::own().await.unwrap();
        let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
        let controller = installation.start(Edition::Ours, &[]).await.unwrap();
        let setup = Self { cluster, _controller: controller, folder: tempfile::tempdir().unwrap() };
        let mut laptop = laptop(&setup.cluster, &setup.folder);
        for namespace in namespaces {
            laptop.shell(&format!("kubectl create namespace {namespace}")).unwrap();
        }
        copy(folder, &setup.folder);
        laptop.enter(folder.rsplit('/').next().unwrap());
        laptop.shell("kubeseal --fetch-cert > cert.pem").unwrap();
        (setup, laptop)
    }
}

/// A laptop in this folder with kubectl, kubeseal and helm.
pub(crate) fn laptop(cluster: &Cluster, folder: &TempDir) -> Laptop {
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let kubeseal = workspace::built_program("kubeseal").unwrap();
    let helm = programs::helm().unwrap();
    Laptop::with(folder.path(), &cluster.kubeconfig(), &[&kubectl, &kubeseal, &helm]).unwrap()
}

fn copy(folder: &str, to: &TempDir) {
    let recipe = workspace::root().join("deploy/gitops").join(folder);
    let status = Command::new("cp").arg("-R").arg(recipe).arg(to.path()).status().unwrap();
    assert!(status.success(), "{folder}");
}

/// The command that shows the decrypted item of a Secret.
pub(crate) fn value(namespace: &str, secret: &str, key: &str) -> String {
    format!("kubectl get secret {secret} -n {namespace} -o jsonpath='{{.data.{key}}}' | base64 --decode")
}
