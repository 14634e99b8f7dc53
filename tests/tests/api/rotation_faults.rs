//! Rotation during faults: the only new key is the requested successor, and all SealedSecrets are still decrypted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sealed_secrets_crds::{
    RotationPhase, SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML, SealingKeyPhase, SealingKeyPolicyStatus,
};
use sealed_secrets_tests::{Cluster, Edition, Fault, FaultProxy, Installation, Reach, until};
use serde_json::json;

use crate::key_scene::{KeyScene, LABEL, SMALL, apply_policy, condition, key_secret, started};
use crate::scene::CANARY;
use crate::support::{PATIENCE, install_crd, until_later_than};

const BINDING: &str = "sealed-secrets-controller";
const NOT_USED: &str = "can be read, so only flags and key Secrets determine the rotation of keys";

/// A proxy for the controller of this installation, and the flag with its kubeconfig.
pub(crate) async fn behind_proxy(installation: &Installation) -> (FaultProxy, String) {
    let proxy = FaultProxy::start(installation).await.unwrap();
    let kubeconfig = proxy.flag();
    (proxy, kubeconfig)
}

/// A scene whose controller reaches the API server through a proxy.
pub(crate) async fn with_proxy() -> (KeyScene, FaultProxy, String) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let (proxy, kubeconfig) = behind_proxy(&installation).await;
    let scene = KeyScene::start(cluster, installation, &[&kubeconfig]).await;
    (scene, proxy, kubeconfig)
}

/// Returns true for a write of this kind: its method, and the end or a part of its path.
pub(crate) fn is_write(method: &Method, path: &str, wanted: (&Method, &str)) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    method == wanted.0 && path.contains(wanted.1) && !path.contains("/serviceaccounts/")
}

#[tokio::test]
async fn killed_before_or_after_any_write_of_a_rotation_it_ends_with_the_one_key_that_was_asked_for() {
    let (mut scene, proxy, kubeconfig) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let (mut sealed, mut spent) = (Vec::new(), Vec::new());
    let writes = [
        // Writes about the old key, the new key, its SealingKey, and the status of both kinds.
        (Method::PUT, "/secrets/"),
        (Method::POST, "/secrets"),
        (Method::POST, "/sealingkeys"),
        (Method::PUT, "/sealingkeys/"),
        (Method::PUT, "/sealingkeypolicies/default/status"),
    ];
    for (round, write) in writes.iter().enumerate() {
        for (moment, fault) in [("before", Fault::Silence), ("after", Fault::Unanswered)] {
            let name = format!("sealed-{round}-{moment}");
            let keys = scene.names().await;
            let primary = scene
                .until_policy("settled", |status| {
                    let leads = status.primary.as_ref().is_some_and(|key| !spent.contains(&key.name));
                    status.phase == Some(RotationPhase::Idle) && leads
                })
                .await
                .primary
                .unwrap()
                .name;
            scene.until_phase(&primary, SealingKeyPhase::Primary).await;
            scene.0.seal_and_create(&scene.0.secret(&name, "password", CANARY)).await;
            scene.0.until_synced(&name, "True").await;
            sealed.push(name);
            let (method, path) = (write.0.clone(), write.1);
            proxy.fail(move |sent, to| is_write(sent, to, (&method, path)).then_some(fault));
            scene.say(&primary, &json!({"state": "Compromised"})).await;
            let hit = async || (proxy.faults() > 0).then_some(());
            until(&format!("{moment} {write:?}"), PATIENCE, hit).await.unwrap();
            scene.0.controller.process().kill();
            proxy.heal();
            scene.0.controller =
                scene.0.installation.start(Edition::Ours, &[SMALL, &kubeconfig]).await.unwrap();
            let after = scene.until_keys(keys.len() + 1).await;
            let new = after.iter().find(|name| !keys.contains(name)).unwrap();
            scene.until_offered(new).await;
            scene.until_phase(new, SealingKeyPhase::Primary).await;
            scene.until_phase(&primary, SealingKeyPhase::Compromised).await;
            spent.push(primary);
        }
    }
    let count = scene.names().await.len();
    for name in &sealed {
        scene.delete_secret(name).await;
        scene.0.until_secret(name, "opened once more", |_| true).await;
    }
    assert_eq!((count, scene.names().await.len()), (1 + 2 * writes.len(), 1 + 2 * writes.len()));
}

