//! The key Secrets: created once, adopted from the original, watched, and validated.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize, SealingCertificate};
use sealed_secrets_tests::{Cluster, DEFAULT_KEY_SIZE, Edition, until};
use serde_json::{Value, json};

use crate::key_scene::LABEL;
use crate::scene::{CANARY, Scene, seal_with};
use crate::support::PATIENCE;

const EC_KEY: &str = include_str!("../../../core/tests/data/ec-sec1.pem");
const KEY: &str = include_str!("../../../core/tests/data/rsa2048-pkcs1.pem");
const CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

fn key_secret(name: &str, key: &str, certificate: &str) -> Secret {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "labels": {LABEL: "active"}},
        "stringData": {"tls.key": key, "tls.crt": certificate}
    });
    serde_json::from_value(secret).unwrap()
}

/// The number of log lines that say of this key Secret that it cannot be used because of `problem`.
fn times_unusable(scene: &Scene, name: &str, problem: &str) -> usize {
    let text = format!("the key Secret cannot be used: {problem}");
    let object = format!("namespace={} name={name}", scene.namespace());
    let log = scene.controller.log();
    log.lines().filter(|line| line.contains(&text) && line.ends_with(&object)).count()
}

async fn active_keys(scene: &Scene) -> Vec<Secret> {
    scene.secrets().list(&ListParams::default().labels(&format!("{LABEL}=active"))).await.unwrap().items
}

async fn relabel(scene: &Scene, name: &str, value: &str) {
    let change: Value = json!({"metadata": {"labels": {LABEL: value}}});
    scene.secrets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

#[tokio::test]
async fn the_first_key_is_one_secret_that_upstream_reads_and_nobody_can_alter() {
    let scene = Scene::of_default_keys().await;
    let certificate = scene.controller.certificate().await.unwrap();
    let certificate = SealingCertificate::from_pem(certificate.as_bytes()).unwrap();
    assert_eq!(certificate.public_key().block_len() * 8, 4096);
    let keys = active_keys(&scene).await;
    let [key] = keys.as_slice() else { panic!("one key, not {}", keys.len()) };
    assert_eq!(key.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(key.immutable, Some(true));
    assert!(key.owner_references().is_empty());
    let suffix = key.name_any().strip_prefix("sealed-secrets-key").unwrap().to_owned();
    assert!(
        suffix.len() == 8
            && suffix.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)),
        "{suffix}"
    );
    let pem = String::from_utf8(key.data.as_ref().unwrap()["tls.key"].0.clone()).unwrap();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(!scene.controller.log().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn three_controllers_that_start_together_make_one_key() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let start = || installation.start(Edition::Ours, &[]);
    let (one, two, three) = tokio::join!(start(), start(), start());
    let controllers = [one.unwrap(), two.unwrap(), three.unwrap()];
    let certificate = controllers[0].certificate().await.unwrap();
    for controller in &controllers {
        assert_eq!(controller.certificate().await.unwrap(), certificate);
    }
    let [controller, ..] = controllers;
    let scene = Scene { cluster, installation, controller };
    assert_eq!(active_keys(&scene).await.len(), 1);
}

#[tokio::test]
async fn broken_key_secrets_are_named_and_passed_over() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    let mismatched = KeyPair::generate(KeySize::Rsa2048).unwrap().expose_pkcs1_pem().unwrap();
    let broken = [
        key_secret("rubbish", "not a key", CERTIFICATE),
        key_secret("elliptic", EC_KEY, CERTIFICATE),
        key_secret("mismatched", &mismatched, CERTIFICATE),
        key_secret("no-key", "", CERTIFICATE),
    ];
    for secret in &broken {
        secrets.create(&PostParams::default(), secret).await.unwrap();
    }
    secrets.create(&PostParams::default(), &key_secret("good", KEY, CERTIFICATE)).await.unwrap();
    let scene = Scene::start(cluster, installation, &["--key-renew-period=0"]).await;
    for (name, problem) in [
        ("rubbish", "field data[\"tls.key\"]: no PEM private key found"),
        ("elliptic", "field data[\"tls.key\"]: private key is not an RSA key"),
        ("mismatched", "field data[\"tls.crt\"] does not match the private key"),
        ("no-key", "field data[\"tls.key\"] is missing"),
    ] {
        let is_logged = async || (times_unusable(&scene, name, problem) == 1).then_some(());
        until("the problem is logged", PATIENCE, is_logged).await.unwrap();
    }
    assert_eq!(scene.controller.certificate().await.unwrap(), CERTIFICATE, "the good key leads");
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    assert_eq!(active_keys(&scene).await.len(), 5, "no key was made beside the good one");
}

