//! The chart, the kustomize base and the role for one more namespace grant the same permissions.

use std::collections::BTreeSet;
use std::fs;

use sealed_secrets_tests::permissions::{Permission, grants_to_accounts};
use sealed_secrets_tests::{leader_election_manifests_in, objects_of, shipped_manifests, workspace};
use serde_json::Value;

use crate::support::template;

/// The permissions that roles of this kind grant to service accounts.
fn permissions(objects: &[Value], in_namespace: bool) -> BTreeSet<Permission> {
    let grants = grants_to_accounts(objects).into_iter();
    grants.filter(|grant| grant.in_namespace == in_namespace).map(|grant| grant.permission).collect()
}

fn chart(values: &str) -> Vec<Value> {
    objects_of(&template(values).ok().unwrap()).unwrap()
}

#[test]
fn the_chart_grants_the_same_as_the_base() {
    let (base, chart) = (shipped_manifests().unwrap(), chart(""));
    for in_namespace in [false, true] {
        assert_eq!(permissions(&chart, in_namespace), permissions(&base, in_namespace));
        assert!(!permissions(&base, in_namespace).is_empty());
    }
}

#[test]
fn the_role_for_one_more_namespace_grants_the_same_as_the_cluster_role() {
    let file = workspace::root().join("deploy/kustomize/namespace-role/role.yaml");
    let role = objects_of(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(permissions(&role, true), permissions(&shipped_manifests().unwrap(), false));
}

#[test]
fn without_the_rotation_crds_nothing_about_them_is_granted() {
    let chart = chart("crds: {rotation: false}");
    let all = permissions(&chart, true);
    assert!(!all.is_empty());
    assert!(all.iter().all(|permission| !permission.resource.ends_with("sealedsecrets.rs")), "{all:?}");
}

/// Permissions to Leases, where a leader is elected and nowhere else.
#[test]
fn an_election_grants_the_same_as_the_kustomize_component_and_one_replica_nothing() {
    let election = permissions(&leader_election_manifests_in("kube-system").unwrap(), true);
    let is_about_leases = |permission: &Permission| permission.resource.starts_with("leases");
    assert!(election.len() == 5 && election.iter().all(is_about_leases), "{election:?}");
    let several: BTreeSet<_> = permissions(&chart("replicaCount: 2"), true);
    assert_eq!(several, &permissions(&chart(""), true) | &election);
    for without in ["", "replicaCount: 3\nleaderElection: {enabled: false}"] {
        assert!(!permissions(&chart(without), true).iter().any(is_about_leases), "{without}");
    }
}

#[test]
fn the_lease_that_may_be_changed_is_the_one_of_the_flag() {
    let objects = chart("replicaCount: 2\nfullnameOverride: sealing");
    let role = objects.iter().find(|object| object["metadata"]["name"] == "sealing-leader-election").unwrap();
    assert_eq!(role["rules"][1]["resourceNames"], serde_json::json!(["sealing"]));
    assert_eq!(role["rules"][0].get("resourceNames"), None);
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
    assert!(arguments.contains("--leader-elect-resource-name=sealing"), "{arguments}");
}

/// The rules of the roles for users, whatever their names.
fn people(objects: &[Value]) -> Vec<String> {
    let is_theirs = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] == "ClusterRole" && name.contains("-key-")
    };
    let mut rules: Vec<_> = objects.iter().filter(is_theirs).map(|role| role["rules"].to_string()).collect();
    rules.sort();
    rules
}

#[test]
fn the_roles_for_people_are_those_of_the_base() {
    let base = people(&shipped_manifests().unwrap());
    assert_eq!(people(&chart("")), base);
    assert_eq!(base.len(), 3);
}