#[tokio::test]
async fn three_replicas_make_exactly_the_keys_that_fifty_requests_in_any_order_ask_for() {
    let mut scene = KeyScene::with_policy(&json!({})).await;
    let two = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let three = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let seed = rand::rng().random();
    println!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let mut expected = 1;
    for _ in 0..5 {
        // All of these are at or before the relevant second: one key satisfies them all.
        let now = scene.later_than_all_keys().await;
        let mut requests: Vec<_> =
            (0..10).map(|seconds| (now - SignedDuration::from_secs(7 * seconds)).to_string()).collect();
        requests.shuffle(random);
        for request in &requests {
            if random.random() {
                scene.annotate_policy(request).await;
            } else {
                apply_policy(&scene.policies(), "default", &json!({"rotation": {"rotateAfter": request}}))
                    .await;
            }
        }
        let latest = now.to_string();
        scene.annotate_policy(&latest).await;
        expected += 1;
        scene
            .until_policy("handled", |status| {
                status.last_handled_rotate_request.as_ref() == Some(&latest)
                    && status.phase == Some(RotationPhase::Idle)
            })
            .await;
        let names = scene.until_keys(expected).await;
        let newest = names.last().unwrap();
        scene.until_offered(newest).await;
    }
    let certificate = scene.controller().certificate().await.unwrap();
    for other in [&two, &three] {
        let agrees = async || (other.certificate().await.ok()? == certificate).then_some(());
        until("the replicas agree", PATIENCE, agrees).await.unwrap();
    }
    scene.0.controller.stop().await.unwrap();
    assert_eq!(scene.names().await.len(), expected);
}

#[tokio::test]
async fn a_failing_rotation_is_reported_and_retried_until_it_succeeds() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    proxy.fail(|method, path| {
        is_write(method, path, (&Method::POST, "/secrets")).then_some(Fault::Status(500))
    });
    let request = scene.request_rotation().await;
    let status = scene.until_policy("failed twice", |status| status.failed_attempts >= 2).await;
    assert_eq!(status.phase, Some(RotationPhase::Failed));
    assert_eq!(condition(&status, "Rotating").1, "Failed");
    assert_eq!(condition(&status, "Ready").0, "True", "the old key still seals");
    proxy.heal();
    let status = scene.until_handled(&request).await;
    assert_eq!(status.failed_attempts, 0);
    scene.until_keys(2).await;
}

#[tokio::test]
async fn a_key_secret_that_may_not_be_changed_does_not_keep_the_others_from_rotating() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    for name in ["guarded", "other"] {
        let old = Timestamp::now() - SignedDuration::from_hours(1);
        scene.create_secret(&key_secret(name, "active", old)).await;
        scene.until_phase(name, SealingKeyPhase::DecryptOnly).await;
    }
    proxy.fail(|method, path| {
        is_write(method, path, (&Method::PUT, "/secrets/guarded")).then_some(Fault::Status(422))
    });
    // The guarded key sorts first by name.
    scene.say("guarded", &json!({"state": "Compromised"})).await;
    let refused = |status: &SealingKeyPolicyStatus| {
        if status.conditions.is_empty() {
            return false;
        }
        let (_, reason, message) = condition(status, "Rotating");
        reason == "Failed"
            && message.contains("/guarded")
            && message.contains("the API server refuses it (422")
    };
    scene.until_policy("refused", refused).await;
    scene.say("other", &json!({"state": "Compromised"})).await;
    scene.until_phase("other", SealingKeyPhase::Compromised).await;
    scene.request_rotation().await;
    let names = scene.until_keys(4).await;
    let new = names.iter().find(|name| !["guarded", "other", &first].contains(&name.as_str())).unwrap();
    scene.until_offered(new).await;
    proxy.heal();
    scene.until_phase("guarded", SealingKeyPhase::Compromised).await;
    scene.until_policy("no more", |status| condition(status, "Rotating").1 == "NothingDue").await;
}

#[tokio::test]
async fn a_compromised_key_that_is_newer_than_its_successor_does_not_stop_rotation() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let ahead = key_secret("ahead", "active", Timestamp::now() + SignedDuration::from_hours(5));
    scene.create_secret(&ahead).await;
    scene.until_phase("ahead", SealingKeyPhase::Primary).await;
    scene.say("ahead", &json!({"state": "Compromised"})).await;
    scene.until_phase("ahead", SealingKeyPhase::Compromised).await;
    let names = scene.until_keys(3).await;
    let successor = names.iter().find(|name| **name != first && *name != "ahead").unwrap();
    scene.until_phase(successor, SealingKeyPhase::Primary).await;
    // The newest key is still the compromised one.
    let request = until_later_than_key(&scene, successor).await;
    scene.annotate_policy(&request).await;
    scene.until_handled(&request).await;
    scene.until_keys(4).await;
}

