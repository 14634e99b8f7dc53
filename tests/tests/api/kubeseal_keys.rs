//! `kubeseal keys` and `kubeseal cert` on an API server. The tests create each `SealingKey` themselves, in namespaces without a
//! controller.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_crds::{
    SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML, SealingKey, SealingKeyPolicy, SealingKeyState,
};
use sealed_secrets_tests::{Cluster, Edition, Kubeseal, Output, until};
use serde_json::{Value, json};

use crate::key_scene::LABEL;
use crate::support::{PATIENCE, install_crd};

const CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");
const T: &str = "sealedsecrets.rs/rotate-requested-at";

/// A control plane with our kinds, and a namespace in which a controller could run.
struct Stage {
    cluster: Cluster,
    namespace: String,
}

impl Stage {
    async fn with_kinds() -> Self {
        let stage = Self::without_kinds().await;
        install_crd(&stage.cluster, SEALING_KEY_CRD_YAML).await;
        install_crd(&stage.cluster, SEALING_KEY_POLICY_CRD_YAML).await;
        stage
    }

    async fn without_kinds() -> Self {
        let cluster = Cluster::own().await.unwrap();
        let namespace = cluster.namespace("keys").await.unwrap();
        Self { cluster, namespace }
    }

    fn kubeseal(&self) -> Kubeseal {
        let kubeseal = Kubeseal::of(Edition::Ours).unwrap().with_kubeconfig(self.cluster.kubeconfig());
        kubeseal.with_variable("SEALED_SECRETS_CONTROLLER_NAMESPACE", &self.namespace)
    }

    fn run(&self, line: &str) -> Output {
        self.kubeseal().run(&line.split_whitespace().collect::<Vec<_>>(), "").unwrap()
    }

    fn keys(&self) -> Api<SealingKey> {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    fn policies(&self) -> Api<SealingKeyPolicy> {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    async fn write_key(&self, name: &str, status: &Value) {
        let key = SealingKey {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: serde_json::from_value(json!({})).unwrap(),
            status: None,
        };
        if self.keys().get_opt(name).await.unwrap().is_none() {
            self.keys().create(&PostParams::default(), &key).await.unwrap();
        }
        let patch = Patch::Merge(json!({"status": status}));
        self.keys().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn write_policy_status(&self, status: &Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.policies().patch_status("default", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn create_policy(&self, policy: &Value) {
        let policy = serde_json::from_value(policy.clone()).unwrap();
        self.policies().create(&PostParams::default(), &policy).await.unwrap();
    }
}

fn empty_policy() -> Value {
    json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy", "metadata": {"name": "default"}, "spec": {}
    })
}

fn fingerprint() -> String {
    SealingCertificate::from_pem(CERTIFICATE.as_bytes()).unwrap().fingerprint().to_string()
}

fn primary() -> Value {
    json!({"phase": "Primary", "fingerprint": fingerprint(), "certificate": CERTIFICATE, "notBefore": "2026-11-21T07:45:49Z"})
}

/// Asserts that it failed with this exit code and these words, and printed nothing to stdout.
fn fails(ran: &Output, code: i32, words: &[&str]) {
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(code), ""), "{}", ran.stderr);
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is missing in: {}", ran.stderr);
    }
}

#[tokio::test]
async fn without_the_kinds_each_command_names_the_missing_crd_and_the_key_secrets() {
    let stage = Stage::without_kinds().await;
    let command =
        format!("kubectl get secrets -n {} -l sealedsecrets.bitnami.com/sealed-secrets-key", stage.namespace);
    for (line, kind) in [
        ("keys list", "SealingKey"),
        ("keys rotate", "SealingKeyPolicy"),
        ("keys rotate --wait", "SealingKeyPolicy"),
        ("keys revoke some-key", "SealingKey"),
        ("keys retire some-key", "SealingKey"),
    ] {
        let missing = format!("this cluster has no {kind} objects: their CRD is not installed");
        fails(&stage.run(line), 1, &[&missing, &command]);
    }
    let fetched = stage.run("cert fetch");
    fails(
        &fetched,
        1,
        &["this cluster has no SealingKeys; asking the controller", "cannot get sealed secret service"],
    );
}

