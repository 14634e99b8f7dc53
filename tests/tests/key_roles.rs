//! The permissions on sealing keys and policies that the shipped roles grant.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use sealed_secrets_tests::shipped_manifests;
use serde_json::Value;

const READ: [&str; 3] = ["get", "list", "watch"];

fn words(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The verbs on each resource of the group, by role.
fn granted() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut granted: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let roles = shipped_manifests().unwrap().into_iter();
    for role in roles.filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole"))) {
        let name = role["metadata"]["name"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let concerns = words(&rule["apiGroups"]).any(|group| matches!(group, "sealedsecrets.rs" | "*"));
            for resource in words(&rule["resources"]).filter(|_| concerns) {
                let verbs =
                    granted.entry(name.to_owned()).or_default().entry(resource.to_owned()).or_default();
                verbs.extend(words(&rule["verbs"]).map(str::to_owned));
            }
        }
    }
    granted
}

fn these(verbs: &[&str]) -> BTreeSet<String> {
    verbs.iter().map(|&verb| verb.to_owned()).collect()
}

/// The reading verbs, and more.
fn verbs(more: &[&str]) -> BTreeSet<String> {
    these(&[&READ, more].concat())
}

fn only(resources: &[(&str, BTreeSet<String>)]) -> BTreeMap<String, BTreeSet<String>> {
    resources.iter().map(|(name, verbs)| ((*name).to_owned(), verbs.clone())).collect()
}

#[test]
fn each_role_grants_its_purpose_and_only_the_controller_creates_sealing_keys_or_writes_a_status() {
    let update = these(&["update"]);
    let expected = [
        (
            "sealed-secrets-key-admin",
            only(&[
                ("sealingkeys", these(&["list", "watch", "create", "update", "delete"])),
                ("sealingkeypolicies", these(&["list", "watch"])),
                ("sealingkeys/status", update.clone()),
                ("sealingkeypolicies/status", update),
            ]),
        ),
        (
            "sealed-secrets-key-viewer",
            only(&[("sealingkeys", verbs(&[])), ("sealingkeypolicies", verbs(&[]))]),
        ),
        (
            "sealed-secrets-key-rotator",
            only(&[("sealingkeys", verbs(&[])), ("sealingkeypolicies", verbs(&["patch", "update"]))]),
        ),
        (
            "sealed-secrets-key-revoker",
            only(&[("sealingkeys", verbs(&["patch"])), ("sealingkeypolicies", verbs(&[]))]),
        ),
    ];
    assert_eq!(granted(), expected.map(|(name, granted)| (name.to_owned(), granted)).into());
}

#[test]
fn reading_may_be_aggregated_to_view_and_nothing_to_edit_or_admin() {
    let mut aggregated = Vec::new();
    for role in shipped_manifests().unwrap() {
        for (label, _) in role["metadata"]["labels"].as_object().into_iter().flatten() {
            if let Some(to) = label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-") {
                aggregated.push((role["metadata"]["name"].as_str().unwrap().to_owned(), to.to_owned()));
            }
        }
    }
    assert_eq!(aggregated, [("sealed-secrets-key-viewer".to_owned(), "view".to_owned())]);
}

#[test]
fn the_roles_for_people_reach_no_secret_and_are_bound_to_nobody() {
    let manifests = shipped_manifests().unwrap();
    let is_for_people = |name: &Value| {
        name.as_str()
            .is_some_and(|name| ["viewer", "rotator", "revoker"].iter().any(|role| name.ends_with(role)))
    };
    let (mut roles, mut bindings) = (0, 0);
    for object in &manifests {
        match object["kind"].as_str() {
            Some("ClusterRole") if is_for_people(&object["metadata"]["name"]) => {
                roles += 1;
                let granted = object["rules"].as_array().unwrap();
                assert!(
                    granted.iter().all(|rule| words(&rule["apiGroups"]).eq(["sealedsecrets.rs"])),
                    "{object}"
                );
            }
            Some("RoleBinding" | "ClusterRoleBinding") => {
                bindings += 1;
                assert!(!is_for_people(&object["roleRef"]["name"]), "{object}");
            }
            _ => {}
        }
    }
    assert_eq!((roles, bindings > 0), (3, true));
}