/// The current time, once it is later in whole seconds than the start of this key.
async fn until_later_than_key(scene: &KeyScene, name: &str) -> String {
    let start = started(&scene.secrets().get(name).await.unwrap()).unwrap();
    until_later_than(start).await.to_string()
}

#[tokio::test]
async fn a_key_whose_creation_was_never_answered_is_reported_exactly_once_even_by_another_process() {
    let (mut scene, proxy, kubeconfig) = with_proxy().await;
    let mut keys = scene.until_keys(1).await;
    scene.until_event("KeyGenerated", &keys[0]).await;
    // From now on the events are about the policy.
    scene.apply_policy(&json!({})).await;
    for is_killed in [true, false] {
        proxy.fail(|method, path| {
            is_write(method, path, (&Method::POST, "/secrets")).then_some(Fault::Unanswered)
        });
        scene.request_rotation().await;
        let after = scene.until_keys(keys.len() + 1).await;
        let new = after.iter().find(|name| !keys.contains(name)).unwrap().clone();
        let hit = async || (proxy.faults() > 0).then_some(());
        until("it is made", PATIENCE, hit).await.unwrap();
        if is_killed {
            scene.0.controller.process().kill();
        }
        proxy.heal();
        if is_killed {
            scene.0.controller =
                scene.0.installation.start(Edition::Ours, &[SMALL, &kubeconfig]).await.unwrap();
        }
        scene.until_event("KeyGenerated", &new).await;
        keys = after;
    }
    let _second = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    let marker = key_secret("marker", "active", Timestamp::now() - SignedDuration::from_hours(1));
    scene.create_secret(&marker).await;
    scene.until_event("KeyImported", "marker").await;
    for key in &keys {
        assert_eq!(scene.events("KeyGenerated", key).await, 1, "{key}");
        assert_eq!(scene.events("KeyImported", key).await, 0, "{key}");
    }
}

#[tokio::test]
async fn a_name_that_was_taken_and_is_free_again_is_the_name_of_the_new_key() {
    let (scene, proxy, _) = with_proxy().await;
    scene.apply_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let expected = scene.successor_names(&first).await.next().unwrap();
    // Another writer was faster, and the Secret was deleted before it could be listed.
    let was_taken = AtomicBool::new(false);
    proxy.fail(move |method, path| {
        let is_creation = is_write(method, path, (&Method::POST, "/secrets"));
        (is_creation && !was_taken.swap(true, Ordering::SeqCst)).then_some(Fault::Status(409))
    });
    scene.request_rotation().await;
    let names = scene.until_keys(2).await;
    assert_eq!(proxy.faults(), 1);
    assert!(names.contains(&expected), "{names:?} and not {expected}");
}

#[tokio::test]
async fn a_replica_that_may_not_read_its_namespace_gives_the_next_key_the_same_name() {
    let mut scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let expected = scene.successor_names(&first).await.next().unwrap();
    let (proxy, kubeconfig) = behind_proxy(&scene.0.installation).await;
    let namespace = format!("/api/v1/namespaces/{}", scene.0.namespace());
    proxy.fail(move |method, path| {
        let is_denied = method == Method::GET && path.split('?').next() == Some(&namespace);
        is_denied.then_some(Fault::Status(403))
    });
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL, &kubeconfig]).await.unwrap();
    scene.request_rotation().await;
    let names = scene.until_keys(2).await;
    assert!(names.contains(&expected), "{names:?} and not {expected}");
}

