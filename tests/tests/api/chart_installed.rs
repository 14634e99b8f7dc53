//! The chart on a new cluster, from `helm install` to `helm uninstall` and reinstallation.

use kube::Api;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use sealed_secrets_tests::{Cluster, ControllerProcess, Tool, shipped_manifests, until, workspace};
use serde_json::{Value, json};

use crate::release::{
    CHART, NAMESPACE, RELEASE, assert_all_is_kept, assert_no_controller, helm, kept, opens_again,
    seal_and_open, start, try_helm,
};
use crate::support::PATIENCE;

const CRDS: [&str; 3] =
    ["sealedsecrets.bitnami.com", "sealingkeys.sealedsecrets.rs", "sealingkeypolicies.sealedsecrets.rs"];

const POLICY: [&str; 2] = ["--set", "rotation.policy.rotation.every=90d"];

async fn policy(cluster: &Cluster) -> Option<Value> {
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("sealedsecrets.rs", "v1alpha1", "SealingKeyPolicy"),
        "sealingkeypolicies",
    );
    let policies: Api<DynamicObject> = Api::namespaced_with(cluster.client(), NAMESPACE, &kind);
    policies.get_opt("default").await.unwrap().map(|policy| policy.data)
}

/// Waits until the controller has applied the policy with this spec.
async fn until_policy(cluster: &Cluster, spec: &Value) {
    let in_force = async || {
        let policy = policy(cluster).await?;
        let seen = policy.pointer("/status/conditions/0/status").is_some();
        (policy["spec"] == *spec && seen).then_some(())
    };
    until("the policy is in force", PATIENCE, in_force).await.unwrap();
}

/// The command in the notes that contains `part`.
fn noted(notes: &str, part: &str) -> Vec<String> {
    let line = notes.lines().find(|line| line.contains(part)).expect(part);
    line.trim().trim_start_matches("helm ").replace("CHART", CHART).split(' ').map(str::to_owned).collect()
}

fn with_policy<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &POLICY].concat()
}

#[tokio::test]
async fn on_an_empty_cluster_a_release_is_installed_gets_a_policy_is_rolled_back_and_leaves_keys_and_crds() {
    let cluster = Cluster::own().await.unwrap();
    let refused = try_helm(&cluster, &with_policy(&["install", RELEASE, CHART]));
    let reason = "rotation.policy: the CRD SealingKeyPolicy is not in the cluster yet";
    assert!(!refused.status.success() && refused.stderr.contains(reason), "{}", refused.stderr);
    assert!(helm(&cluster, &["list", "--all", "--short"]).trim().is_empty(), "nothing was installed");

    let notes = helm(&cluster, &["install", RELEASE, CHART]);
    assert_notes(&cluster);
    let mut controller = start(&cluster).await;
    seal_and_open(&cluster, &controller, "first").await;
    let before = kept(&cluster).await;
    let crds: Vec<_> = CRDS.iter().map(|name| format!("CRD {name}")).collect();
    assert!(crds.iter().all(|crd| before.contains_key(crd)), "{:?}", before.keys());

    let command = noted(&notes, "--set rotation.policy");
    let notes = helm(&cluster, &command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!notes.contains("--set rotation.policy"), "said although it is done:\n{notes}");
    until_policy(&cluster, &json!({"suspend": false})).await;
    helm(&cluster, &with_policy(&["upgrade", RELEASE, CHART, "--reset-values"]));
    until_policy(&cluster, &json!({"rotation": {"every": "90d"}})).await;

    helm(&cluster, &["rollback", RELEASE, "1"]);
    assert_eq!(policy(&cluster).await, None, "the first revision had none");
    assert_all_is_kept(&cluster, &before).await;
    opens_again(&cluster, "first").await;
    seal_and_open(&cluster, &controller, "second").await;
    controller.stop().await.unwrap();

    let before = kept(&cluster).await;
    helm(&cluster, &["uninstall", RELEASE]);
    assert_no_controller(&cluster).await;
    assert_all_is_kept(&cluster, &before).await;
    helm(&cluster, &with_policy(&["install", RELEASE, CHART]));
    let controller = start(&cluster).await;
    for name in ["first", "second"] {
        opens_again(&cluster, name).await;
    }
    becomes_three_replicas(&cluster, controller).await;
}

