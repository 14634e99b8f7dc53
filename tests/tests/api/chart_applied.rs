//! The rendered chart and kustomize overlays, checked by a real API server.

use std::collections::BTreeSet;
use std::fs;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sealed_secrets_tests::permissions::grants_to_accounts;
use sealed_secrets_tests::{Cluster, Tool, objects_of, shipped_manifests, workspace};
use serde_json::{Value, json};

use crate::support::overlay;

/// Values that ask for less than the Pod Security Standard `restricted` does.
const NOT_RESTRICTED: [&str; 3] = ["host-network", "host-ports", "no-security-contexts"];

/// The value sets that `tests/tests/chart` renders, by name.
fn sets() -> Vec<(String, String)> {
    let folder = workspace::root().join("tests/tests/data/chart/values");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sets = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    sets.map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(file).unwrap())
    })
    .collect()
}

fn chart(values: &str) -> Vec<Value> {
    let arguments = [
        "template",
        "sealed-secrets-controller",
        "deploy/helm/sealed-secrets",
        "--namespace",
        "kube-system",
        "--values",
        "-",
    ];
    objects_of(&Tool::helm().unwrap().run(&arguments, values).unwrap().ok().unwrap()).unwrap()
}

/// A CRD for a kind of the Prometheus Operator, without the operator's schema.
fn kind_of_prometheus(kind: &str) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

async fn prepare(cluster: &Cluster) {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    for name in ["team-a", "team-b", "monitoring", "restricted", "sealed-secrets"] {
        let level = ("pod-security.kubernetes.io/enforce".to_owned(), name.to_owned());
        let labels = (name == "restricted").then(|| [level].into());
        let metadata = ObjectMeta { name: Some(name.to_owned()), labels, ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    let kinds = ["ServiceMonitor", "PrometheusRule"].map(kind_of_prometheus);
    cluster.apply(&kinds).await.unwrap();
    let crds: Vec<_> =
        chart("").into_iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect();
    cluster.apply(&crds).await.unwrap();
}

/// Succeeds if the Pod Security Standard `restricted` admits a Pod of this Deployment.
async fn is_restricted(cluster: &Cluster, deployment: &Value) -> Result<(), kube::Error> {
    let mut pod = deployment["spec"]["template"].clone();
    pod["metadata"]["name"] = "pod".into();
    // The standard ignores classes, and these do not exist here.
    for class in ["priorityClassName", "runtimeClassName"] {
        pod["spec"].as_object_mut().unwrap().remove(class);
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "restricted");
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    pods.create(&parameters, &serde_json::from_value(pod).unwrap()).await.map(drop)
}

async fn judge(cluster: &Cluster, name: &str, objects: &[Value]) {
    for object in objects {
        let result = cluster.would_take(object).await;
        assert!(result.is_ok(), "{name}: {}\n{object:#}", result.unwrap_err());
    }
    for deployment in objects.iter().filter(|object| object["kind"] == "Deployment") {
        let result = is_restricted(cluster, deployment).await;
        assert_eq!(result.is_err(), NOT_RESTRICTED.contains(&name), "{name}: {result:?}");
    }
}

#[tokio::test]
async fn the_api_server_takes_all_that_the_chart_and_the_overlays_make() {
    let cluster = Cluster::own().await.unwrap();
    prepare(&cluster).await;
    for (name, values) in sets() {
        judge(&cluster, &name, &chart(&values)).await;
    }
    judge(&cluster, "base", &shipped_manifests().unwrap()).await;
    for overlay in ["namespaced", "without-rotation-crds", "high-availability", "openshift"] {
        judge(&cluster, overlay, &shipped_overlay(overlay)).await;
    }
    let component = "components: [REPOSITORY/deploy/kustomize/network-policy]";
    let with_policy = overlay("deploy/kustomize/base", component);
    assert!(with_policy.iter().any(|object| object["kind"] == "NetworkPolicy"));
    judge(&cluster, "network-policy", &with_policy).await;
}

#[test]
fn the_overlay_for_several_replicas_elects_a_leader_and_replaces_pods_one_by_one_in_any_namespace() {
    let objects = overlay("deploy/kustomize/overlays/high-availability", "namespace: sealing");
    let find = |kind: &str, name: &str| {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        objects.iter().find(is_it).unwrap_or_else(|| panic!("{kind} {name}"))
    };
    let deployment = &find("Deployment", "sealed-secrets-controller")["spec"];
    assert_eq!(deployment["replicas"], 2);
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(deployment["strategy"], rolling);
    assert!(is_elected(&objects));
    let pod = &deployment["template"]["spec"];
    for (number, topology) in ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].iter().enumerate() {
        let spread = &pod["topologySpreadConstraints"][number];
        assert_eq!((&spread["topologyKey"], &spread["maxSkew"]), (&json!(topology), &json!(1)));
        assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway", "one node must do");
        assert_eq!(spread["labelSelector"], deployment["selector"]);
    }
    let budget = &find("PodDisruptionBudget", "sealed-secrets-controller")["spec"];
    assert_eq!(budget, &json!({"maxUnavailable": 1, "selector": deployment["selector"]}));
    let binding = find("RoleBinding", "sealed-secrets-leader-election");
    assert_eq!(binding["subjects"][0]["namespace"], "sealing");
    for (kind, name) in
        [("Role", "sealed-secrets-leader-election"), ("PodDisruptionBudget", "sealed-secrets-controller")]
    {
        assert_eq!(find(kind, name)["metadata"]["namespace"], "sealing");
    }
}

/// Returns true if the container of the Deployment has the flag of the election, as a variable.
fn is_elected(objects: &[Value]) -> bool {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let flag = json!({"name": "SEALED_SECRETS_LEADER_ELECT", "value": "true"});
    variables.as_array().is_some_and(|variables| variables.contains(&flag))
}

#[test]
fn the_component_of_the_election_adds_the_flag_and_a_role_to_every_overlay() {
    for name in ["namespaced", "without-rotation-crds"] {
        let component = "components: [REPOSITORY/deploy/kustomize/leader-election]";
        let objects = overlay(&format!("deploy/kustomize/overlays/{name}"), component);
        assert!(is_elected(&objects) && !is_elected(&shipped_overlay(name)), "{name}");
        let added = &names(&objects) - &names(&shipped_overlay(name));
        let expected = ["Role", "RoleBinding"]
            .map(|kind| json!(kind).to_string() + " \"sealed-secrets-leader-election\"");
        assert_eq!(added, BTreeSet::from(expected), "{name}");
    }
}

fn shipped_overlay(name: &str) -> Vec<Value> {
    let folder = format!("deploy/kustomize/overlays/{name}");
    let manifest = Tool::kubectl().unwrap().run(&["kustomize", &folder], "").unwrap().ok().unwrap();
    objects_of(&manifest).unwrap()
}

fn names(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
}

#[test]
fn without_the_rotation_crds_the_overlay_lacks_these_kinds_and_all_permissions_for_them_and_nothing_else() {
    let (base, overlay) = (shipped_manifests().unwrap(), shipped_overlay("without-rotation-crds"));
    let of_rotation = |text: &str| text.contains("sealedsecrets.rs");
    assert!(!of_rotation(&Value::from(overlay.clone()).to_string()));
    let for_people =
        |object: &Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] != "secrets-unsealer";
    let mut expected = base.clone();
    expected.retain(|object| !for_people(object) && !of_rotation(&object["metadata"]["name"].to_string()));
    assert_eq!(names(&overlay), names(&expected));
    let mut permissions = grants_to_accounts(&base);
    permissions.retain(|grant| !of_rotation(&grant.permission.resource));
    assert_eq!(grants_to_accounts(&overlay), permissions);
}

