//! Faults of the cluster and of the controller itself. Afterwards the state is correct, and no further writes happen.

mod late_watches;
mod races;
mod run;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Access, Cluster, Fault, until};
use serde_json::json;

use crate::key_scene::{LABEL, apply_policy, key_secret};
use crate::scene::CANARY;
use crate::support::{PATIENCE, sealed_secrets};
use run::{FaultRun, settled, versions};

/// SealedSecrets that are being decrypted while the API server restarts.
const LOAD: usize = 300;
const BINDING: &str = "cluster-wide-sealed-secrets-controller";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_fault_each_secret_is_as_it_should_be_and_a_minute_is_quiet() {
    let mut cluster = Cluster::own().await.unwrap();
    let access = cluster.access().clone();
    let late = crd_that_comes_late(&cluster).await;
    let (one, two, three, four, five, six) = tokio::join!(
        watch_expired(&access),
        conflicts(&access),
        too_many_requests(&access),
        silence(&access),
        keys_deleted_relabelled_and_corrupt(&access),
        stopped_in_the_middle(&access),
    );
    let (seven, eight, nine, ten, eleven, twelve, thirteen, fourteen) = tokio::join!(
        killed_at_every_write(&access),
        permissions_revoked(&access),
        namespace_terminating(&access),
        secret_too_large(&access),
        conflicts_on_status(&access),
        api_server_down_at_start(&access),
        two_at_once(&access),
        old_key_that_others_renew(&access),
    );
    let mut trials = vec![
        ("CRD late", late),
        ("watch expired", one),
        ("conflicts", two),
        ("429", three),
        ("silence", four),
        ("keys", five),
        ("SIGTERM", six),
        ("SIGKILL", seven),
        ("permissions", eight),
        ("namespace", nine),
        ("too large", ten),
        ("conflicts on status", eleven),
        ("API server down at start", twelve),
        ("two at once", thirteen),
        ("old key", fourteen),
        ("load", work_that_waits(&access).await),
    ];
    for (_, trial) in &mut trials {
        trial.seal("before-the-restart").await;
    }
    let (_, load) = trials.last_mut().unwrap();
    load.start_again().await;
    load.until_secrets(1).await;
    slow_etcd(&cluster, load).await;
    cluster.restart_apiserver().await.unwrap();
    for (_, trial) in &mut trials {
        trial.seal("after-the-restart").await;
    }
    for (what, trial) in &trials {
        trial.until_converged(what).await;
    }
    let before = until("the numbers of usage are written", PATIENCE, || settled(&cluster)).await.unwrap();
    // The test must prove the absence of writes.
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(versions(&cluster).await, before, "a quiet minute");
    for (what, trial) in &mut trials {
        trial.until_converged(what).await;
        trial.assert_in_order(what).await;
    }
}

/// The API server does not respond for a while, as with a slow disk, while many objects are being decrypted. The controller with
/// that load reports it.
async fn slow_etcd(cluster: &Cluster, load: &FaultRun) {
    cluster.pause_etcd(true).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    cluster.pause_etcd(false).unwrap();
    let answers = async || cluster.client().apiserver_version().await.ok();
    until("the API server answers again", PATIENCE, answers).await.unwrap();
    load.until_logged("the API server is slow: ").await;
}

/// More objects than can be decrypted while the API server restarts, and no controller yet.
async fn work_that_waits(access: &Access) -> FaultRun {
    let mut load = FaultRun::begin(access, &[]).await;
    load.controller.stop().await.unwrap();
    load.seal_copies(LOAD).await;
    load
}

/// The controller starts, creates its key, and begins to work as soon as the kind SealedSecret exists in this cluster.
async fn crd_that_comes_late(cluster: &Cluster) -> FaultRun {
    let installation = FaultRun::install(cluster.access(), &[]).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let name = "sealedsecrets.bitnami.com";
    let mut definition = definitions.get(name).await.unwrap();
    definitions.delete(name, &DeleteParams::default()).await.unwrap();
    let gone = async || definitions.get_opt(name).await.unwrap().is_none().then_some(());
    until("the CRD is gone", PATIENCE, gone).await.unwrap();
    let mut trial = FaultRun::with(cluster.access(), installation).await;
    trial.until_logged("watching SealedSecrets").await;
    definition.metadata = ObjectMeta {
        name: definition.metadata.name,
        annotations: definition.metadata.annotations,
        ..ObjectMeta::default()
    };
    definition.status = None;
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let served = async || sealed_secrets(cluster, "default").list(&ListParams::default()).await.ok();
    until("SealedSecrets are served", PATIENCE, served).await.unwrap();
    trial.seal("db").await;
    trial.until_converged("a CRD that comes late").await;
    trial
}