#[tokio::test]
async fn a_new_key_that_is_deleted_or_relabelled_at_once_is_made_again_under_rule_3() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.0.seal_and_create(&scene.0.secret("on-first", "password", CANARY)).await;
    scene.0.until_synced("on-first", "True").await;
    scene.request_rotation().await;
    let second = scene.until_keys(2).await.into_iter().find(|name| *name != first).unwrap();
    scene.until_offered(&second).await;

    scene.delete_secret(&second).await;
    let again = scene.until_keys(2).await;
    assert!(again.contains(&second), "the same name: no other was ever possible");
    scene.until_offered(&second).await;

    scene.relabel(&second, "retired").await;
    let names = scene.until_keys(3).await;
    let third = names.iter().find(|name| **name != first && **name != second).unwrap().clone();
    scene.until_offered(&third).await;
    scene.until_phase(&second, SealingKeyPhase::Retired).await;

    scene
        .until_policy("a key leads", |status| {
            status.primary.is_some() && status.phase == Some(RotationPhase::Idle)
        })
        .await;
    scene.delete_secret("on-first").await;
    scene.0.until_secret("on-first", "it opens still", |_| true).await;
}

#[tokio::test]
async fn a_foreign_secret_with_the_name_of_a_new_key_is_neither_adopted_nor_changed() {
    let scene = KeyScene::with_policy(&json!({})).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let names: Vec<_> = scene.successor_names(&first).await.take(4).collect();
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let mut corrupt = key_secret(&names[0], "active", hour_ago);
    corrupt.string_data.as_mut().unwrap().insert("tls.key".to_owned(), "rubbish".to_owned());
    let mut foreign = key_secret(&names[1], "active", hour_ago);
    foreign.metadata.labels = None;
    for planted in [corrupt, foreign, key_secret(&names[2], "retired", hour_ago)] {
        scene.create_secret(&planted).await;
    }
    let planted = async || {
        let secrets = scene.secrets();
        let planted = names.iter().take(3).map(|name| secrets.get(name));
        futures::future::try_join_all(planted).await.unwrap()
    };
    let before = planted().await;
    scene.until_phase(&names[0], SealingKeyPhase::Unreadable).await;
    scene.until_phase(&names[2], SealingKeyPhase::Retired).await;
    let request = until_later_than_key(&scene, &first).await;
    scene.annotate_policy(&request).await;
    scene.until_phase(&names[3], SealingKeyPhase::Primary).await;
    scene.until_offered(&names[3]).await;
    assert_eq!(planted().await, before);
    assert_eq!(scene.names().await.len(), 4, "three with the label, and the new one");
}

#[tokio::test]
async fn a_key_that_has_lost_its_label_is_left_alone_and_does_not_stand_in_the_way_of_another() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    let before = scene.secrets().get(&first).await.unwrap();
    let change = Patch::Merge(json!({"metadata": {"labels": {LABEL: null}}}));
    scene.secrets().patch(&first, &PatchParams::default(), &change).await.unwrap();
    let [second] = scene.until_keys(1).await.try_into().unwrap();
    assert_ne!(second, first);
    scene.until_offered(&second).await;
    let left = scene.secrets().get(&first).await.unwrap();
    assert_eq!((left.labels().get(LABEL), &left.data), (None, &before.data));
}

#[tokio::test]
async fn without_the_crds_the_flags_apply_and_one_line_is_logged() {
    let cluster = Cluster::own().await.unwrap();
    let namespace = cluster.namespace("sealed").await.unwrap();
    let installation =
        cluster.install(&namespace, Reach::Namespaces { additional: Vec::new() }).await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let kinds = ["sealingkeys.sealedsecrets.rs", "sealingkeypolicies.sealedsecrets.rs"];
    let without = async || {
        for kind in kinds {
            crds.delete(kind, &DeleteParams::default()).await.unwrap();
            let gone = async || crds.get_opt(kind).await.unwrap().is_none().then_some(());
            until("the CRD is gone", PATIENCE, gone).await.unwrap();
        }
    };
    without().await;
    let scene = KeyScene::start(cluster, installation, &[]).await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.0.until_logged(NOT_USED).await;
    scene.0.seal_and_create(&scene.0.secret("db", "password", CANARY)).await;
    scene.0.until_synced("db", "True").await;
    let said = |scene: &KeyScene| scene.controller().log().matches(NOT_USED).count();
    assert_eq!(said(&scene), 1, "{}", scene.controller().log());
    assert!(!scene.controller().log().contains("level=ERROR"), "{}", scene.controller().log());
    for yaml in [SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML] {
        install_crd(&scene.0.cluster, yaml).await;
    }
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.apply_policy(&json!({})).await;
    let primary = scene.until_policy("ready", |status| status.primary.is_some()).await.primary.unwrap();
    assert_eq!(primary.name, first);
    let so_far = said(&scene);
    without().await;
    let said_again = async || (said(&scene) > so_far).then_some(());
    until("it says that they are gone", PATIENCE, said_again).await.unwrap();
    assert!(scene.secrets().get(&first).await.is_ok(), "keys belong to no kind of ours");
    for yaml in [SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML] {
        install_crd(&scene.0.cluster, yaml).await;
    }
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    scene.apply_policy(&json!({})).await;
    scene.until_policy("ready again", |status| status.primary.is_some()).await;
    assert_eq!(scene.names().await, [first]);
}

