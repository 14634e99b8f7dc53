//! `kubeseal keys` and `kubeseal cert` with the objects that the controller writes.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{SealingKeyPhase, SealingKeyPolicyStatus};
use sealed_secrets_tests::{Cluster, Edition, Kubeseal, Output, until};
use serde_json::{Value, json};

use crate::key_scene::{KeyScene, condition, key_secret};
use crate::scene::CANARY;
use crate::support::PATIENCE;

/// Runs a command line in the scene's namespace. It waits for the controller, so the test must not block meanwhile.
fn run(scene: &KeyScene, line: &str) -> Output {
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(scene.0.cluster.kubeconfig());
    let kubeseal = kubeseal.with_variable("SEALED_SECRETS_CONTROLLER_NAMESPACE", scene.0.namespace());
    kubeseal.run(&line.split_whitespace().collect::<Vec<_>>(), "").unwrap()
}

/// The entry of one key in `keys list`.
fn listed(scene: &KeyScene, name: &str) -> Value {
    let list: Value = serde_json::from_str(&run(scene, "keys list -o json").ok().unwrap()).unwrap();
    let keys = list["keys"].as_array().unwrap();
    keys.iter().find(|key| key["name"] == name).cloned().unwrap_or_default()
}

async fn until_listed(scene: &KeyScene, name: &str, expected: &Value) {
    let found = async || {
        let key = listed(scene, name);
        expected.as_object().unwrap().iter().all(|(field, value)| key[field] == *value).then_some(())
    };
    until(&format!("keys list says of {name}: {expected}"), PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn keys_are_seen_rotated_revoked_and_retired_from_a_laptop() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.until_policy("names the primary", |status| status.primary.is_some()).await;
    let served = scene.controller().certificate().await.unwrap();
    assert_eq!(run(&scene, "cert fetch").ok().unwrap(), served);
    scene.0.seal_and_create(&scene.0.secret("db", "password", CANARY)).await;
    until_listed(&scene, &first, &json!({"phase": "Primary", "items": 1, "objects": 1})).await;

    scene.later_than_all_keys().await;
    let rotated = run(&scene, "keys rotate --wait").ok().unwrap();
    let [_, second] = scene.until_keys(2).await.try_into().unwrap();
    assert!(rotated.starts_with(&second) && rotated.ends_with("seals from now on\n"), "{rotated}");
    scene.until_offered(&second).await;
    until_listed(&scene, &first, &json!({"phase": "DecryptOnly", "items": 1})).await;
    until_listed(&scene, &second, &json!({"phase": "Primary", "items": 0})).await;

    run(&scene, &format!("keys revoke {first} --decrypt-until 2100-01-01T00:00:00Z")).ok().unwrap();
    until_listed(&scene, &first, &json!({"phase": "Compromised", "items": 1})).await;
    let warned = async || {
        let object = scene.0.sealed_secrets().get("db").await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array()?.clone();
        conditions.into_iter().find(|condition| condition["type"] == "KeyCompromised")
    };
    let warned = until("db says that its key is compromised", PATIENCE, warned).await.unwrap();
    assert!(warned["message"].as_str().unwrap().contains("change the values"), "{warned}");
    assert_eq!(scene.names().await.len(), 2, "a younger key seals already");

    run(&scene, &format!("keys retire {first}")).ok().unwrap();
    let told = |status: &SealingKeyPolicyStatus| {
        status.conditions.iter().any(|one| one.message.contains("UsageIncomplete"))
    };
    scene.until_policy("it does not retire: other namespaces are not seen", told).await;
    until_listed(&scene, &first, &json!({"phase": "Compromised", "state": "Retired"})).await;
    let secret = scene.secrets().get(&first).await.unwrap();
    assert_eq!(secret.annotations()["sealedsecrets.rs/decrypt-until"], "2100-01-01T00:00:00Z");
    let object = scene.0.sealed_secrets().get("db").await.unwrap();
    assert!(object.data["status"]["conditions"].to_string().contains("KeyCompromised"), "{:?}", object.data);
    scene.0.until_synced("db", "True").await;
}

/// A controller that creates no keys, with one key whose certificate has expired.
async fn on_an_expired_key() -> KeyScene {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    let two_years_ago = Timestamp::now() - SignedDuration::from_hours(2 * 365 * 24);
    let expired = key_secret("expired", "active", two_years_ago);
    secrets.create(&PostParams::default(), &expired).await.unwrap();
    KeyScene::start(cluster, installation, &["--key-renew-period=0"]).await
}

#[tokio::test]
async fn an_expired_only_key_is_served_and_reported_until_another_key_is_primary() {
    let told =
        "the certificate that is offered for sealing has expired: kubeseal refuses that of expired since ";
    let scene = on_an_expired_key().await;
    scene.until_offered("expired").await;
    scene.0.until_logged(told).await;
    scene.until_event("KeyExpired", told).await;
    scene.apply_policy(&json!({})).await;
    let is_ready = |status: &SealingKeyPolicyStatus, reason: &str| condition(status, "Ready").1 == reason;
    let status = scene.until_policy("expired", |status| is_ready(status, "PrimaryExpired")).await;
    assert_eq!(condition(&status, "Ready").0, "False");
    scene.until_phase("expired", SealingKeyPhase::Primary).await;
    let warning = "the certificate of expired, which is offered for sealing, expired on ";
    assert!(run(&scene, "keys list").stderr.contains(warning));

    run(&scene, "keys rotate --wait").ok().unwrap();
    scene.until_policy("ready", |status| is_ready(status, "HasPrimary")).await;
    scene.until_phase("expired", SealingKeyPhase::DecryptOnly).await;
    assert_eq!(run(&scene, "keys list").stderr, "");
    assert_eq!(scene.controller().log().matches(told).count(), 1);
    assert_eq!(scene.events("KeyExpired", told).await, 1);
}
