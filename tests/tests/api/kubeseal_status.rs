//! `kubeseal status` lists what needs attention, as the controllers write it.

use futures::StreamExt as _;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_crds::{SEALED_SECRET_CRD_YAML, SealingKeyPhase};
use sealed_secrets_tests::{Cluster, Edition, Kubeseal, Output, until};
use serde_json::{Value, json};

use crate::key_scene::KeyScene;
use crate::scene::{CANARY, seal_with};
use crate::support::{PATIENCE, apply_sealed, install_crd, sealed_secrets, secret_manifest, until_secret};

/// The names, fields and columns of upstream's CRD.
const UPSTREAM_CRD: &str = include_str!("../data/existing-cluster/crd.yaml");
const OTHER_CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");
/// More than two pages of a list.
const MANY: usize = 1_100;

fn run(cluster: &Cluster, line: &str) -> Output {
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(cluster.kubeconfig());
    kubeseal.run(&line.split_whitespace().collect::<Vec<_>>(), "").unwrap()
}

fn ran(output: &Output, code: i32) -> (&str, &str) {
    assert_eq!(output.status.code(), Some(code), "{}{}", output.stdout, output.stderr);
    (&output.stdout, &output.stderr)
}

fn objects(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    report["objects"].as_array().unwrap().clone()
}

fn secret(namespace: &str, name: &str) -> Value {
    secret_manifest(namespace, name, "password", CANARY)
}

/// One of two objects needs the key, and the keys of the other are not known.
fn assert_needed_by(users: &Output, object: &str) {
    let (text, told) = ran(users, 1);
    assert!(text.ends_with(&format!("{object}  1\n")), "{text}");
    assert!(told.contains("1 of 2 SealedSecrets need SHA256:"), "{told}");
    assert!(told.contains("the keys of 1 of 2 SealedSecrets are not known"), "{told}");
}

#[tokio::test]
async fn objects_that_are_stale_or_not_decrypted_are_listed_with_the_controllers_reason() {
    let mut scene = KeyScene::set().await;
    let namespace = scene.0.namespace().to_owned();
    let cluster = Cluster::at(scene.0.cluster.access()).await.unwrap();
    let status = |more: &str| {
        run(&cluster, &format!("status -n {namespace} --controller-namespace {namespace} {more}"))
    };
    assert_eq!(ran(&status(""), 0), ("", "there are no SealedSecrets\n"));
    scene.0.opened("db").await;
    assert_eq!(ran(&status(""), 0), ("", "the SealedSecret needs no attention\n"));
    let all = status("--all");
    let (text, _) = ran(&all, 0);
    assert!(text.starts_with("NAME ") && text.contains(&format!("{namespace}/db  True")), "{text}");

    // The key is rotated: the object is stale until it is sealed again.
    let first =
        SealingCertificate::from_pem(scene.controller().certificate().await.unwrap().as_bytes()).unwrap();
    let first = first.fingerprint().to_string();
    scene.0.new_key().await;
    let stale = async || Some(status("")).filter(|output| output.stdout.contains("Stale"));
    let stale = until("db is stale", PATIENCE, stale).await.unwrap();
    let (text, told) = ran(&stale, 3);
    assert!(
        text.contains(&format!(
            "{namespace}/db  True    Stale  1 of 1 items are not sealed with the current key"
        )),
        "{text}"
    );
    assert_eq!(told, "1 of 1 SealedSecrets need attention\n");

    // One that no key decrypts.
    scene.0.create(&seal_with(OTHER_CERTIFICATE, &secret(&namespace, "broken"))).await;
    let message = scene.0.until_synced("broken", "False").await;
    let found = objects(&status("-o json"));
    let names: Vec<&Value> = found.iter().map(|object| &object["name"]).collect();
    assert_eq!(names, ["broken", "db"]);
    assert_eq!(
        (&found[0]["synced"], &found[0]["message"], &found[0]["keys"]),
        (&json!("False"), &json!(message), &json!([]))
    );
    assert_eq!((&found[1]["stale"], &found[1]["compromised"]), (&json!(true), &json!(false)));
    assert_eq!(found[1]["keys"], json!([{"fingerprint": first, "items": 1}]));
    assert_eq!(objects(&status("-o json broken")).len(), 1);
    ran(&status("-o yaml"), 3);

    // The objects that need a key, by its name and by its fingerprint.
    let names = scene.until_keys(2).await;
    // A key seals before it has its SealingKey.
    scene.until_phase(&names[1], SealingKeyPhase::Primary).await;
    for key in [names[0].as_str(), &first, &first[..23]] {
        assert_needed_by(&status(&format!("--key {key}")), &format!("{namespace}/db"));
    }
    scene.0.sealed_secrets().delete("broken", &kube::api::DeleteParams::default()).await.unwrap();
    let users = status(&format!("--key {}", names[0]));
    assert!(ran(&users, 0).1.contains("1 of 1 SealedSecrets need SHA256:"), "{}", users.stderr);
    let users = status(&format!("--key {}", names[1]));
    let (text, told) = ran(&users, 0);
    assert!(
        text.is_empty()
            && told.contains("0 of 1 SealedSecrets need SHA256:")
            && told.ends_with("with 0 items\n"),
        "{told}"
    );
    let missing = status("--key nothing");
    assert!(ran(&missing, 1).1.contains("no sealing key \"nothing\""), "{}", missing.stderr);
    let missing = status("gone");
    assert!(ran(&missing, 1).1.contains("\"gone\" not found"), "{}", missing.stderr);
}