#[tokio::test]
async fn a_broken_key_secret_is_reported_once_per_version_and_listed_while_it_exists() {
    let scene = Scene::set().await;
    let create =
        async |secret: Secret| drop(scene.secrets().create(&PostParams::default(), &secret).await.unwrap());
    create(key_secret("rubbish", "not a key", CERTIFICATE)).await;
    let times = || times_unusable(&scene, "rubbish", "field data[\"tls.key\"]: no PEM private key found");
    until("it is logged", PATIENCE, async || (times() == 1).then_some(())).await.unwrap();
    assert!(scene.until_event("rubbish", "KeyUnreadable").await.contains("no PEM private key found"));
    let shown = "key_info{name=\"rubbish\",fingerprint=\"\",phase=\"Unreadable\"} 1";
    assert!(scene.controller.metrics().await.unwrap().contains(shown));

    create(key_secret("added", KEY, CERTIFICATE)).await;
    scene.until_logged("keys=2").await;
    assert_eq!(times(), 1);
    let touched = Patch::Merge(json!({"metadata": {"annotations": {"touched": "yes"}}}));
    scene.secrets().patch("rubbish", &PatchParams::default(), &touched).await.unwrap();
    until("it is told again", PATIENCE, async || (times() == 2).then_some(())).await.unwrap();

    scene.secrets().delete("rubbish", &DeleteParams::default()).await.unwrap();
    let gone = async || (!scene.controller.metrics().await.unwrap().contains(shown)).then_some(());
    until("it is shown no more", PATIENCE, gone).await.unwrap();
    assert_eq!(times(), 2);
}

