//! Our controller with the CRD and the permissions of an existing installation of the original. `cargo xtask test` runs all tests of
//! the controller on them in a step of its own; these tests cover the differences.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Installation, Kubeseal, Reach, until};

use crate::support::{PATIENCE, apply_sealed, events, sealed_secrets, secret, until_logged, until_secret};

const NAMES: [&str; 3] = ["one", "two", "three"];

async fn seal(cluster: &Cluster, controller: &ControllerProcess, namespace: &str, name: &str) {
    let certificate = format!("http://{}/v1/cert.pem", controller.address());
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap();
    let input = secret(namespace, name, "password", name);
    let sealed = kubeseal.run(&["--cert", &certificate], &input).unwrap().ok().unwrap();
    apply_sealed(cluster, &sealed).await;
}

/// The versions of all objects that a controller writes in this namespace.
async fn versions(cluster: &Cluster, namespace: &str) -> BTreeSet<String> {
    let all = ListParams::default();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let secrets = secrets.list(&all).await.unwrap();
    let events = events(cluster, namespace, "").await;
    let sealed = sealed_secrets(cluster, namespace).list(&all).await.unwrap();
    let versions = secrets.iter().map(|one| (one.name_any(), one.resource_version()));
    let versions = versions.chain(events.iter().map(|one| (one.name_any(), one.resource_version())));
    let versions = versions.chain(sealed.iter().map(|one| (one.name_any(), one.resource_version())));
    versions.map(|version| format!("{version:?}")).collect()
}

/// Decryption, repair, restart without a write, and a single report of missing permissions.
async fn story(cluster: &Cluster, installation: &Installation) {
    let namespace = installation.namespace();
    let mut controller = installation.start(Edition::Ours, &[]).await.unwrap();
    for name in NAMES {
        seal(cluster, &controller, namespace, name).await;
    }
    for name in NAMES {
        until_secret(cluster, namespace, name, &[("password", name)]).await;
    }
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    secrets.delete("one", &DeleteParams::default()).await.unwrap();
    until_secret(cluster, namespace, "one", &[("password", "one")]).await;
    let repaired = "involvedObject.name=one,reason=SecretRepaired";
    let told = async || (!events(cluster, namespace, repaired).await.is_empty()).then_some(());
    until("the repair is told", PATIENCE, told).await.unwrap();
    until_settled(cluster, namespace).await;

    let before = versions(cluster, namespace).await;
    controller.stop().await.unwrap();
    assert_said_once(&controller.log());
    let controller = installation.start(Edition::Ours, &[]).await.unwrap();
    // Without the hash in the status every object is decrypted and compared.
    let compared = async || {
        let page = controller.metrics().await.unwrap();
        page.contains("unseal_requests_total 3").then_some(())
    };
    until("all three were opened once more", PATIENCE, compared).await.unwrap();
    seal(cluster, &controller, namespace, "later").await;
    until_secret(cluster, namespace, "later", &[("password", "later")]).await;
    until_settled(cluster, namespace).await;
    let after = versions(cluster, namespace).await;
    assert!(before.is_subset(&after), "what was there was not written: {before:?}\n{after:?}");
    let new = after.difference(&before).filter(|version| !version.contains("later")).count();
    assert_eq!(new, 0, "{after:?}");
    assert_said_once(&controller.log());
}

/// Waits until every SealedSecret has its status, and at least one event.
async fn until_settled(cluster: &Cluster, namespace: &str) {
    let settled = async || {
        let all = sealed_secrets(cluster, namespace).list(&ListParams::default()).await.unwrap().items;
        for object in &all {
            let about = format!("involvedObject.name={}", object.name_any());
            let told = !events(cluster, namespace, &about).await.is_empty();
            let synced = object.data.pointer("/status/conditions/0/status")?.as_str()? == "True";
            if !(told && synced) {
                return None;
            }
        }
        Some(())
    };
    until("everything is told", PATIENCE, settled).await.unwrap();
}

fn assert_said_once(log: &str) {
    let trouble = log.lines().filter(|line| line.contains("level=WARN") || line.contains("level=ERROR"));
    let texts: Vec<_> = trouble.filter_map(|line| line.split_once(' ')).map(|(_, text)| text).collect();
    let repairs = |text: &&&str| !text.contains("was created again");
    let texts: Vec<_> = texts.iter().filter(repairs).collect();
    let distinct: BTreeSet<_> = texts.iter().collect();
    assert_eq!(distinct.len(), texts.len(), "said once: {texts:?}");
}

