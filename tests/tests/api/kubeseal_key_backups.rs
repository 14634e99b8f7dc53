//! `kubeseal keys backup` and `restore`: keys are removed from a cluster and restored, and decrypt their SealedSecrets again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::crypto::{KeyPair, KeySize};
use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Cluster, Edition, Kubeseal, Output};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::key_scene::LABEL;
use crate::kubeseal_keys::key_secrets;
use crate::support::{apply_sealed, secret, until_secret};

const KEY: &str = include_str!("../../../core/tests/data/rsa2048-pkcs1.pem");
const CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

struct Laptop {
    cluster: Cluster,
    folder: TempDir,
}

impl Laptop {
    async fn new() -> Self {
        Self { cluster: Cluster::shared().await.unwrap(), folder: TempDir::new().unwrap() }
    }

    fn run(&self, namespace: &str, line: &str) -> Output {
        let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(self.cluster.kubeconfig());
        let words = line.split_whitespace().chain(["--controller-namespace", namespace]);
        kubeseal.in_folder(self.folder.path().into()).run(&words.collect::<Vec<_>>(), "").unwrap()
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.cluster.client(), namespace)
    }

    async fn create(&self, namespace: &str, name: &str, label: Option<&str>, key: &str, certificate: &str) {
        let labels = label.map(|value| json!({LABEL: value}));
        let secret = json!({
            "metadata": {"name": name, "labels": labels, "annotations": {"example.com/note": "kept"}},
            "type": "kubernetes.io/tls", "stringData": {"tls.key": key, "tls.crt": certificate}
        });
        let secret = serde_json::from_value(secret).unwrap();
        self.secrets(namespace).create(&PostParams::default(), &secret).await.unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The parts of a Secret that a restore must reproduce.
fn essence(secret: &Secret) -> Value {
    let metadata = &secret.metadata;
    let mut annotations = metadata.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    json!([metadata.name, metadata.labels, annotations, secret.data, secret.type_, secret.immutable])
}

#[tokio::test]
async fn after_a_restore_upstreams_controller_of_another_cluster_decrypts_everything() {
    let laptop = Laptop::new().await;
    let here = laptop.cluster.install_namespaced(&[]).await.unwrap();
    let there = laptop.cluster.install_namespaced(&[]).await.unwrap();
    let controller = here.start(Edition::Ours, &["--key-size=2048"]).await.unwrap();
    let certificate = format!("http://{}/v1/cert.pem", controller.address());
    let input = secret(there.namespace(), "db", "password", "hunter2");
    let sealed =
        Kubeseal::of(Edition::Ours).unwrap().run(&["--cert", &certificate], &input).unwrap().ok().unwrap();

    let backup = laptop.run(here.namespace(), "keys backup -o keys.yaml");
    assert_eq!((backup.status.code(), backup.stdout.as_str()), (Some(0), ""), "{}", backup.stderr);
    assert!(backup.stderr.contains("1 sealing keys written to keys.yaml (mode 0600)"), "{}", backup.stderr);
    assert_eq!(mode(&laptop.folder.path().join("keys.yaml")), 0o600);
    let restored = laptop.run(there.namespace(), "keys restore keys.yaml").ok().unwrap();
    assert!(restored.ends_with("  restored\n") && !restored.contains("PRIVATE"), "{restored}");

    let _upstream = there.start(Edition::Upstream, &[]).await.unwrap();
    apply_sealed(&laptop.cluster, &sealed).await;
    until_secret(&laptop.cluster, there.namespace(), "db", &[("password", "hunter2")]).await;
    let keys = key_secrets(&laptop.cluster, there.namespace()).await;
    assert_eq!(keys.len(), 1, "upstream took the key that was restored, and made none");
    let (restored, original) = (&keys[0], &key_secrets(&laptop.cluster, here.namespace()).await[0]);
    assert_eq!(essence(restored), essence(original));
}

#[tokio::test]
async fn a_backup_holds_the_keys_of_every_phase_and_kubectl_puts_them_back_too() {
    let laptop = Laptop::new().await;
    let namespace = laptop.cluster.namespace("backup").await.unwrap();
    for (name, label) in [
        ("one", Some("active")),
        ("two", Some("pending")),
        ("three", Some("compromised")),
        ("four", Some("retired")),
        ("sealed-secrets-key", None),
    ] {
        laptop.create(&namespace, name, label, KEY, CERTIFICATE).await;
    }
    laptop.create(&namespace, "unrelated", None, KEY, CERTIFICATE).await;
    laptop.run(&namespace, "keys backup --output=keys.yaml").ok().unwrap();
    let text = std::fs::read_to_string(laptop.folder.path().join("keys.yaml")).unwrap();
    for absent in
        ["uid", "resourceVersion", "managedFields", "creationTimestamp", "ownerReferences", "unrelated"]
    {
        assert!(!text.contains(absent), "{absent}");
    }

    let names = ["one", "two", "three", "four", "sealed-secrets-key"];
    let mut before = Vec::new();
    for name in names {
        before.push(essence(&laptop.secrets(&namespace).get(name).await.unwrap()));
        laptop.secrets(&namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }
    let mut kubectl = Command::new(ControlPlanePrograms::prepare().unwrap().kubectl);
    kubectl.arg("--kubeconfig").arg(laptop.cluster.kubeconfig()).args(["apply", "-f", "keys.yaml"]);
    let applied = kubectl.current_dir(laptop.folder.path()).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    for (name, before) in names.iter().zip(before) {
        assert_eq!(essence(&laptop.secrets(&namespace).get(name).await.unwrap()), before);
    }

    // Annotations written by kubectl are left out of the next backup.
    laptop.run(&namespace, "keys backup -o keys.yaml --force").ok().unwrap();
    assert_eq!(
        std::fs::read_to_string(laptop.folder.path().join("keys.yaml"))
            .unwrap()
            .lines()
            .skip(1)
            .collect::<Vec<_>>(),
        text.lines().skip(1).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_backup_goes_to_a_plain_new_file_and_nowhere_else() {
    let laptop = Laptop::new().await;
    let namespace = laptop.cluster.namespace("backup").await.unwrap();
    let refused = |line: &str| {
        let ran = laptop.run(&namespace, line);
        assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(1), ""), "{line}");
        ran.stderr
    };
    assert!(refused("keys backup -o keys.yaml").contains("has no sealing keys"));
    laptop.create(&namespace, "key", Some("active"), KEY, CERTIFICATE).await;
    for place in ["-", "/dev/stdout", "/dev/tty", "/dev/stderr", "/proc/self/fd/1", "."] {
        for force in ["", "--force"] {
            assert!(
                refused(&format!("keys backup -o {place} {force}")).contains("is not a plain file"),
                "{place}"
            );
        }
    }
    let file = laptop.folder.path().join("keys.yaml");
    std::fs::write(&file, "precious").unwrap();
    assert!(refused("keys backup -o keys.yaml").contains("--force"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    laptop.run(&namespace, "keys backup -o keys.yaml --force").ok().unwrap();
    assert_eq!(mode(&file), 0o600, "whatever its mode was");
}

#[tokio::test]
async fn a_restore_keeps_existing_keys_and_replaces_no_secret() {
    let laptop = Laptop::new().await;
    let (here, there) =
        (laptop.cluster.namespace("from").await.unwrap(), laptop.cluster.namespace("to").await.unwrap());
    let generated = KeyPair::generate(KeySize::Rsa2048).unwrap().expose_pkcs1_pem().unwrap();
    laptop.create(&here, "sealed-secrets-key", None, KEY, CERTIFICATE).await;
    laptop.run(&here, "keys backup -o keys.yaml").ok().unwrap();
    // The first name belongs to another key; the Secret with the second name is not a key.
    laptop.create(&there, "sealed-secrets-key", Some("active"), &generated, CERTIFICATE).await;
    laptop.create(&there, "sealed-secrets-key-2", None, "x", "y").await;

    let dry = laptop.run(&there, "keys restore keys.yaml --dry-run");
    assert!(dry.stderr.contains("nothing was written"), "{}", dry.stderr);
    assert!(dry.stdout.contains("would be restored as sealed-secrets-key-3"), "{}{}", dry.stdout, dry.stderr);
    assert!(laptop.secrets(&there).get_opt("sealed-secrets-key-3").await.unwrap().is_none());

    laptop.run(&there, "keys restore keys.yaml").ok().unwrap();
    let restored = laptop.secrets(&there).get("sealed-secrets-key-3").await.unwrap();
    assert_eq!(restored.labels()[LABEL], "active", "under another name the label is what makes it a key");
    assert_eq!(restored.annotations()["example.com/note"], "kept");

    let before = laptop.secrets(&there).list(&kube::api::ListParams::default()).await.unwrap();
    let again: Value =
        serde_json::from_str(&laptop.run(&there, "keys restore keys.yaml -o json").ok().unwrap()).unwrap();
    assert_eq!(again["keys"][0]["outcome"], "already there");
    assert_eq!(again["keys"][0]["name"], "sealed-secrets-key-3");
    let after = laptop.secrets(&there).list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(before.metadata.resource_version.is_some(), after.metadata.resource_version.is_some());
    let versions = |list: &kube::api::ObjectList<Secret>| {
        list.iter().map(|one| (one.name_any(), one.resource_version())).collect::<Vec<_>>()
    };
    assert_eq!(versions(&before), versions(&after));
}

#[tokio::test]
async fn one_key_that_is_broken_stops_a_restore_before_anything_is_written() {
    let laptop = Laptop::new().await;
    let (here, there) =
        (laptop.cluster.namespace("from").await.unwrap(), laptop.cluster.namespace("to").await.unwrap());
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap().expose_pkcs1_pem().unwrap();
    laptop.create(&here, "a-good", Some("compromised"), KEY, CERTIFICATE).await;
    laptop.create(&here, "b-mismatched", Some("active"), &other, CERTIFICATE).await;
    let backup = laptop.run(&here, "keys backup -o keys.yaml");
    assert!(backup.stderr.contains("b-mismatched  active  warning: "), "{}", backup.stderr);

    let refused = laptop.run(&there, "keys restore keys.yaml");
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("Secret b-mismatched: the certificate"), "{}", refused.stderr);
    assert!(key_secrets(&laptop.cluster, &there).await.is_empty());
    laptop.run(&there, "keys restore keys.yaml --skip-invalid").ok().unwrap();
    let keys = key_secrets(&laptop.cluster, &there).await;
    assert_eq!((keys.len(), keys[0].labels()[LABEL].as_str()), (1, "compromised"));

    for (text, reason) in [("kind: ConfigMap", "ConfigMap"), ("", "holds no key Secrets"), ("a: [", "line")] {
        std::fs::write(laptop.folder.path().join("bad.yaml"), text).unwrap();
        let refused = laptop.run(&there, "keys restore bad.yaml");
        assert!(
            refused.status.code() == Some(1) && refused.stderr.contains(reason),
            "{text}: {}",
            refused.stderr
        );
    }
}
