//! Requests for a key, and the reasons for which one is created by docs/rotation-rules.md, rule 2, and for which it is not.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use sealed_secrets_crds::{RotationPhase, SealingKeyPhase};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, until};
use serde_json::json;

use crate::key_scene::{KeyScene, SMALL, apply_policy, condition, key_secret, started};
use crate::scene::{CANARY, Scene};
use crate::support::PATIENCE;

#[tokio::test]
async fn an_annotation_requests_one_key_which_then_seals_and_the_status_quotes_it_word_for_word() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let request = scene.later_than_all_keys().await.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    scene.annotate_policy(&request).await;
    let names = scene.until_keys(2).await;
    let status = scene
        .until_policy("handled", |status| {
            status.last_handled_rotate_request.as_ref() == Some(&request)
                && status.phase == Some(RotationPhase::Idle)
        })
        .await;
    let new = names.iter().find(|name| **name != first).unwrap();
    assert_eq!(status.primary.as_ref().map(|primary| &primary.name), Some(new));
    assert_eq!(condition(&status, "Ready").0, "True");
    assert_eq!(condition(&status, "Rotating").0, "False");
    scene.until_offered(new).await;
    let shown = scene.until_phase(new, SealingKeyPhase::Primary).await.status.unwrap();
    assert_eq!(shown.fingerprint, status.primary.map(|primary| primary.fingerprint));
    assert_eq!(shown.certificate.unwrap(), scene.controller().certificate().await.unwrap());
    assert!(shown.not_before.unwrap().0 >= request.parse::<Timestamp>().unwrap());
    scene.until_phase(&first, SealingKeyPhase::DecryptOnly).await;
    scene.until_event("KeyGenerated", new).await;
    scene.until_event("KeyActivated", new).await;
}

#[tokio::test]
async fn a_request_that_is_repeated_makes_no_second_key_and_survives_a_restart() {
    let mut scene = KeyScene::set().await;
    let request = scene.later_than_all_keys().await.to_string();
    scene.apply_policy(&json!({"rotation": {"rotateAfter": request}})).await;
    scene.until_keys(2).await;
    scene.annotate_policy(&request).await;
    scene.until_handled(&request).await;
    scene.0.controller.stop().await.unwrap();
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    scene.0.until_logged("key ring changed").await;
    scene.annotate_policy("2020-01-01T00:00:00Z").await;
    scene
        .until_policy("handled", |status| {
            status.last_handled_rotate_request.as_deref() == Some("2020-01-01T00:00:00Z")
                && status.phase == Some(RotationPhase::Idle)
        })
        .await;
    assert_eq!(scene.names().await.len(), 2);
}

#[tokio::test]
async fn a_moment_in_the_future_is_a_schedule() {
    let scene =
        KeyScene::with_policy(&json!({"rotation": {"every": "0s", "rotateAfter": "2100-01-01T00:00:00Z"}}))
            .await;
    let scheduled = scene.until_policy("scheduled", |status| status.next_rotation_time.is_some()).await;
    assert_eq!(scheduled.next_rotation_time.as_deref(), Some("2100-01-01T00:00:00Z"));
    let soon = Timestamp::now() + SignedDuration::from_secs(3);
    scene.apply_policy(&json!({"rotation": {"every": "0s", "rotateAfter": soon.to_string()}})).await;
    scene.until_keys(2).await;
    let newest = scene.keys().await.iter().filter_map(started).max().unwrap();
    assert!(newest.as_second() >= soon.as_second(), "not before its time");
    scene.until_policy("nothing is scheduled", |status| status.next_rotation_time.is_none()).await;
}

#[tokio::test]
async fn the_period_of_the_policy_counts_from_the_newest_key() {
    let scene = KeyScene::set().await;
    let first = started(&scene.keys().await[0]).unwrap();
    scene.apply_policy(&json!({"rotation": {"every": "2w"}})).await;
    let due = (first + SignedDuration::from_hours(14 * 24)).to_string();
    scene.until_policy("due in two weeks", |status| status.next_rotation_time.as_ref() == Some(&due)).await;
    let page = scene.controller().metrics().await.unwrap();
    assert!(page.contains("sealed_secrets_controller_rotation_next_timestamp_seconds"), "{page}");
    assert!(page.contains("sealed_secrets_controller_rotation_overdue_seconds 0"), "{page}");
}

