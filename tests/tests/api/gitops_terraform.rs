//! `deploy/gitops/terraform`: the requests of Terraform's kubernetes provider for that file, made by kubectl, and the file's syntax.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sealed_secrets_tests::programs::{ControlPlanePrograms, RecipeTools};
use sealed_secrets_tests::{Laptop, Output, workspace};

use crate::scene::Scene;

/// The provider's request to create or update an object.
const APPLY: &str = "kubectl apply --server-side --field-manager=Terraform -f api.json";

fn recipe() -> PathBuf {
    workspace::root().join("deploy/gitops/terraform/sealed-secret.tf")
}

/// The words of a line of the recipe, such as `type = "Ready"`.
fn has_line(line: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    fs::read_to_string(recipe()).unwrap().lines().any(|found| words(found) == words(line))
}

#[test]
fn the_file_for_terraform_is_formatted_configuration() {
    let mut command = Command::new(RecipeTools::prepare().unwrap().hclfmt);
    let formatted = Output::of(command.arg(recipe()), "").unwrap().ok().unwrap();
    assert_eq!(formatted, fs::read_to_string(recipe()).unwrap());
}

/// The version and the fields under our control, which a plan compares with the file.
const PLANNED: &str = "kubectl get sealedsecret api -o jsonpath='{.metadata.generation} {.spec} {.metadata.managedFields[?(@.manager==\"Terraform\")].fieldsV1}'";

#[tokio::test]
async fn a_second_plan_is_empty_and_the_wait_ends_when_the_secret_matches() {
    for line in ["type = \"Ready\"", "status = \"True\"", "prevent_destroy = true"] {
        assert!(has_line(line), "{line}");
    }
    let scene = Scene::set().await;
    let folder = tempfile::tempdir().unwrap();
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let laptop = Laptop::with(folder.path(), &scene.cluster.kubeconfig(), &[&kubectl]).unwrap();
    let namespace = scene.namespace().to_owned();
    let shell = |line: &str| laptop.shell(&line.replacen("kubectl", &format!("kubectl -n {namespace}"), 1));

    let first = scene.seal(&scene.secret("api", "password", "one")).await;
    fs::write(folder.path().join("api.json"), first.to_string()).unwrap();
    shell(APPLY).unwrap();
    scene.until_synced("api", "True").await;
    let ready = shell("kubectl wait sealedsecret/api --for=condition=Ready --timeout=60s").unwrap();
    assert!(ready.contains("condition met"), "{ready}");
    let planned = shell(PLANNED).unwrap();
    shell(APPLY).unwrap();
    assert_eq!(shell(PLANNED).unwrap(), planned, "the controller's writes are in no plan");

    let second = scene.seal(&scene.secret("api", "password", "two")).await;
    fs::write(folder.path().join("api.json"), second.to_string()).unwrap();
    shell(APPLY).unwrap();
    let uid = shell("kubectl get secret api -o jsonpath='{.metadata.uid}'").unwrap();
    scene.until_secret("api", "has the new value", is_two).await;
    assert_eq!(shell("kubectl get secret api -o jsonpath='{.metadata.uid}'").unwrap(), uid);

    // What the provider does if a plan replaces the object.
    shell("kubectl delete sealedsecret api --wait").unwrap();
    shell("kubectl wait secret/api --for=delete --timeout=120s").unwrap();
}

fn is_two(secret: &k8s_openapi::api::core::v1::Secret) -> bool {
    crate::scene::item(secret, "password").as_deref() == Some("two")
}
