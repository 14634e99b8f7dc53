//! The controller's Pods on OpenShift, held against the rules of the security context constraint `restricted-v2`.
//!
//! OpenShift itself is not here. `chart_applied` lets the API server judge the same Pods by the Pod Security Standard `restricted`.

#![cfg(test)]

use std::fs;

use sealed_secrets_tests::{Tool, objects_of, workspace};
use serde_json::{Value, json};

const CHART: &str = "deploy/helm/sealed-secrets";
const OVERLAY: &str = "deploy/kustomize/overlays/openshift";
/// The kinds of volumes that the constraint permits.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// The fields of a Pod that `restricted-v2` refuses in every namespace. Users and groups of the namespace's own ranges would pass, but
/// a manifest cannot know them.
fn violations(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut found = Vec::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        found.extend(refused(field, &spec[field], &[Value::Null, json!(false)]));
    }
    for volume in list(&spec["volumes"]) {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        found.extend(kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).cloned());
    }
    found.extend(of_context(&spec["securityContext"]));
    found.extend(refused("fsGroup", &spec["securityContext"]["fsGroup"], &[Value::Null]));
    for container in list(&spec["initContainers"]).iter().chain(list(&spec["containers"])) {
        found.extend(of_container(container));
    }
    found
}

/// The rules for a Pod's context and a container's.
fn of_context(context: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["runAsUser", "seLinuxOptions"] {
        found.extend(refused(field, &context[field], &[Value::Null]));
    }
    let profiles = [Value::Null, json!("RuntimeDefault")];
    found.extend(refused("seccompProfile", &context["seccompProfile"]["type"], &profiles));
    found
}

fn of_container(container: &Value) -> Vec<String> {
    let context = &container["securityContext"];
    let mut found = of_context(context);
    let unset_or_false = [Value::Null, json!(false)];
    for field in ["privileged", "allowPrivilegeEscalation"] {
        found.extend(refused(field, &context[field], &unset_or_false));
    }
    let added = list(&context["capabilities"]["add"]).iter();
    found.extend(added.filter(|name| **name != "NET_BIND_SERVICE").map(|name| format!("capability {name}")));
    for port in list(&container["ports"]) {
        found.extend(refused("hostPort", &port["hostPort"], &[Value::Null, json!(0)]));
    }
    found
}

fn refused(field: &str, value: &Value, permitted: &[Value]) -> Option<String> {
    (!permitted.contains(value)).then(|| format!("{field}: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn manifest(tool: &Tool, arguments: &[&str]) -> Vec<Value> {
    objects_of(&tool.run(arguments, "").unwrap().ok().unwrap()).unwrap()
}

fn chart(further: &[&str]) -> Vec<Value> {
    let arguments = ["template", "sealed-secrets-controller", CHART, "--namespace", "sealed-secrets"];
    manifest(&Tool::helm().unwrap(), &[&arguments, further].concat())
}

fn kustomized(folder: &str) -> Vec<Value> {
    manifest(&Tool::kubectl().unwrap(), &["kustomize", folder])
}

/// The template of the controller's Pods.
fn pod(objects: &[Value]) -> &Value {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    &deployment["spec"]["template"]
}

#[test]
fn the_charts_values_and_the_overlay_for_openshift_ask_for_nothing_that_restricted_v2_refuses() {
    let values = format!("{CHART}/values-openshift.yaml");
    for objects in [chart(&["--values", &values]), kustomized(OVERLAY)] {
        let pod = pod(&objects);
        assert_eq!(violations(pod), [""; 0]);
        assert_eq!(
            pod.pointer("/spec/containers/0/securityContext/capabilities/drop"),
            Some(&json!(["ALL"]))
        );
    }
}

#[test]
fn restricted_v2_refuses_the_user_and_the_group_of_the_other_installations() {
    for objects in [chart(&[]), kustomized("deploy/kustomize/base")] {
        assert_eq!(violations(pod(&objects)).len(), 2, "{:?}", violations(pod(&objects)));
    }
}

#[test]
fn the_overlay_for_openshift_has_no_object_in_another_namespace() {
    for object in kustomized(OVERLAY) {
        let of_subjects = list(&object["subjects"]).iter().map(|subject| &subject["namespace"]);
        for namespace in of_subjects.chain([&object["metadata"]["namespace"]]) {
            assert!(namespace.is_null() || namespace == "sealed-secrets", "{object:#}");
        }
    }
}

#[test]
fn every_rule_of_restricted_v2_is_noticed() {
    let pod = json!({"spec": {
        "hostNetwork": true, "hostPID": true, "hostIPC": true,
        "volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "secret": {"secretName": "c"}}],
        "securityContext": {"runAsUser": 0, "fsGroup": 65534, "seccompProfile": {"type": "Unconfined"}},
        "containers": [{
            "ports": [{"containerPort": 80, "hostPort": 80}],
            "securityContext": {
                "privileged": true, "allowPrivilegeEscalation": true, "runAsUser": 1001, "seLinuxOptions": {"level": "s0"},
                "capabilities": {"add": ["NET_BIND_SERVICE", "SYS_ADMIN"]},
            },
        }],
    }});
    let expected = [
        "hostNetwork: true",
        "hostPID: true",
        "hostIPC: true",
        "hostPath",
        "runAsUser: 0",
        "seccompProfile: \"Unconfined\"",
        "fsGroup: 65534",
        "runAsUser: 1001",
        "seLinuxOptions: {\"level\":\"s0\"}",
        "privileged: true",
        "allowPrivilegeEscalation: true",
        "capability \"SYS_ADMIN\"",
        "hostPort: 80",
    ];
    assert_eq!(violations(&pod), expected);
}

/// The chart's tests render these values, and the API server judges the result.
#[test]
fn the_values_for_openshift_are_among_those_that_the_charts_tests_render() {
    let read = |file: &str| -> Value {
        serde_saphyr::from_str(&fs::read_to_string(workspace::root().join(file)).unwrap()).unwrap()
    };
    let rendered = read("tests/tests/data/chart/values/openshift.yaml");
    assert_eq!(read(&format!("{CHART}/values-openshift.yaml")), rendered);
}