#[tokio::test]
async fn keys_are_listed_without_a_look_at_their_secrets() {
    let stage = Stage::with_kinds().await;
    let none = stage.run("keys list");
    assert_eq!((none.status.code(), none.stdout.as_str()), (Some(0), "NAME  PHASE  ITEMS  AGE\n"));
    assert!(none.stderr.contains("--controller-namespace"), "{}", none.stderr);
    stage.write_key("keynew", &primary()).await;
    let old = json!({
        "phase": "DecryptOnly", "fingerprint": "SHA256:old", "notBefore": "2020-01-01T00:00:00Z", "usage": {"objects": 2, "items": 412}
    });
    stage.write_key("keyold", &old).await;
    let listed = stage.run("keys list").ok().unwrap();
    let columns: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(columns[0], ["NAME", "PHASE", "ITEMS", "AGE"]);
    assert_eq!(
        (&columns[1][..3], &columns[2][..3]),
        (&["keynew", "Primary", "-"][..], &["keyold", "DecryptOnly", "412"][..])
    );
    for format in ["json", "yaml"] {
        let text = stage.run(&format!("keys list -o {format}")).ok().unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["keys"][0]["fingerprint"], fingerprint(), "{format}");
        assert_eq!(value["keys"][1]["objects"], 2, "{format}");
    }
    // A user without any permissions learns which permission is missing.
    let stranger = stage.run("keys list --as stranger");
    fails(
        &stranger,
        1,
        &["User \"stranger\" cannot list resource \"sealingkeys\"", "Ask for a role", "kubectl get secrets"],
    );
}

#[tokio::test]
async fn a_key_is_revoked_by_fingerprint_and_retired_by_name_and_the_next_steps_are_printed() {
    let stage = Stage::with_kinds().await;
    stage.write_key("keynew", &primary()).await;
    stage.write_key("keyold", &json!({"phase": "DecryptOnly", "fingerprint": "SHA256:old"})).await;

    let begin = fingerprint()[..12].to_owned();
    let revoked = stage.run(&format!("keys revoke {begin} --decrypt-until 2030-01-01T00:00:00Z"));
    assert_eq!((revoked.status.code(), revoked.stdout.as_str()), (Some(0), ""), "{}", revoked.stderr);
    assert!(revoked.stderr.contains("change the values themselves"), "{}", revoked.stderr);
    assert!(
        revoked.stderr.contains("the old key still decrypts, until 2030-01-01T00:00:00Z"),
        "{}",
        revoked.stderr
    );
    let spec = stage.keys().get("keynew").await.unwrap().spec;
    assert_eq!(spec.state, SealingKeyState::Compromised);
    assert_eq!(spec.decrypt_until.unwrap().0.to_string(), "2030-01-01T00:00:00Z");

    // A state that the controller has not observed yet is not overwritten.
    fails(&stage.run("keys retire keynew"), 1, &["has not recorded that yet", "Try again when"]);
    assert_eq!(stage.keys().get("keynew").await.unwrap().spec.state, SealingKeyState::Compromised);
    let heeded = stage.keys().get("keynew").await.unwrap().metadata.generation;
    stage.write_key("keynew", &json!({"phase": "Compromised", "observedGeneration": heeded})).await;

    // The CRD refuses an end of decryption on a key that is to be retired; the key Secret keeps it.
    for name in ["keyold", "keynew"] {
        stage.run(&format!("keys retire {name}")).ok().unwrap();
        let spec = stage.keys().get(name).await.unwrap().spec;
        assert_eq!((spec.state, spec.decrypt_until), (SealingKeyState::Retired, None), "{name}");
    }
    fails(&stage.run("keys revoke nobody"), 1, &["no sealing key \"nobody\"", "kubeseal keys list -o wide"]);
    fails(&stage.run("keys revoke SHA256:"), 1, &["no sealing key"]);
    fails(&stage.run("keys revoke"), 2, &["NAME|FINGERPRINT"]);
    fails(&stage.run("keys revoke keyold --decrypt-until tomorrow"), 2, &["--decrypt-until <TIME>"]);
}