fn is_watch(path: &str) -> bool {
    path.contains("watch=")
}

async fn watch_expired(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.seal("before").await;
    trial.apply(trial.namespace(), "gone", CANARY).await;
    trial.until_converged("watch expired").await;
    trial.until_in_metrics("gone", true).await;
    trial.proxy.fail(|_, path| is_watch(path).then_some(Fault::Expired));
    trial.until_faults("watches expire", 4).await;
    trial.seal("meanwhile").await;
    // No watch event reports this: the object is missing in the next list.
    trial.delete("gone").await;
    trial.proxy.heal();
    trial.until_in_metrics("gone", false).await;
    let secrets = trial.secrets(trial.namespace());
    let collected = async || secrets.get_opt("gone").await.ok()?.is_none().then_some(());
    until("the garbage collector has taken the Secret of gone", PATIENCE, collected).await.unwrap();
    trial.seal("before").await;
    trial.until_converged("watch expired").await;
    trial
}

/// More conflicts than immediate retries of a status update, while another client writes the objects continuously.
async fn conflicts_on_status(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    let count = AtomicUsize::new(0);
    trial.proxy.fail(move |method, path| {
        let is_status = *method == Method::PUT && path.contains("/sealedsecrets/");
        let conflict = is_status && count.fetch_add(1, Ordering::SeqCst) < 30;
        conflict.then_some(Fault::Status(409))
    });
    trial.seal_many(3).await;
    let label = |number: i32| json!({"metadata": {"labels": {"written-by-others": number.to_string()}}});
    let objects = sealed_secrets(&trial.cluster, trial.namespace());
    for number in 0..100 {
        let change = Patch::Merge(label(number));
        objects.patch("many-0", &PatchParams::default(), &change).await.unwrap();
    }
    trial.until_faults("conflicts on status", 30).await;
    trial.until_converged("conflicts on status").await;
    trial
}

/// More conflicts in a row than immediate retries of a write.
async fn conflicts(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.seal("edited").await;
    trial.until_converged("conflicts").await;
    let count = AtomicUsize::new(0);
    trial.proxy.fail(move |method, _| {
        let conflict = *method == Method::PUT && count.fetch_add(1, Ordering::SeqCst) < 20;
        conflict.then_some(Fault::Status(409))
    });
    trial.seal("new").await;
    trial.seal("edited").await;
    trial.until_faults("conflicts", 20).await;
    trial.until_converged("conflicts").await;
    trial
}

async fn too_many_requests(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.proxy.fail(|_, path| (!is_watch(path)).then_some(Fault::Status(429)));
    trial.seal_many(5).await;
    trial.until_faults("429", 10).await;
    trial.proxy.heal();
    trial.until_converged("429").await;
    wait_that_is_asked_for(&mut trial).await;
    trial
}

/// The delay of `Retry-After` is respected: the times of requests for one Secret, of which the first is rejected.
async fn wait_that_is_asked_for(trial: &mut FaultRun) {
    const SECONDS: u32 = 3;
    let moments = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&moments);
    trial.proxy.fail(move |method, path| {
        let mut asked = asked.lock().unwrap();
        (*method == Method::POST && path.contains("/secrets")).then(|| asked.push(Instant::now()))?;
        (asked.len() == 1).then_some(Fault::RetryAfter(SECONDS))
    });
    trial.seal("patient").await;
    trial.until_converged("Retry-After").await;
    let moments = moments.lock().unwrap();
    let waited = moments[1].duration_since(moments[0]);
    assert!(waited >= Duration::from_secs(SECONDS.into()), "asked again after {waited:?}");
}