#[tokio::test]
async fn a_key_that_is_added_live_unseals_the_objects_that_waited_for_it() {
    let scene = Scene::with(&[DEFAULT_KEY_SIZE]).await;
    scene.create(&seal_with(CERTIFICATE, &scene.secret("db", "password", CANARY))).await;
    assert_eq!(
        scene.until_synced("db", "False").await,
        "no key could decrypt secret (password)\n\
         spec.encryptedData[\"password\"]: it is sealed for a key of 2048 bits, and no key of this cluster has that size"
    );
    scene.secrets().create(&PostParams::default(), &key_secret("added", KEY, CERTIFICATE)).await.unwrap();
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn a_key_that_is_relabelled_leaves_the_ring_and_comes_back() {
    let scene = Scene::set().await;
    let own = scene.controller.certificate().await.unwrap();
    let name = active_keys(&scene).await[0].name_any();
    relabel(&scene, &name, "compromised").await;
    let replaced = async || {
        scene.controller.certificate().await.ok().filter(|served| served.contains("BEGIN") && *served != own)
    };
    until("another key leads", PATIENCE, replaced).await.unwrap();
    scene.create(&seal_with(&own, &scene.secret("db", "password", CANARY))).await;
    scene.until_synced("db", "False").await;
    relabel(&scene, &name, "active").await;
    scene.until_synced("db", "True").await;
}

async fn unseal_requests(scene: &Scene) -> Option<String> {
    let page = scene.controller.metrics().await.unwrap();
    let line =
        page.lines().find(|line| line.starts_with("sealed_secrets_controller_unseal_requests_total "))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

#[tokio::test]
async fn a_key_that_is_added_causes_no_second_decryption() {
    let scene = Scene::set().await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_synced("db", "True").await;
    scene.secrets().create(&PostParams::default(), &key_secret("added", KEY, CERTIFICATE)).await.unwrap();
    scene.until_logged("keys=2").await;
    scene.create(&seal_with(CERTIFICATE, &scene.secret("later", "password", CANARY))).await;
    scene.until_synced("later", "True").await;
    assert_eq!(unseal_requests(&scene).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_compromised_key_gets_a_successor_although_an_older_one_is_there() {
    let scene = Scene::set().await;
    let first = active_keys(&scene).await[0].name_any();
    let elder = elder_key(&scene, &first).await;
    relabel(&scene, &first, "compromised").await;
    let replaced = async || {
        let active: Vec<_> = active_keys(&scene).await.iter().map(kube::ResourceExt::name_any).collect();
        (active.len() == 2 && active.contains(&elder)).then_some(active)
    };
    let active = until("a successor is made", PATIENCE, replaced).await.unwrap();
    let successor = active.into_iter().find(|name| *name != elder).unwrap();
    let served = async || {
        let certificate = scene.controller.certificate().await.ok()?;
        let secret = scene.secrets().get(&successor).await.unwrap();
        (certificate.into_bytes() == secret.data.unwrap()["tls.crt"].0).then_some(())
    };
    until("the successor is offered", PATIENCE, served).await.unwrap();
}

/// Creates another active key, with a validity that begins an hour before that of the key in the Secret `than`. Returns the name
/// of its Secret.
async fn elder_key(scene: &Scene, than: &str) -> String {
    let pem = scene.secrets().get(than).await.unwrap().data.unwrap()["tls.crt"].0.clone();
    let young = SealingCertificate::from_pem(&pem).unwrap();
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: young.not_before() - SignedDuration::from_hours(1),
        validity: SignedDuration::from_hours(24),
        serial: [7; 16],
    };
    let certificate = request.self_sign(&key).unwrap();
    let secret = key_secret("elder", &key.expose_pkcs1_pem().unwrap(), certificate.pem());
    scene.secrets().create(&PostParams::default(), &secret).await.unwrap();
    "elder".to_owned()
}

#[tokio::test]
async fn an_object_that_needs_a_removed_key_is_reported_and_its_secret_stays() {
    let scene = Scene::set().await;
    let name = active_keys(&scene).await[0].name_any();
    scene.secrets().create(&PostParams::default(), &key_secret("added", KEY, CERTIFICATE)).await.unwrap();
    scene.create(&seal_with(CERTIFICATE, &scene.secret("on-added", "password", CANARY))).await;
    scene.seal_and_create(&scene.secret("on-first", "password", CANARY)).await;
    for object in ["on-added", "on-first"] {
        scene.until_synced(object, "True").await;
    }
    let before = scene.secrets().get("on-first").await.unwrap();
    relabel(&scene, &name, "compromised").await;
    scene.until_synced("on-first", "False").await;
    scene.until_synced("on-added", "True").await;
    assert_eq!(scene.secrets().get("on-first").await.unwrap().data, before.data);
    relabel(&scene, &name, "active").await;
    scene.until_synced("on-first", "True").await;
}

/// Revokes the controller's permission to watch Secrets, which some installations of the original lack.
pub(crate) async fn without_watch_on_secrets(cluster: &Cluster, namespace: &str) {
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client(), namespace);
    let bound = bindings.list(&ListParams::default()).await.unwrap().items;
    let accounts =
        |binding: &&RoleBinding| binding.subjects.iter().flatten().any(|who| who.kind == "ServiceAccount");
    let subjects = bound.iter().find(accounts).unwrap().subjects.clone();
    for binding in bound.iter().filter(accounts) {
        bindings.delete(&binding.name_any(), &DeleteParams::default()).await.unwrap();
    }
    let role = json!({
        "metadata": {"name": "no-watch"},
        "rules": [
            {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets/status"], "verbs": ["update"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}
        ]
    });
    let role: Role = serde_json::from_value(role).unwrap();
    let roles: Api<Role> = Api::namespaced(cluster.client(), namespace);
    roles.create(&PostParams::default(), &role).await.unwrap();
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "no-watch"});
    let binding = json!({"metadata": {"name": "no-watch"}, "roleRef": role_ref, "subjects": subjects});
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

#[tokio::test]
async fn keys_are_listed_once_more_before_a_failed_decryption_is_reported() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    without_watch_on_secrets(&cluster, installation.namespace()).await;
    let scene = Scene::start(cluster, installation, &[]).await;
    scene.until_logged("the permission to watch key Secrets is missing").await;
    scene.secrets().create(&PostParams::default(), &key_secret("unseen", KEY, CERTIFICATE)).await.unwrap();
    scene.create(&seal_with(CERTIFICATE, &scene.secret("db", "password", CANARY))).await;
    scene.until_synced("db", "True").await;
    assert!(!scene.controller.log().contains("no key could decrypt"), "it was told before");
}