/// The fields of a type by the API server's published schema.
async fn fields(cluster: &Cluster, document: &str, name: &str) -> BTreeSet<String> {
    let request = http::Request::get(document).body(Vec::new()).unwrap();
    let document: Value = cluster.client().request(request).await.unwrap();
    let properties = &document["components"]["schemas"][name]["properties"];
    properties.as_object().unwrap_or_else(|| panic!("{name}")).keys().cloned().collect()
}

#[tokio::test]
async fn the_values_that_are_objects_of_kubernetes_may_have_each_of_their_fields() {
    let cluster = Cluster::shared().await.unwrap();
    let schema = workspace::root().join("deploy/helm/sealed-secrets/values.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    for (value, document, name) in [
        ("podSecurityContext", "/openapi/v3/api/v1", "io.k8s.api.core.v1.PodSecurityContext"),
        ("containerSecurityContext", "/openapi/v3/api/v1", "io.k8s.api.core.v1.SecurityContext"),
        ("updateStrategy", "/openapi/v3/apis/apps/v1", "io.k8s.api.apps.v1.DeploymentStrategy"),
    ] {
        let known = schema["properties"][value]["properties"].as_object().unwrap().keys();
        // `enabled` is the chart's own: it adds or removes the security context.
        let known: BTreeSet<_> = known.filter(|field| *field != "enabled").cloned().collect();
        assert_eq!(known, fields(&cluster, document, name).await, "{value}");
    }
}

#[tokio::test]
async fn a_certificate_that_the_chart_made_for_the_ingress_stays() {
    let cluster = Cluster::shared().await.unwrap();
    let namespace = cluster.namespace("ingress").await.unwrap();
    let values = "ingress: {enabled: true, hostname: seal.example.com, tls: true, selfSigned: true}";
    let helm = Tool::helm().unwrap().on(&cluster.kubeconfig());
    let arguments = ["template", "release", "deploy/helm/sealed-secrets", "--values", "-"];
    let asking = [&arguments[..], &["--dry-run=server", "--namespace", &namespace]].concat();
    let secret = || {
        let objects = objects_of(&helm.run(&asking, values).unwrap().ok().unwrap()).unwrap();
        objects.into_iter().find(|object| object["kind"] == "Secret").unwrap()
    };
    let made = secret();
    assert_eq!(made["metadata"]["name"], "seal.example.com-tls");
    assert_ne!(made["data"], secret()["data"], "each is made anew, until it is in the cluster");
    cluster.apply(std::slice::from_ref(&made)).await.unwrap();
    assert_eq!(made["data"], secret()["data"]);
}