/// Follows the command of the chart's README for several replicas, with three of them.
async fn becomes_three_replicas(cluster: &Cluster, mut former: ControllerProcess) {
    let readme = std::fs::read_to_string(workspace::root().join(CHART).join("README.md")).unwrap();
    let command = readme.lines().find(|line| line.contains("replicaCount=2,")).expect("the command");
    let command = command.trim_start_matches("$ helm ").replace("replicaCount=2", "replicaCount=3");
    let command = command.replace(&format!(" --namespace {NAMESPACE}"), "");
    helm(cluster, &command.split(' ').collect::<Vec<_>>());
    let replicas = [start(cluster).await, start(cluster).await, start(cluster).await];
    former.stop().await.unwrap();
    let one_leads = async || {
        let mut leading = 0;
        for replica in &replicas {
            let page = replica.metrics().await.ok()?;
            leading += usize::from(page.lines().any(|line| line == "sealed_secrets_controller_leader 1"));
        }
        (leading == 1).then_some(())
    };
    until("one of three replicas leads", PATIENCE, one_leads).await.unwrap();
    for (number, replica) in replicas.iter().enumerate() {
        seal_and_open(cluster, replica, &format!("for-{number}")).await;
    }
}

/// Values that are taken, with the start of the line about them in the notes.
const NOTED: [(&str, &str); 6] = [
    ("replicaCount=0", "WARNING: replicaCount is 0, so no controller runs"),
    ("replicaCount=2,leaderElection.enabled=false", "WARNING: without leader election"),
    (
        "replicaCount=2,rbac.create=false",
        "NOTE: rbac.create is false, so grant the controller the permissions on Lease",
    ),
    ("replicaCount=2,args={--key-size=3072}", "WARNING: args replaces the flags of the leader election"),
    ("replicaCount=2,hostNetwork=true", "WARNING: with ports of the host"),
    ("leaderElection.leaseDuration=5s", "NOTE: leaderElection.leaseDuration has no effect"),
];

/// Asserts that the notes warn of a number of replicas that was hardly meant.
fn assert_notes(cluster: &Cluster) {
    let upgrade = ["upgrade", RELEASE, CHART, "--dry-run", "--set"];
    for (values, line) in NOTED {
        let notes = helm(cluster, &[&upgrade[..], &[values]].concat());
        assert_eq!(notes.lines().filter(|noted| noted.starts_with(line)).count(), 1, "{values}: {notes}");
    }
    let notes = helm(cluster, &[&upgrade[..], &["replicaCount=3"]].concat());
    assert!(NOTED.iter().all(|(_, line)| !notes.contains(line)), "{notes}");
}

/// A user with all permissions in this namespace, and none elsewhere.
fn tenant(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tenant", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
    })
}

#[tokio::test]
async fn the_chart_installs_into_one_namespace_without_cluster_permissions() {
    let cluster = Cluster::shared().await.unwrap();
    let namespace = cluster.namespace("tenant").await.unwrap();
    let mut prepared = shipped_manifests().unwrap();
    prepared.retain(|object| object["kind"] == "CustomResourceDefinition");
    prepared.push(tenant(&namespace));
    cluster.apply(&prepared).await.unwrap();
    let values = json!({
        "crds": {"create": false},
        "rbac": {"clusterRole": false, "namespacedRoles": true},
        "rotation": {"policy": {"suspend": false}},
        "networkPolicy": {"enabled": true, "egress": {"enabled": true, "kubeapiCidr": "10.0.0.1/32", "kubeapiPort": 6443}},
    });
    let helm = Tool::helm().unwrap().on(&cluster.kubeconfig());
    let install =
        ["install", RELEASE, CHART, "--kube-as-user", "tenant", "--namespace", &namespace, "--values", "-"];
    let output = helm.run(&install, &values.to_string()).unwrap();
    assert!(output.status.success(), "{}", output.stderr);
}
