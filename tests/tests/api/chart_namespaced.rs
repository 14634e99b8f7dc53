//! Installations without any cluster-wide permission: the overlay `namespaced` and the chart's `rbac.namespacedRoles`.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Reach, Tool, objects_of};
use serde_json::Value;

use crate::release::seal_and_open_in;
use crate::support::overlay;

const HOME: &str = "kube-system";
const FURTHER: &str = "team-a";

async fn cluster_with_a_team() -> Cluster {
    let cluster = Cluster::own().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let metadata = ObjectMeta { name: Some(FURTHER.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    cluster
}

fn manifest(tool: &Tool, arguments: &[&str], values: &str) -> Vec<Value> {
    objects_of(&tool.run(arguments, values).unwrap().ok().unwrap()).unwrap()
}

fn kustomized(folder: &str) -> Vec<Value> {
    manifest(&Tool::kubectl().unwrap(), &["kustomize", folder], "")
}

fn is_cluster_wide_right(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole"))
}

/// Starts a controller for these namespaces and its own, with the objects already applied.
async fn start(cluster: &Cluster, home: &str, objects: Vec<Value>, additional: &[&str]) -> ControllerProcess {
    let additional = additional.iter().map(|&name| name.to_owned()).collect();
    let installation = cluster.installed(objects, home, Reach::Namespaces { additional });
    installation.start(Edition::Ours, &[]).await.unwrap()
}

async fn opens_in(cluster: &Cluster, controller: &ControllerProcess, namespace: &str) {
    seal_and_open_in(cluster, controller, namespace, "one").await;
}

fn assert_nothing_was_forbidden(controller: &ControllerProcess) {
    let log = controller.log();
    assert!(!log.contains("forbidden") && !log.contains("may not"), "{log}");
}

#[tokio::test]
async fn the_overlay_is_enough_for_one_namespace_and_its_role_for_each_further_one() {
    let cluster = cluster_with_a_team().await;
    let objects = kustomized("deploy/kustomize/overlays/namespaced");
    assert!(!objects.iter().any(is_cluster_wide_right));
    cluster.apply(&objects).await.unwrap();
    let mut controller = start(&cluster, HOME, objects.clone(), &[]).await;
    opens_in(&cluster, &controller, HOME).await;
    assert_nothing_was_forbidden(&controller);
    controller.stop().await.unwrap();

    let mut role = kustomized("deploy/kustomize/namespace-role");
    for object in &mut role {
        object["metadata"]["namespace"] = FURTHER.into();
    }
    cluster.apply(&role).await.unwrap();
    let controller = start(&cluster, HOME, objects, &[FURTHER]).await;
    opens_in(&cluster, &controller, FURTHER).await;
    assert_nothing_was_forbidden(&controller);
}

#[tokio::test]
async fn custom_overlays_put_the_controller_and_its_permissions_into_another_namespace() {
    let cluster = Cluster::shared().await.unwrap();
    let (home, further) =
        (cluster.namespace("sealing").await.unwrap(), cluster.namespace("team").await.unwrap());
    let objects = overlay("deploy/kustomize/overlays/namespaced", &format!("namespace: {home}"));
    let to_the_controller = format!(
        "namespace: {further}\npatches:\n- target: {{kind: RoleBinding}}\n  \
         patch: '- {{op: replace, path: /subjects/0/namespace, value: {home}}}'"
    );
    let role = overlay("deploy/kustomize/namespace-role", &to_the_controller);
    cluster.apply(&objects).await.unwrap();
    cluster.apply(&role).await.unwrap();
    let controller = start(&cluster, &home, objects, &[&further]).await;
    for namespace in [&home, &further] {
        opens_in(&cluster, &controller, namespace).await;
    }
    assert_nothing_was_forbidden(&controller);
}

#[tokio::test]
async fn the_charts_roles_are_enough_for_the_namespaces_that_are_named() {
    let cluster = cluster_with_a_team().await;
    let values = "additionalNamespaces: [team-a]\nrbac: {clusterRole: false, namespacedRoles: true}";
    let chart = "deploy/helm/sealed-secrets";
    let arguments = ["template", "sealed-secrets-controller", chart, "--namespace", HOME, "--values", "-"];
    let objects = manifest(&Tool::helm().unwrap(), &arguments, values);
    assert!(!objects.iter().any(is_cluster_wide_right));
    cluster.apply(&objects).await.unwrap();
    let controller = start(&cluster, HOME, objects, &[FURTHER]).await;
    for namespace in [HOME, FURTHER] {
        opens_in(&cluster, &controller, namespace).await;
    }
    assert_nothing_was_forbidden(&controller);
}