/// The peer has vanished without closing connections: watches end, and requests are repeated, without intervention.
async fn silence(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.seal("edited").await;
    trial.until_converged("silence").await;
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    trial.proxy.fail(move |method, _| {
        let silent = *method == Method::POST && asked.fetch_add(1, Ordering::SeqCst) < 2;
        silent.then_some(Fault::Silence)
    });
    trial.proxy.freeze();
    let (namespace, nothing) = (trial.namespace().to_owned(), DeleteParams::default());
    trial.secrets(&namespace).delete("edited", &nothing).await.unwrap();
    trial.seal("new").await;
    trial.until_faults("silence", 2).await;
    let again = async || (count.load(Ordering::SeqCst) >= 4).then_some(());
    until("what was silent is asked again", PATIENCE, again).await.unwrap();
    trial.until_converged("silence").await;
    trial
}

async fn keys_deleted_relabelled_and_corrupt(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.seal("db").await;
    trial.until_converged("keys").await;
    let (own, secrets) = (trial.controller.certificate().await.unwrap(), trial.secrets(trial.namespace()));
    let active = ListParams::default().labels(&format!("{LABEL}=active"));
    let key = secrets.list(&active).await.unwrap().items.remove(0);
    secrets.delete(&key.name_any(), &DeleteParams::default()).await.unwrap();
    let replaced = async || {
        trial.controller.certificate().await.ok().filter(|served| served.contains("BEGIN") && *served != own)
    };
    until("another key leads", PATIENCE, replaced).await.unwrap();
    let corrupt = json!({
        "metadata": {"name": "corrupt", "labels": {LABEL: "active"}},
        "stringData": {"tls.key": "-----BEGIN PRIVATE KEY-----", "tls.crt": CANARY}
    });
    let corrupt: Secret = serde_json::from_value(corrupt).unwrap();
    secrets.create(&PostParams::default(), &corrupt).await.unwrap();
    trial.until_logged("name=corrupt").await;
    // Items for the old key are decrypted when it comes back, under any name.
    trial.seal("waits").await;
    let mut restored = Secret { metadata: ObjectMeta::default(), ..key };
    restored.metadata.name = Some("restored".to_owned());
    restored.metadata.labels = Some([(LABEL.to_owned(), "compromised".to_owned())].into());
    secrets.create(&PostParams::default(), &restored).await.unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {LABEL: "active"}}}));
    secrets.patch("restored", &PatchParams::default(), &label).await.unwrap();
    trial.until_converged("keys").await;
    trial.keys = 3;
    trial
}

/// The API server refuses connections when the controller starts, then returns errors: the controller waits, and needs no
/// restart.
async fn api_server_down_at_start(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.controller.stop().await.unwrap();
    trial.seal("db").await;
    trial.proxy.close().await;
    trial.spawn_again().await;
    trial.until_logged("watching SealedSecrets: ").await;
    trial.proxy.fail(|_, _| Some(Fault::Status(503)));
    trial.proxy.open().await.unwrap();
    trial.until_faults("the API server is down", 5).await;
    trial.proxy.heal();
    trial.until_converged("API server down at start").await;
    trial
}

/// Two controllers on the same objects with the same keys.
async fn two_at_once(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.start_another().await;
    trial.seal_copies(50).await;
    trial.until_converged("two at once").await;
    let secrets = trial.secrets(trial.namespace());
    for number in 0..10 {
        secrets.delete(&format!("copy-{number}"), &DeleteParams::default()).await.unwrap();
    }
    trial.seal("later").await;
    trial.until_converged("two at once").await;
    trial
}

/// An old key that the flags alone would rotate at once, if the policy were lost for a moment.
async fn old_key_that_others_renew(access: &Access) -> FaultRun {
    let installation = FaultRun::install(access, &[]).await;
    let cluster = Cluster::at(access).await.unwrap();
    let policies = Api::namespaced(cluster.client(), installation.namespace());
    apply_policy(&policies, "default", &json!({"keySource": "External"})).await;
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    let old = key_secret("old", "active", Timestamp::now() - SignedDuration::from_hours(40 * 24));
    secrets.create(&PostParams::default(), &old).await.unwrap();
    let mut trial = FaultRun::with(access, installation).await;
    trial.seal("db").await;
    trial.until_converged("old key").await;
    trial
}

