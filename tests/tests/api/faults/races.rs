//! Races with another writer between the read of a Secret and the controller's write.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Asked, Cluster, Edition, Fault, until};
use serde_json::{Value, json};

use super::run::FaultRun;
use crate::scene::{CANARY, item};
use crate::support::{PATIENCE, sealed_secrets};

const THEIRS: &str = "theirs";

/// Holds the first request of this method for the Secrets of a namespace.
fn hold(trial: &FaultRun, method: Method) {
    let count = AtomicUsize::new(0);
    trial.proxy.fail(move |asked, path| {
        let is_it = *asked == method && path.contains("/secrets");
        (is_it && count.fetch_add(1, Ordering::SeqCst) == 0).then_some(Fault::Held)
    });
}

fn foreign(owner: Option<Value>) -> Secret {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "db", "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
        "stringData": {"password": THEIRS}
    });
    serde_json::from_value(secret).unwrap()
}

/// Another controller as an owner that exists.
async fn another_controller(trial: &FaultRun) -> Value {
    let maps: Api<ConfigMap> = Api::namespaced(trial.cluster.client(), trial.namespace());
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("another".to_owned()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    let uid = maps.create(&PostParams::default(), &map).await.unwrap().uid();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "another", "uid": uid, "controller": true})
}

/// Releases the held write, and waits until the controller has reported that it does not manage the Secret.
async fn left_alone(trial: &FaultRun, what: &str) {
    trial.proxy.heal();
    let api = sealed_secrets(&trial.cluster, trial.namespace());
    let refused = async || {
        let message = api.get("db").await.ok()?.data["status"]["conditions"][0]["message"].clone();
        message.as_str()?.contains("not managed by SealedSecret").then_some(())
    };
    until(&format!("{what}: it is told"), PATIENCE, refused).await.unwrap();
    let secret = trial.secrets(trial.namespace()).get("db").await.unwrap();
    assert_eq!(item(&secret, "password").as_deref(), Some(THEIRS), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_appears_before_it_is_created_is_not_overwritten() {
    let cluster = Cluster::shared().await.unwrap();
    let trial = FaultRun::begin(cluster.access(), &[]).await;
    hold(&trial, Method::POST);
    trial.apply(trial.namespace(), "db", CANARY).await;
    trial.until_faults("the creation is held", 1).await;
    let secrets = trial.secrets(trial.namespace());
    secrets.create(&PostParams::default(), &foreign(None)).await.unwrap();
    left_alone(&trial, "a Secret that appears").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_changes_hands_before_it_is_repaired_is_not_overwritten() {
    let cluster = Cluster::shared().await.unwrap();
    let mut trial = FaultRun::begin(cluster.access(), &[]).await;
    trial.seal("db").await;
    trial.until_converged("a Secret that changes hands").await;
    hold(&trial, Method::PUT);
    trial.edit_secret("db").await;
    trial.until_faults("the repair is held", 1).await;
    let owner = another_controller(&trial).await;
    let change = json!({"metadata": {"ownerReferences": [owner]}, "stringData": {"password": THEIRS}});
    let secrets = trial.secrets(trial.namespace());
    secrets.patch("db", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    left_alone(&trial, "a Secret that changes hands").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_made_anew_by_others_before_it_is_repaired_is_not_overwritten() {
    let cluster = Cluster::shared().await.unwrap();
    let mut trial = FaultRun::begin(cluster.access(), &[]).await;
    trial.seal("db").await;
    trial.until_converged("a Secret that is made anew").await;
    hold(&trial, Method::PUT);
    trial.edit_secret("db").await;
    trial.until_faults("the repair is held", 1).await;
    let secrets = trial.secrets(trial.namespace());
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    let owner = another_controller(&trial).await;
    secrets.create(&PostParams::default(), &foreign(Some(owner))).await.unwrap();
    left_alone(&trial, "a Secret that is made anew").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_deleted_before_it_is_repaired_is_created_again_without_an_error() {
    let cluster = Cluster::shared().await.unwrap();
    let mut trial = FaultRun::begin(cluster.access(), &[]).await;
    trial.seal("db").await;
    trial.until_converged("a Secret that is deleted").await;
    hold(&trial, Method::PUT);
    trial.edit_secret("db").await;
    trial.until_faults("the repair is held", 1).await;
    trial.secrets(trial.namespace()).delete("db", &DeleteParams::default()).await.unwrap();
    trial.proxy.heal();
    trial.until_converged("a Secret that was deleted").await;
    let log = trial.controller.log();
    assert!(!log.contains("level=ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_not_written_for_a_scope_that_changes_after_the_decryption() {
    let cluster = Cluster::shared().await.unwrap();
    let mut trial = FaultRun::begin(cluster.access(), &[]).await;
    trial.seal("db").await;
    trial.until_converged("a scope that changes").await;
    let secrets = trial.secrets(trial.namespace());
    let before = item(&secrets.get("db").await.unwrap(), "password");
    trial.proxy.fail(|method, path| {
        (*method == Method::GET && path.ends_with("/secrets/db")).then_some(Fault::Held)
    });
    trial.seal("db").await;
    trial.until_faults("its Secret is read", 1).await;
    let wider = json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/namespace-wide": "true"}}});
    let objects = sealed_secrets(&trial.cluster, trial.namespace());
    objects.patch("db", &PatchParams::default(), &Patch::Merge(wider)).await.unwrap();
    trial.proxy.heal();
    let refused = async || {
        let synced = objects.get("db").await.ok()?.data["status"]["conditions"][0]["status"].clone();
        (synced == "False").then_some(())
    };
    until("it does not decrypt with that scope", PATIENCE, refused).await.unwrap();
    assert_eq!(item(&secrets.get("db").await.unwrap(), "password"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_waits_to_be_written_replaces_none_of_a_later_generation_or_of_another_object() {
    let cluster = Cluster::shared().await.unwrap();
    let mut trial = FaultRun::begin(cluster.access(), &[]).await;
    trial.proxy.fail(|method, path| is_status(method, path).then_some(Fault::Held));
    let names = ["changed", "made-anew"];
    for name in names {
        trial.apply_undecryptable(name).await;
    }
    trial.until_faults("two failures are reported", 2).await;
    trial.delete("made-anew").await;
    for name in names {
        trial.seal(name).await;
    }
    let _other = trial.installation.start(Edition::Ours, &["--key-size=2048"]).await.unwrap();
    trial.until_converged("by another replica").await;
    trial.proxy.heal();
    for name in names {
        let synced = format!("name=\"{name}\"");
        let knows = async || {
            let page = trial.controller.metrics().await.ok()?;
            page.lines().any(|line| line.contains(&synced) && line.ends_with(" 1")).then_some(())
        };
        until(&format!("{name} is decrypted"), PATIENCE, knows).await.unwrap();
    }
    let asked = trial.proxy.asked();
    let is_failure = |asked: &&Asked| {
        let is_stored = asked.answered.is_some_and(|(_, status)| status == 200);
        is_stored && asked.body["status"]["conditions"][0]["status"] == "False"
    };
    let failures = asked.iter().filter(|asked| is_status(&asked.method, &asked.path)).filter(is_failure);
    assert_eq!(failures.count(), 0, "of what is no longer so");
    trial.until_converged("by both").await;
}

/// Returns true for a write of the status of a SealedSecret.
fn is_status(method: &Method, path: &str) -> bool {
    *method == Method::PUT && path.contains("/sealedsecrets/")
}