/// A controller with this policy and one key that started two hours ago.
pub(crate) async fn on_an_old_key(spec: serde_json::Value, flags: &[&str]) -> KeyScene {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let policies = kube::Api::namespaced(cluster.client(), installation.namespace());
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(cluster.client(), installation.namespace());
    let old = key_secret("old", "active", Timestamp::now() - SignedDuration::from_hours(2));
    secrets.create(&PostParams::default(), &old).await.unwrap();
    apply_policy(&policies, "default", &spec).await;
    KeyScene::start(cluster, installation, flags).await
}

#[tokio::test]
async fn a_key_that_is_old_enough_gets_its_successor_at_the_start() {
    let scene = on_an_old_key(json!({"rotation": {"every": "1h"}}), &[]).await;
    scene.until_keys(2).await;
}

#[tokio::test]
async fn a_suspended_schedule_makes_no_key_but_a_request_does() {
    let scene = on_an_old_key(json!({"suspend": true, "rotation": {"every": "1h"}}), &[]).await;
    let status =
        scene.until_policy("suspended", |status| status.phase == Some(RotationPhase::Suspended)).await;
    assert_eq!((status.next_rotation_time, scene.names().await.len()), (None, 1));
    scene.annotate_policy(&Timestamp::now().to_string()).await;
    scene.until_keys(2).await;
}

#[tokio::test]
async fn a_right_that_is_missing_for_a_moment_makes_no_key_against_the_policy() {
    let scene = on_an_old_key(json!({"suspend": true}), &["--key-renew-period=1h"]).await;
    scene.until_policy("suspended", |status| status.phase == Some(RotationPhase::Suspended)).await;
    let bindings: kube::Api<RoleBinding> =
        kube::Api::namespaced(scene.0.cluster.client(), scene.0.namespace());
    let binding = bindings.get("sealed-secrets-controller").await.unwrap();
    bindings.delete(&binding.name_any(), &DeleteParams::default()).await.unwrap();
    scene
        .0
        .until_logged("sealingkeypolicies can no longer be read, so their last state remains in force")
        .await;
    // A change of the keys, after which the rotation is planned again.
    scene
        .create_secret(&key_secret("older", "active", Timestamp::now() - SignedDuration::from_hours(3)))
        .await;
    scene.0.until_logged("keys=2").await;
    let metadata = ObjectMeta { name: binding.metadata.name.clone(), ..ObjectMeta::default() };
    bindings.create(&PostParams::default(), &RoleBinding { metadata, ..binding }).await.unwrap();
    scene.0.until_logged("kind SealingKeyPolicy can be read from now on").await;
    assert_eq!(scene.names().await.len(), 2);
    scene.apply_policy(&json!({"suspend": false})).await;
    scene.until_keys(3).await;
}

#[tokio::test]
async fn an_annotation_that_is_not_a_time_is_reported_and_ignored() {
    let scene = KeyScene::with_policy(&json!({})).await;
    scene.annotate_policy("tomorrow").await;
    let told = |status: &_| condition(status, "Rotating").1 == "RotationBlocked";
    let status = scene.until_policy("told", |status| !status.conditions.is_empty() && told(status)).await;
    assert!(condition(&status, "Rotating").2.contains("\"tomorrow\""), "{:?}", status.conditions);
    scene.until_event("RotationBlocked", "tomorrow").await;
    assert_eq!((scene.names().await.len(), status.last_handled_rotate_request), (1, None));
    let request = scene.request_rotation().await;
    scene.until_handled(&request).await;
}

#[tokio::test]
async fn a_new_key_waits_for_its_activation_and_decrypts_meanwhile() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let request = scene.later_than_all_keys().await.to_string();
    let spec = |delay: &str| json!({"rotation": {"rotateAfter": request, "activationDelay": delay}});
    scene.apply_policy(&spec("1d")).await;
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| **name != first).unwrap();
    scene.until_labelled(new, "pending").await;
    let status = scene.until_policy("pending", |status| status.pending.is_some()).await;
    let pending = status.pending.unwrap();
    assert_eq!((&pending.name, status.phase), (new, Some(RotationPhase::ActivationDelay)));
    let expected = (pending.created_at.0 + SignedDuration::from_hours(24)).to_string();
    assert_eq!(pending.earliest_activation, expected);
    scene.until_phase(new, SealingKeyPhase::Pending).await;
    scene.until_offered(&first).await;
    let certificate = scene.secrets().get(new).await.unwrap().data.unwrap()["tls.crt"].0.clone();
    let certificate = String::from_utf8(certificate).unwrap();
    let sealed = crate::scene::seal_with(&certificate, &scene.0.secret("early", "password", CANARY));
    scene.0.create(&sealed).await;
    scene.0.until_synced("early", "True").await;
    scene.apply_policy(&spec("0s")).await;
    scene.until_labelled(new, "active").await;
    scene.until_offered(new).await;
    scene.until_policy("nothing waits", |status| status.pending.is_none()).await;
    assert_eq!(scene.names().await.len(), 2);
}