#[tokio::test]
async fn without_permissions_on_the_kinds_the_flags_apply_and_permissions_granted_later_are_used() {
    let scene = KeyScene::set().await;
    let [first] = scene.until_keys(1).await.try_into().unwrap();
    scene.until_phase(&first, SealingKeyPhase::Primary).await;
    let bindings: Api<RoleBinding> = Api::namespaced(scene.0.cluster.client(), scene.0.namespace());
    let binding = bindings.get(BINDING).await.unwrap();
    bindings.delete(BINDING, &DeleteParams::default()).await.unwrap();
    scene.0.until_logged(NOT_USED).await;
    scene
        .apply_policy(&json!({"rotation": {"rotateAfter": scene.later_than_all_keys().await.to_string()}}))
        .await;
    scene.0.seal_and_create(&scene.0.secret("db", "password", CANARY)).await;
    scene.0.until_synced("db", "True").await;
    assert_eq!(scene.names().await, *std::slice::from_ref(&first));
    let metadata = ObjectMeta { name: Some(BINDING.to_owned()), ..ObjectMeta::default() };
    bindings.create(&PostParams::default(), &RoleBinding { metadata, ..binding }).await.unwrap();
    scene.until_keys(2).await;
    scene.until_policy("heeded", |status| status.primary.as_ref().is_some_and(|key| key.name != first)).await;
}

/// The versions of all objects about keys.
async fn versions(scene: &KeyScene) -> BTreeSet<String> {
    let all = ListParams::default();
    let keys = scene.sealing_keys().list(&all).await.unwrap().items;
    let policies = scene.policies().list(&all).await.unwrap().items;
    let secrets = scene.keys().await;
    let named = |name: String, version: Option<String>| format!("{name} {version:?}");
    let keys = keys.iter().map(|one| named(one.name_any(), one.resource_version()));
    let policies = policies.iter().map(|one| named(one.name_any(), one.resource_version()));
    let secrets = secrets.iter().map(|one| named(one.name_any(), one.resource_version()));
    keys.chain(policies).chain(secrets).collect()
}

#[tokio::test]
async fn a_restart_and_replicas_write_nothing_about_keys_when_nothing_has_changed() {
    let mut scene = KeyScene::with_policy(&json!({})).await;
    scene.request_rotation().await;
    let new = scene.until_keys(2).await.pop().unwrap();
    scene.until_phase(&new, SealingKeyPhase::Primary).await;
    scene
        .until_policy("idle", |status| {
            status.phase == Some(RotationPhase::Idle)
                && status.primary.as_ref().is_some_and(|key| key.name == new)
        })
        .await;
    let before = versions(&scene).await;
    let mut second = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    scene.0.controller.stop().await.unwrap();
    scene.0.controller = scene.0.installation.start(Edition::Ours, &[SMALL]).await.unwrap();
    // By now both have written everything that they would write.
    let marker = key_secret("marker", "active", Timestamp::now() - SignedDuration::from_hours(1));
    scene.create_secret(&marker).await;
    scene.until_phase("marker", SealingKeyPhase::DecryptOnly).await;
    second.stop().await.unwrap();
    let after = versions(&scene).await;
    let changed: Vec<_> =
        before.difference(&after).filter(|version| !version.starts_with("default ")).collect();
    assert!(changed.is_empty(), "written: {changed:?}");
}

#[tokio::test]
async fn a_key_dated_in_the_future_counts_as_made() {
    let scene = KeyScene::with_policy(&json!({"rotation": {"every": "1h"}})).await;
    let ahead = key_secret("ahead", "active", Timestamp::now() + SignedDuration::from_hours(5));
    scene.create_secret(&ahead).await;
    scene.until_offered("ahead").await;
    let request = Timestamp::now().to_string();
    scene.annotate_policy(&request).await;
    scene.until_handled(&request).await;
    assert_eq!(scene.names().await.len(), 2);
}
