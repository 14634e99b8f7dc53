//! The namespace of a Secret that names none.

use tempfile::TempDir;

use crate::run::{CERTIFICATE, kubeseal};
use crate::workspace::{KEY, Workspace};

const HOMELESS: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {a: b}\n";
const CLUSTER: &str = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n";

/// Seals with this kubeconfig; returns exit code, stderr, and `true` if the output names `default`.
fn sealing(kubeconfig: &str, further: &[&str]) -> (Option<i32>, String, bool) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config"), kubeconfig).unwrap();
    let arguments = [&["--cert", CERTIFICATE, "--kubeconfig", "config"], further].concat();
    let ran = kubeseal(folder.path(), &arguments, HOMELESS.as_bytes());
    (ran.code, ran.stderr, ran.stdout.contains("\"namespace\": \"default\""))
}

#[test]
fn a_kubeconfig_that_leads_to_no_cluster_gives_no_namespace() {
    let context = "contexts: [{name: x, context: {cluster: c, namespace: elsewhere}}]\n";
    let configs = [
        String::new(),
        "# nothing\n".to_owned(),
        "apiVersion: v1\nkind: Config\n".to_owned(),
        CLUSTER.to_owned(),
        format!("{CLUSTER}contexts: []\ncurrent-context: ''\n"),
        format!("{CLUSTER}{context}"),
        format!("{context}current-context: x\n"),
        format!("clusters: [{{name: c, cluster: {{}}}}]\n{context}current-context: x\n"),
        format!("{CLUSTER}{context}current-context: y\n"),
    ];
    for config in configs {
        let expected = (Some(1), "error: secret must declare a namespace\n".to_owned(), false);
        assert_eq!(sealing(&config, &[]), expected, "{config}");
    }
    let folder = TempDir::new().unwrap();
    let null = ["--cert", CERTIFICATE, "--kubeconfig", "/dev/null"];
    let ran = kubeseal(folder.path(), &null, HOMELESS.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "error: secret must declare a namespace\n"));
}

#[test]
fn one_value_needs_a_namespace_in_the_words_of_the_original() {
    let folder = TempDir::new().unwrap();
    let raw = ["--raw", "--name", "app", "--cert", CERTIFICATE, "--kubeconfig", "/dev/null"];
    let ran = kubeseal(folder.path(), &raw, b"hunter2");
    let expected = "error: invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
}

#[test]
fn a_context_with_a_cluster_and_without_a_namespace_means_default() {
    let context = format!("{CLUSTER}contexts: [{{name: x, context: {{cluster: c}}}}]\ncurrent-context: x\n");
    assert_eq!(sealing(&context, &[]), (Some(0), String::new(), true));
    assert_eq!(sealing("", &["--server", "https://127.0.0.1:1"]), (Some(0), String::new(), true));
    assert_eq!(sealing(CLUSTER, &["--cluster", "c"]), (Some(0), String::new(), true));
}

#[test]
fn a_subcommand_takes_no_namespace_from_a_kubeconfig() {
    let config = format!(
        "{CLUSTER}contexts: [{{name: x, context: {{cluster: c, namespace: elsewhere}}}}]\ncurrent-context: x\n"
    );
    assert_eq!(sealing(&config, &["-o", "yaml"]).0, Some(0), "the flags take it");
    let workspace = Workspace::new();
    workspace.write("config", &config);
    workspace.write("plain.yaml", HOMELESS);
    let items = "spec:\n  encryptedData:\n    a: AgX\n";
    workspace.write("db.yaml", &format!("kind: SealedSecret\nmetadata: {{name: app}}\n{items}"));
    for line in [
        "create generic app --generate a --cert cert.pem".to_owned(),
        "create generic app --generate a -w new.yaml --cert cert.pem".to_owned(),
        "seal plain.yaml --cert cert.pem".to_owned(),
        "seal -i plain.yaml --cert cert.pem".to_owned(),
        "set db.yaml b --generate --cert cert.pem".to_owned(),
        format!("reencrypt db.yaml --private-key {KEY} --cert cert.pem"),
        format!("verify db.yaml --private-key {KEY}"),
        "verify db.yaml".to_owned(),
    ] {
        workspace.refused(&format!("{line} --kubeconfig config"), 2, "no namespace; the scope strict needs ");
    }
}
