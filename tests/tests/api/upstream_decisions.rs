//! Decisions about Secrets: both controllers agree unless docs/differences.md documents a difference.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::PostParams;
use sealed_secrets_tests::{Cluster, Edition};
use serde_json::{Value, json};

use crate::scene::Scene;

const MANAGED: &str = "sealedsecrets.bitnami.com/managed";
const PATCH: &str = "sealedsecrets.bitnami.com/patch";
const SKIP_OWNER: &str = "sealedsecrets.bitnami.com/skip-set-owner-references";

async fn scene_of(edition: Edition) -> Scene {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(edition, &[]).await.unwrap();
    Scene { cluster, installation, controller }
}

/// Creates an existing Secret with an item, a label and these annotations of its own.
async fn plant(scene: &Scene, name: &str, annotations: &[&str]) {
    let mut secret = scene.secret(name, "theirs", "x");
    secret["metadata"]["labels"] = json!({"theirs": "x"});
    secret["metadata"]["annotations"] =
        annotations.iter().map(|name| ((*name).to_owned(), json!("true"))).collect();
    let secret: Secret = serde_json::from_value(secret).unwrap();
    scene.secrets().create(&PostParams::default(), &secret).await.unwrap();
}

/// A Secret with every field that a template can set.
fn full(scene: &Scene, name: &str) -> Value {
    let mut secret = scene.secret(name, "password", "ours");
    secret["metadata"]["labels"] = json!({"ours": "y"});
    secret["metadata"]["annotations"] = json!({"example.com/note": "z"});
    secret
}

/// The parts of a Secret that do not depend on namespace and time.
fn shape(secret: &Secret) -> Value {
    let owners: Vec<Value> = secret
        .owner_references()
        .iter()
        .map(|owner| {
            json!([owner.api_version, owner.kind, owner.name, owner.controller, owner.block_owner_deletion])
        })
        .collect();
    json!({
        "data": secret.data, "type": secret.type_, "immutable": secret.immutable,
        "labels": secret.labels(), "annotations": secret.annotations(), "owners": owners
    })
}

/// By object: the condition Synced, the first line of its message, and the final Secret.
type Outcomes = BTreeMap<String, (String, String, Option<Value>)>;

async fn outcomes(scene: &Scene, expected: &[(&str, &str)]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for (name, synced) in expected {
        let message = scene.until_synced(name, synced).await;
        let first_line = message.lines().next().unwrap_or_default().to_owned();
        let secret = scene.secrets().get_opt(name).await.unwrap();
        outcomes.insert((*name).to_owned(), ((*synced).to_owned(), first_line, secret.as_ref().map(shape)));
    }
    outcomes
}

async fn first_decisions(edition: Edition) -> Outcomes {
    let scene = scene_of(edition).await;
    for (name, annotations) in [
        ("foreign", &[][..]),
        ("managed", &[MANAGED]),
        ("patched", &[PATCH]),
        ("patched-managed", &[PATCH, MANAGED]),
    ] {
        plant(&scene, name, annotations).await;
        scene.seal_and_create(&full(&scene, name)).await;
    }
    scene.seal_and_create(&full(&scene, "new")).await;
    let mut typed = full(&scene, "typed");
    typed["type"] = json!("example.com/thing");
    typed["immutable"] = json!(true);
    scene.seal_and_create(&typed).await;
    let mut unowned = full(&scene, "unowned");
    unowned["metadata"]["annotations"][SKIP_OWNER] = json!("true");
    scene.seal_and_create(&unowned).await;
    scene.create(&scene.seal_v1(&full(&scene, "v1")).await).await;
    let mut both = scene.seal_v1(&full(&scene, "both-fields")).await;
    both["spec"]["encryptedData"] =
        scene.seal(&full(&scene, "both-fields")).await["spec"]["encryptedData"].clone();
    scene.create(&both).await;
    let mut unopened = scene.seal(&full(&scene, "unopened")).await;
    unopened["spec"]["encryptedData"]["password"] =
        scene.seal(&full(&scene, "other")).await["spec"]["encryptedData"]["password"].clone();
    scene.create(&unopened).await;
    let mut garbled = scene.seal(&full(&scene, "garbled")).await;
    garbled["spec"]["encryptedData"]["password"] = json!("%%%");
    scene.create(&garbled).await;
    let expected = [
        ("foreign", "False"),
        ("managed", "True"),
        ("patched", "True"),
        ("patched-managed", "True"),
        ("new", "True"),
        ("typed", "True"),
        ("v1", "True"),
        ("both-fields", "False"),
        ("unopened", "False"),
        ("garbled", "False"),
    ];
    let mut outcomes = outcomes(&scene, &expected).await;
    // Upstream reports this object as unsynced when it processes it again; the Secret is the same.
    let secret = scene.until_secret("unowned", "is there", |_| true).await;
    outcomes.insert("unowned".to_owned(), (String::new(), String::new(), Some(shape(&secret))));
    outcomes
}

#[tokio::test]
async fn a_new_object_is_handled_alike_by_both_controllers() {
    let (ours, upstreams) = tokio::join!(first_decisions(Edition::Ours), first_decisions(Edition::Upstream));
    for (name, upstream) in &upstreams {
        assert_eq!(&ours[name], upstream, "{name}");
    }
    assert_eq!(ours["v1"].2.as_ref().unwrap()["data"], json!({"password": "b3Vycw=="}));
}

/// Decisions about decrypted objects that change.
async fn later_decisions(edition: Edition) -> Outcomes {
    let scene = scene_of(edition).await;
    for name in ["relabelled", "fewer-items", "immutable"] {
        let mut secret = full(&scene, name);
        secret["stringData"]["second"] = json!("2");
        secret["immutable"] = json!(name == "immutable");
        scene.seal_and_create(&secret).await;
        scene.until_synced(name, "True").await;
    }
    let labels = json!({"spec": {"template": {"metadata": {"labels": {"ours": null, "new": "n"}}}}});
    scene.merge("relabelled", &labels).await;
    scene.merge("fewer-items", &json!({"spec": {"encryptedData": {"second": null}}})).await;
    scene.merge("immutable", &json!({"spec": {"encryptedData": {"second": null}}})).await;
    let mut outcomes =
        outcomes(&scene, &[("relabelled", "True"), ("fewer-items", "True"), ("immutable", "False")]).await;
    // The sentence differs, its meaning does not.
    if let Some(outcome) = outcomes.get_mut("immutable") {
        assert!(outcome.1.contains("immutable"), "{}", outcome.1);
        outcome.1.clear();
    }
    outcomes
}

#[tokio::test]
async fn a_changed_object_is_handled_alike_by_both_controllers() {
    let (ours, upstreams) = tokio::join!(later_decisions(Edition::Ours), later_decisions(Edition::Upstream));
    for (name, upstream) in &upstreams {
        assert_eq!(&ours[name], upstream, "{name}");
    }
}