#[tokio::test]
async fn on_an_existing_cluster_wide_installation_everything_works_and_a_restart_writes_nothing() {
    let cluster = Cluster::own().await.unwrap();
    let folder = "tests/tests/data/existing-cluster";
    let installation = cluster.install_on(folder, "kube-system", Reach::WholeCluster).await.unwrap();
    story(&cluster, &installation).await;
}

#[tokio::test]
async fn with_roles_only_everything_works_in_the_namespaces_they_are_for() {
    let cluster = Cluster::own().await.unwrap();
    let namespace = cluster.namespace("sealed").await.unwrap();
    let reach = Reach::Namespaces { additional: Vec::new() };
    let folder = "tests/tests/data/existing-namespaces";
    let installation = cluster.install_on(folder, &namespace, reach).await.unwrap();
    story(&cluster, &installation).await;
}

/// Removes every rule about `resource` from this Role, and returns the former Role.
async fn revoke(cluster: &Cluster, namespace: &str, role: &str, resource: &str) -> Role {
    let roles: Api<Role> = Api::namespaced(cluster.client(), namespace);
    let before = roles.get(role).await.unwrap();
    let mut changed = before.clone();
    let concerns = |rule: &PolicyRule| rule.resources.iter().flatten().any(|found| found == resource);
    changed.rules.get_or_insert_default().retain(|rule| !concerns(rule));
    roles.replace(role, &PostParams::default(), &changed).await.unwrap();
    before
}

async fn until_synced(cluster: &Cluster, namespace: &str, name: &str, status: &str) {
    let synced = async || {
        let object = sealed_secrets(cluster, namespace).get(name).await.unwrap();
        (object.data.pointer("/status/conditions/0/status")? == status).then_some(())
    };
    until(&format!("the status of {name} is written"), PATIENCE, synced).await.unwrap();
}

fn times_said(controller: &ControllerProcess, text: &str) -> usize {
    controller.log().lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn without_permission_to_write_events_all_else_works_and_one_line_is_logged() {
    let cluster = Cluster::own().await.unwrap();
    let namespace = cluster.namespace("sealed").await.unwrap();
    let reach = Reach::Namespaces { additional: Vec::new() };
    let folder = "tests/tests/data/existing-namespaces";
    let installation = cluster.install_on(folder, &namespace, reach).await.unwrap();
    revoke(&cluster, &namespace, "secrets-unsealer", "events").await;
    let controller = installation.start(Edition::Ours, &[]).await.unwrap();
    for name in NAMES {
        seal(&cluster, &controller, &namespace, name).await;
    }
    for name in NAMES {
        until_synced(&cluster, &namespace, name, "True").await;
    }
    let said =
        async || (times_said(&controller, "the permission to create events is missing") == 1).then_some(());
    until("the missing permission is said once", PATIENCE, said).await.unwrap();
}

#[tokio::test]
async fn without_permission_to_write_a_status_secrets_are_created_once_and_statuses_follow_the_permission() {
    let cluster = Cluster::own().await.unwrap();
    let namespace = cluster.namespace("sealed").await.unwrap();
    let reach = Reach::Namespaces { additional: Vec::new() };
    let folder = "tests/tests/data/existing-namespaces";
    let installation = cluster.install_on(folder, &namespace, reach).await.unwrap();
    let mut role = revoke(&cluster, &namespace, "secrets-unsealer", "sealedsecrets/status").await;
    let controller = installation.start(Edition::Ours, &[]).await.unwrap();
    // By the time the later ones exist, the first would have been retried many times.
    for name in NAMES {
        seal(&cluster, &controller, &namespace, name).await;
        until_secret(&cluster, &namespace, name, &[("password", name)]).await;
    }
    let once_each = async || {
        let page = controller.metrics().await.unwrap();
        let said = times_said(&controller, "may not be written") == 1;
        (said && page.contains("unseal_requests_total 3\n")).then_some(page)
    };
    let page =
        until("each was opened once, and what is missing said once", PATIENCE, once_each).await.unwrap();
    assert!(!page.contains("unseal_errors_total{"), "{page}");
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), &namespace);
    let foreign = ObjectMeta { name: Some("taken".to_owned()), ..ObjectMeta::default() };
    let foreign = Secret { metadata: foreign, ..Secret::default() };
    secrets.create(&PostParams::default(), &foreign).await.unwrap();
    seal(&cluster, &controller, &namespace, "taken").await;
    until_logged(&controller, "name=taken").await;

    let roles: Api<Role> = Api::namespaced(cluster.client(), &namespace);
    role.metadata.resource_version = None;
    roles.replace("secrets-unsealer", &PostParams::default(), &role).await.unwrap();
    for name in NAMES {
        until_synced(&cluster, &namespace, name, "True").await;
    }
    until_synced(&cluster, &namespace, "taken", "False").await;
}
