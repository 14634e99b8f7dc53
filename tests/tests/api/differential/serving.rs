//! Both kubeseals against a running controller: the original's and ours.

use std::path::Path;

use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Kubeseal};
use serde_json::{Value, json};

use super::case::Case;
use super::online::{ONLINE, ONLINE_WITH_OUR_CONTROLLER, ONLINE_WITH_UPSTREAMS_CONTROLLER};
use super::{Setting, compare, files};

/// The Secret of `own.json` and `own.yaml`, with a template that a controller could render.
const SECRET: &str =
    "kind: Secret\nmetadata: {name: db, namespace: shop, labels: {team: a}}\nstringData: {a: x, b: y}\n";
const TEMPLATE: &str = "  template: # kept\n    data:\n      url: 'x://{{ .a }}' # kept too\n";

/// Files sealed for this controller, by upstream's kubeseal.
fn own_files(certificate: &str) -> Vec<(&'static str, String)> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.crt"), certificate).unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap().in_folder(folder.path().to_owned());
    let sealed =
        |format: &str| kubeseal.run(&["--cert", "own.crt", "-o", format], SECRET).unwrap().ok().unwrap();
    let yaml = sealed("yaml");
    let commented = yaml.replace("---\n", "# first\n").replace("  template:\n", TEMPLATE);
    vec![
        ("own.crt", certificate.to_owned()),
        ("own.json", sealed("json")),
        ("own.yaml", yaml.clone()),
        ("own-v1.yaml", files::v1_file(certificate)),
        ("commented.yaml", commented),
        ("mixed.yaml", format!("{yaml}---\n{}", files::SEALED_YAML)),
    ]
}

/// A kubeconfig whose context is for `user`.
fn kubeconfig(cluster: &Value, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "fromctx"}}],
    });
    config.to_string()
}

/// Kubeconfigs with all kinds of credentials that kubectl supports: the files of the folder.
fn kubeconfigs(cluster: &Cluster, token: &str) -> Vec<(&'static str, String)> {
    let access = cluster.access();
    let authority = std::fs::read(access.authority()).unwrap();
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority);
    let server = json!({"server": access.url(), "certificate-authority-data": data});
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}
    });
    let plugin = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "sh", "args": ["plugin.sh"], "env": [{"name": "CREDENTIAL", "value": credential.to_string()}],
    }});
    let failing = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "false",
    }});
    let first = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": null,
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "fromlist"}}],
    });
    let foreign = json!({"server": access.url(), "certificate-authority": "t.crt"});
    let named = json!({"server": access.url(), "certificate-authority-data": data, "tls-server-name": "kubernetes.default.svc"});
    vec![
        ("token", token.to_owned()),
        ("plugin.sh", "printf %s \"$CREDENTIAL\"\n".to_owned()),
        ("token.config", kubeconfig(&server, &json!({"token": token}))),
        ("tokenfile.config", kubeconfig(&server, &json!({"token": "stale", "tokenFile": "token"}))),
        ("exec.config", kubeconfig(&server, &plugin)),
        ("failing.config", kubeconfig(&server, &failing)),
        ("wrong.config", kubeconfig(&server, &json!({"token": "wrong"}))),
        ("basic.config", kubeconfig(&server, &json!({"username": "u", "password": "p"}))),
        ("nobody.config", kubeconfig(&server, &json!({}))),
        ("foreign.config", kubeconfig(&foreign, &json!({"token": token}))),
        ("named.config", kubeconfig(&named, &json!({"token": token}))),
        ("first.config", first.to_string()),
    ]
}

async fn compare_with(edition: Edition, cases: &'static [&'static [Case]]) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let serving: ControllerProcess = installation.start(edition, &[]).await.unwrap();
    let certificate = serving.certificate().await.unwrap();
    let token = std::fs::read_to_string(serving.account().join("token")).unwrap();
    let namespace = installation.namespace().to_owned();
    let compared = tokio::task::spawn_blocking(move || {
        let mut files = files::files();
        files.extend(own_files(&certificate));
        files.extend(kubeconfigs(&cluster, &token));
        let file = cluster.kubeconfig();
        let kubeconfig: Option<&Path> = Some(&file);
        let setting = Setting { files, kubeconfig, arguments: vec!["--controller-namespace", &namespace] };
        compare(cases.iter().copied().flatten(), &setting);
    });
    compared.await.unwrap();
}

#[tokio::test]
async fn both_kubeseals_do_the_same_with_upstreams_controller() {
    compare_with(Edition::Upstream, &[ONLINE, ONLINE_WITH_UPSTREAMS_CONTROLLER]).await;
}

#[tokio::test]
async fn both_kubeseals_do_the_same_with_our_controller_in_place_of_upstreams() {
    compare_with(Edition::Ours, &[ONLINE, ONLINE_WITH_OUR_CONTROLLER]).await;
}