#[tokio::test]
async fn with_upstreams_crd_and_controller_missing_key_usage_is_reported_once() {
    let cluster = Cluster::own().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    install_crd(&cluster, UPSTREAM_CRD).await;
    let namespace = installation.namespace().to_owned();
    let controller = installation.start(Edition::Upstream, &[]).await.unwrap();
    let certificate = controller.certificate().await.unwrap();
    for name in ["db", "api"] {
        apply_sealed(&cluster, &seal_with(&certificate, &secret(&namespace, name)).to_string()).await;
        until_secret(&cluster, &namespace, name, &[("password", CANARY)]).await;
    }
    let status = |more: &str| run(&cluster, &format!("status -n {namespace} {more}"));
    let synced = async || Some(status("")).filter(|output| output.status.code() == Some(0));
    let synced = until("upstream's controller has written the status", PATIENCE, synced).await.unwrap();
    let (text, told) = ran(&synced, 0);
    assert_eq!(text, "");
    assert_eq!(told.matches("warning: this controller does not record which keys").count(), 1, "{told}");
    assert!(told.ends_with("2 SealedSecrets, and none needs attention\n"), "{told}");
    let key = SealingCertificate::from_pem(certificate.as_bytes()).unwrap().fingerprint().to_string();
    let users = status(&format!("--key {key}"));
    assert!(ran(&users, 1).1.contains("the keys of 2 of 2 SealedSecrets are not known"), "{}", users.stderr);
    apply_sealed(&cluster, &seal_with(OTHER_CERTIFICATE, &secret(&namespace, "broken")).to_string()).await;
    let failed = async || {
        Some(status("-o json"))
            .filter(|output| objects(output).iter().any(|object| object["synced"] == "False"))
    };
    let failed = until("upstream's controller says that broken is broken", PATIENCE, failed).await.unwrap();
    ran(&failed, 3);
    assert!(
        objects(&failed)[0]["message"].as_str().unwrap().contains("no key could decrypt secret"),
        "{}",
        failed.stdout
    );
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let cluster = Cluster::shared().await.unwrap();
    // It installs the kind; no controller runs.
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let namespace = installation.namespace().to_owned();
    let api = sealed_secrets(&cluster, &namespace);
    let create = async |number: usize| {
        let object = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": format!("s{number:04}")},
            "spec": {"encryptedData": {}}
        });
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    };
    futures::stream::iter(0..MANY).map(create).buffer_unordered(20).collect::<Vec<()>>().await;
    let output = run(&cluster, &format!("status -n {namespace} -o json"));
    let (_, told) = ran(&output, 3);
    assert_eq!(told, format!("{MANY} of {MANY} SealedSecrets need attention\n"));
    let found = objects(&output);
    let names: Vec<String> = found.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (0..MANY).map(|number| format!("s{number:04}")).collect::<Vec<_>>());
    assert!(found.iter().all(|object| object["synced"] == "Unknown"));
}

/// Lets a user read the SealedSecrets of a namespace, and nothing else.
async fn let_read(cluster: &Cluster, namespace: &str, user: &str) {
    let roles: Api<Role> = Api::namespaced(cluster.client(), namespace);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets"], "verbs": ["get", "list"]}]
    });
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client(), namespace);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    });
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_sees_the_objects_of_its_namespace_and_learns_which_right_is_missing() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let (own, other) = (installation.namespace().to_owned(), cluster.namespace("other").await.unwrap());
    for namespace in [&own, &other] {
        let object = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "db"}, "spec": {"encryptedData": {}}
        });
        let api = sealed_secrets(&cluster, namespace);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let tenant = format!("tenant-of-{own}");
    let_read(&cluster, &own, &tenant).await;
    let status = |more: &str| run(&cluster, &format!("status --as {tenant} {more}"));
    let can_read =
        async || Some(status(&format!("-n {own} -o json"))).filter(|output| output.status.code() == Some(3));
    let seen = until("the tenant may read", PATIENCE, can_read).await.unwrap();
    assert_eq!(objects(&seen).len(), 1);
    for (line, place) in [
        (format!("-n {other}"), format!("in the namespace \"{other}\"")),
        ("-A".to_owned(), "at the cluster scope".to_owned()),
        (format!("-n {other} db"), format!("in the namespace \"{other}\"")),
    ] {
        let refused = status(&line);
        let (text, told) = ran(&refused, 1);
        assert_eq!(text, "");
        assert!(
            told.starts_with("error: cannot read SealedSecrets from https://") && told.contains(&place),
            "{line}: {told}"
        );
        assert!(told.contains(&tenant), "{line}: {told}");
    }
    // The administrator sees both.
    let all = run(&cluster, "status -A -o json");
    ran(&all, 3);
    for namespace in [&own, &other] {
        assert!(objects(&all).iter().any(|object| object["namespace"] == **namespace));
    }
}

#[tokio::test]
async fn without_the_kind_or_the_server_the_cause_and_the_address_are_reported() {
    let cluster = Cluster::own().await.unwrap();
    let missing = run(&cluster, "status -A");
    let (text, told) = ran(&missing, 1);
    assert_eq!(text, "");
    assert!(
        told.contains("https://")
            && told.contains("the API server does not know them; their CRD is not installed"),
        "{told}"
    );
    install_crd(&cluster, SEALED_SECRET_CRD_YAML).await;
    assert_eq!(ran(&run(&cluster, "status -A"), 0).1, "there are no SealedSecrets\n");
    let away = run(&cluster, "status -A --server https://127.0.0.1:1");
    assert!(
        ran(&away, 1).1.starts_with("error: cannot read SealedSecrets from https://127.0.0.1:1: "),
        "{}",
        away.stderr
    );
}