#[tokio::test]
async fn a_pinned_key_seals_and_an_unusable_pin_is_ignored_and_reported() {
    let scene = KeyScene::set().await;
    let old = key_secret("older", "active", Timestamp::now() - SignedDuration::from_hours(2));
    scene.create_secret(&old).await;
    let newest = scene.names().await.into_iter().find(|name| name != "older").unwrap();
    scene.until_event("KeyImported", "older").await;
    scene.apply_policy(&json!({"primary": {"pin": "older"}})).await;
    scene.until_offered("older").await;
    scene.apply_policy(&json!({"primary": {"pin": "nobody"}})).await;
    scene.until_offered(&newest).await;
    let status = scene
        .until_policy("told", |status| {
            !status.conditions.is_empty() && condition(status, "Rotating").2.contains("PinIgnored: nobody")
        })
        .await;
    assert_eq!(status.primary.unwrap().name, newest);
}

#[tokio::test]
async fn with_external_keys_none_is_made_and_the_first_that_arrives_seals() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let policies = kube::Api::namespaced(cluster.client(), installation.namespace());
    apply_policy(&policies, "default", &json!({"keySource": "External"})).await;
    let controller = ControllerProcess::spawn(&installation, Edition::Ours, &[]).await.unwrap();
    let scene = KeyScene(Scene { cluster, installation, controller });
    let status = scene
        .until_policy("no primary", |status| {
            status.conditions.iter().any(|condition| condition.reason == "NoPrimary")
        })
        .await;
    assert_eq!(condition(&status, "Ready").0, "False");
    assert!(condition(&status, "Rotating").2.starts_with("ExternalKeys"));
    assert_eq!(scene.controller().get("/v1/cert.pem").await.unwrap().status, 500);
    scene.create_secret(&key_secret("brought", "active", Timestamp::now())).await;
    scene.until_offered("brought").await;
    let status = scene.until_policy("ready", |status| status.primary.is_some()).await;
    assert_eq!(condition(&status, "Ready").0, "True");
    assert_eq!(scene.names().await, ["brought"]);
}

#[tokio::test]
async fn a_policy_of_another_name_is_not_in_force_and_its_status_reports_that() {
    let scene = KeyScene::set().await;
    apply_policy(&scene.policies(), "other", &json!({"rotation": {"rotateAfter": "2020-01-01T00:00:00Z"}}))
        .await;
    scene.apply_policy(&json!({})).await;
    let told = async || {
        let status = scene.policies().get("other").await.unwrap().status?;
        let (holds, reason, _) = condition(&status, "Ready");
        (holds == "False" && reason == "NotSelected").then_some(())
    };
    until("the other policy says that it is not in force", PATIENCE, told).await.unwrap();
    let status = scene.until_policy("ready", |status| status.primary.is_some()).await;
    assert_eq!(condition(&status, "Ready").0, "True");
}

#[tokio::test]
async fn keys_are_created_by_the_settings_of_the_policy() {
    let scene = KeyScene::set().await;
    let request = scene.later_than_all_keys().await.to_string();
    let generate = json!({"keySize": 3072, "certificateValidity": "2d", "commonName": "shop", "secretPrefix": "shop-key"});
    scene.apply_policy(&json!({"generate": generate, "rotation": {"rotateAfter": request}})).await;
    let names = scene.until_keys(2).await;
    let new = names.iter().find(|name| name.starts_with("shop-key")).unwrap();
    let shown = scene.until_phase(new, SealingKeyPhase::Primary).await.status.unwrap();
    let validity = shown.not_after.unwrap().0.duration_since(shown.not_before.unwrap().0);
    assert_eq!(validity, SignedDuration::from_hours(48));
    let planted = scene.0.secret("shop-key-planted", "tls.key", CANARY);
    scene.0.seal_and_create(&planted).await;
    assert!(scene.0.until_synced("shop-key-planted", "False").await.contains("key prefix"));
}