/// SIGTERM while a write is waiting for its response.
async fn stopped_in_the_middle(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    let count = AtomicUsize::new(0);
    trial.proxy.fail(move |method, path| {
        let is_secret = *method == Method::POST && path.contains("/secrets");
        (is_secret && count.fetch_add(1, Ordering::SeqCst) == 2).then_some(Fault::Unanswered)
    });
    trial.seal_many(10).await;
    trial.until_faults("SIGTERM", 1).await;
    trial.controller.stop().await.unwrap();
    trial.proxy.heal();
    trial.start_again().await;
    trial.until_converged("SIGTERM").await;
    trial
}

/// SIGKILL just before and just after each kind of write.
async fn killed_at_every_write(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    for fault in [Fault::Silence, Fault::Unanswered] {
        for (kind, method, part) in [
            ("secret", Method::POST, "/secrets"),
            ("event", Method::POST, "/events"),
            ("status", Method::PUT, "/sealedsecrets/"),
            ("repair", Method::PUT, "/secrets/"),
        ] {
            let what = format!("SIGKILL at {kind}, {fault:?}");
            let edited = method == Method::PUT && kind == "repair";
            trial.proxy.fail(move |asked, path| (*asked == method && path.contains(part)).then_some(fault));
            if edited {
                trial.edit_secret("before").await;
            } else {
                trial.seal(&format!("{kind}-{fault:?}").to_lowercase()).await;
            }
            trial.until_faults(&what, 1).await;
            trial.controller.process().kill();
            trial.proxy.heal();
            trial.start_again().await;
            trial.seal("before").await;
            trial.until_converged(&what).await;
        }
    }
    trial
}

async fn permissions_revoked(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    trial.seal("edited").await;
    trial.until_converged("permissions").await;
    let bindings: Api<RoleBinding> = Api::namespaced(trial.cluster.client(), trial.namespace());
    let binding = bindings.get(BINDING).await.unwrap();
    bindings.delete(BINDING, &DeleteParams::default()).await.unwrap();
    trial.seal("new").await;
    trial.seal("edited").await;
    trial.until_logged("orbidden").await;
    trial.until_ready("permissions", false).await;
    let restored = RoleBinding {
        metadata: ObjectMeta { name: Some(BINDING.to_owned()), ..ObjectMeta::default() },
        ..binding
    };
    bindings.create(&PostParams::default(), &restored).await.unwrap();
    trial.until_ready("permissions", true).await;
    trial.until_converged("permissions").await;
    trial
}

/// A namespace is deleted while objects are created in it, and created again. Other namespaces are not affected.
async fn namespace_terminating(access: &Access) -> FaultRun {
    let cluster = Cluster::at(access).await.unwrap();
    let other = cluster.namespace("terminating").await.unwrap();
    let mut trial = FaultRun::begin(access, &[&other]).await;
    trial.seal("db").await;
    trial.seal_in(&other, "db").await;
    trial.until_converged("namespace").await;
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client(), &other);
    let binding = bindings.get(BINDING).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    namespaces.delete(&other, &DeleteParams::default()).await.unwrap();
    trial.forget(&other);
    trial.seal("meanwhile").await;
    let gone = async || namespaces.get_opt(&other).await.unwrap().is_none().then_some(());
    until("the namespace is gone", PATIENCE, gone).await.unwrap();
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let again = Namespace { metadata: named(&other), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &again).await.unwrap();
    let restored = RoleBinding { metadata: named(BINDING), ..binding };
    bindings.create(&PostParams::default(), &restored).await.unwrap();
    trial.seal_in(&other, "again").await;
    trial.until_converged("namespace").await;
    trial
}

async fn secret_too_large(access: &Access) -> FaultRun {
    let mut trial = FaultRun::begin(access, &[]).await;
    let value = format!("{CANARY}{}", "x".repeat(1_060_000));
    trial.apply(trial.namespace(), "large", &value).await;
    trial.hopeless.push("large".to_owned());
    trial.seal("small").await;
    trial.until_converged("too large").await;
    trial
}