#[tokio::test]
async fn a_key_in_two_secrets_is_revoked_and_retired_in_both_and_both_are_named() {
    let stage = Stage::with_kinds().await;
    for (name, phase) in [("keyold", "DecryptOnly"), ("keyanew", "Primary")] {
        stage.write_key(name, &json!({"phase": phase, "fingerprint": "SHA256:same"})).await;
    }
    stage.write_key("keyother", &json!({"phase": "DecryptOnly", "fingerprint": "SHA256:other"})).await;
    let states = async || {
        let keys = stage.keys().list(&ListParams::default()).await.unwrap().items;
        keys.into_iter().map(|key| key.spec.state).collect::<Vec<_>>()
    };
    let revoked = stage.run("keys revoke SHA256:same");
    assert_eq!(revoked.status.code(), Some(0), "{}", revoked.stderr);
    assert!(revoked.stderr.contains("keyanew and keyold, which are the same key, are marked Compromised"));
    let (active, compromised) = (SealingKeyState::Active, SealingKeyState::Compromised);
    assert_eq!(states().await, [compromised, compromised, active], "by name");

    for name in ["keyold", "keyanew"] {
        fails(&stage.run("keys retire keyold"), 1, &["has not recorded that yet"]);
        let heeded = stage.keys().get(name).await.unwrap().metadata.generation;
        stage.write_key(name, &json!({"phase": "Compromised", "observedGeneration": heeded})).await;
    }
    let retired = stage.run("keys retire keyold");
    assert!(retired.stderr.contains("keyold and keyanew, which are the same key"), "{}", retired.stderr);
    assert!(retired.stderr.contains("the key stays Compromised"), "{}", retired.stderr);
    assert_eq!(states().await, [SealingKeyState::Retired, SealingKeyState::Retired, active]);
}

#[tokio::test]
async fn without_a_policy_a_rotation_names_the_command_that_creates_one() {
    let stage = Stage::with_kinds().await;
    let missing = stage.run("keys rotate");
    fails(&missing, 1, &["has no SealingKeyPolicy \"default\"", "| kubectl apply -f -"]);
    let manifest = missing.stderr.split('\'').nth(1).unwrap();
    stage.create_policy(&serde_json::from_str(manifest).unwrap()).await;
    stage.run("keys rotate").ok().unwrap();
}

#[tokio::test]
async fn a_rotation_is_requested_once_until_the_controller_has_handled_it() {
    let stage = Stage::with_kinds().await;
    stage.create_policy(&empty_policy()).await;
    let requested: Value = serde_json::from_str(&stage.run("keys rotate -o json").ok().unwrap()).unwrap();
    let policy = stage.policies().get("default").await.unwrap();
    let created = policy.metadata.creation_timestamp.as_ref().unwrap().0;
    let annotation = policy.metadata.annotations.as_ref().unwrap()[T].clone();
    assert_eq!(requested["requestedAt"], annotation.as_str());
    assert!(annotation.parse::<jiff::Timestamp>().unwrap() >= created, "dated by the API server");

    let again = stage.run("keys rotate --wait --timeout 1s");
    fails(&again, 1, &["is still pending", "is not done after", "has no status; is a controller"]);
    let unchanged = stage.policies().get("default").await.unwrap();
    assert_eq!(unchanged.metadata.resource_version, policy.metadata.resource_version);

    stage.write_policy_status(&json!({"lastHandledRotateRequest": annotation})).await;
    let later = async || {
        stage.run("keys rotate").ok().unwrap();
        let policy = stage.policies().get("default").await.unwrap();
        (policy.metadata.annotations.unwrap()[T] != annotation).then_some(())
    };
    until("a handled request is followed by a new one", PATIENCE, later).await.unwrap();
}

#[tokio::test]
async fn a_rotation_is_waited_for_until_its_key_is_there() {
    let stage = Stage::with_kinds().await;
    stage.create_policy(&empty_policy()).await;
    let old = json!({"phase": "Primary", "fingerprint": "SHA256:old", "notBefore": "2020-01-01T00:00:00Z"});
    stage.write_key("keyold", &old).await;
    let kubeseal = stage.kubeseal();
    let waiting = std::thread::spawn(move || kubeseal.run(&["keys", "rotate", "--wait"], "").unwrap());
    let requested = async || stage.policies().get("default").await.unwrap().metadata.annotations?.remove(T);
    let requested = until("the rotation is requested", PATIENCE, requested).await.unwrap();

    stage.write_policy_status(&json!({"lastHandledRotateRequest": requested})).await;
    stage
        .write_key(
            "keynew",
            &json!({"phase": "Primary", "fingerprint": "SHA256:new", "notBefore": requested}),
        )
        .await;
    let made = tokio::task::spawn_blocking(|| waiting.join().unwrap()).await.unwrap();
    assert_eq!(made.ok().unwrap(), "keynew  SHA256:new  seals from now on\n");
}

#[tokio::test]
async fn a_controller_that_makes_no_keys_is_not_asked_for_one() {
    let stage = Stage::with_kinds().await;
    let mut policy = empty_policy();
    policy["spec"]["keySource"] = "External".into();
    stage.create_policy(&policy).await;
    fails(&stage.run("keys rotate --wait"), 1, &["keySource: External", "sealed-secrets-key=active"]);
    assert!(stage.policies().get("default").await.unwrap().metadata.annotations.is_none());
}

#[tokio::test]
async fn a_certificate_is_taken_from_sealing_keys_that_agree_and_from_no_others() {
    let stage = Stage::with_kinds().await;
    stage.write_key("keynew", &primary()).await;
    assert_eq!(stage.run("cert fetch").ok().unwrap(), CERTIFICATE, "without a policy");

    stage.create_policy(&empty_policy()).await;
    fails(&stage.run("cert fetch"), 1, &["but the SealingKeyPolicy names none"]);
    stage.write_policy_status(&json!({"primary": {"name": "keynew", "fingerprint": fingerprint()}})).await;
    let shown: Value = serde_json::from_str(&stage.run("cert show -o json").ok().unwrap()).unwrap();
    assert_eq!((&shown["fingerprint"], &shown["keySize"]), (&json!(fingerprint()), &json!(2048)));
    assert_eq!(shown["source"], format!("SealingKey {}/keynew", stage.namespace));

    // The flag grammar asks the controller first, which does not exist here.
    let fetched = stage.run("--fetch-cert");
    assert_eq!(
        (fetched.status.code(), fetched.stdout.as_str()),
        (Some(0), CERTIFICATE),
        "{}",
        fetched.stderr
    );
    assert!(fetched.stderr.contains("using the certificate of SealingKey"), "{}", fetched.stderr);

    stage.write_key("planted", &primary()).await;
    fails(&stage.run("cert fetch"), 1, &["keynew and planted are Primary"]);
    fails(&stage.run("--fetch-cert"), 1, &["cannot get sealed secret service"]);
    stage.write_key("planted", &json!({"phase": "DecryptOnly"})).await;
    stage.write_key("keynew", &json!({"fingerprint": "SHA256:other"})).await;
    fails(
        &stage.run("cert show"),
        1,
        &["keynew claims the fingerprint SHA256:other, but its certificate has"],
    );

    // A user who may not read them gets the controller's response, or an error that it cannot be reached.
    let stranger = stage.run("cert fetch --as stranger");
    fails(
        &stranger,
        1,
        &[
            "cannot list resource \"sealingkeys\"",
            "asking the controller",
            "cannot get sealed secret service",
        ],
    );
}

/// The key Secrets of a namespace, by any label value.
pub(crate) async fn key_secrets(cluster: &Cluster, namespace: &str) -> Vec<Secret> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let labelled = ListParams::default().labels(LABEL);
    secrets.list(&labelled).await.unwrap().items
}
