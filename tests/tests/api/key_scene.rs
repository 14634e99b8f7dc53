//! A namespace with our controller, its keys, `SealingKey` objects and policy.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize, SealingCertificate};
use sealed_secrets_core::rotation::successor_name;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyPolicy, SealingKeyPolicyStatus};
use sealed_secrets_tests::{Cluster, ControllerProcess, Installation, until};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::{PATIENCE, until_later_than};

pub(crate) const LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
pub(crate) const REQUEST: &str = "sealedsecrets.rs/rotate-requested-at";
/// The flag for keys that are quick to generate.
pub(crate) const SMALL: &str = "--key-size=2048";

/// A [`Scene`] with methods for keys.
pub(crate) struct KeyScene(pub(crate) Scene);

impl KeyScene {
    /// Our controller with one key, in a namespace of its own on the shared control plane.
    pub(crate) async fn set() -> Self {
        Self::with(&[]).await
    }

    /// As [`Self::set`], with this policy in force.
    pub(crate) async fn with_policy(spec: &Value) -> Self {
        let scene = Self::set().await;
        scene.apply_policy(spec).await;
        scene
    }

    pub(crate) async fn with(flags: &[&str]) -> Self {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        Self::start(cluster, installation, flags).await
    }

    pub(crate) async fn start(cluster: Cluster, installation: Installation, flags: &[&str]) -> Self {
        Self(Scene::start(cluster, installation, &[&[SMALL][..], flags].concat()).await)
    }

    pub(crate) fn controller(&self) -> &ControllerProcess {
        &self.0.controller
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        self.0.secrets()
    }

    pub(crate) fn policies(&self) -> Api<SealingKeyPolicy> {
        Api::namespaced(self.0.cluster.client(), self.0.namespace())
    }

    pub(crate) fn sealing_keys(&self) -> Api<SealingKey> {
        Api::namespaced(self.0.cluster.client(), self.0.namespace())
    }

    /// The key Secrets of every phase, oldest first: by the start of their certificates, since two may be created in one second.
    pub(crate) async fn keys(&self) -> Vec<Secret> {
        let mut keys = self.secrets().list(&ListParams::default().labels(LABEL)).await.unwrap().items;
        keys.sort_by_key(|key| (started(key), key.creation_timestamp(), key.name_any()));
        keys
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        self.keys().await.iter().map(kube::ResourceExt::name_any).collect()
    }

    /// Waits until so many key Secrets exist, and returns their names, oldest first.
    pub(crate) async fn until_keys(&self, count: usize) -> Vec<String> {
        let found = async || Some(self.names().await).filter(|names| names.len() == count);
        until(&format!("there are {count} keys"), PATIENCE, found).await.unwrap()
    }

    /// Applies the policy in force, as `kubectl apply` does.
    pub(crate) async fn apply_policy(&self, spec: &Value) {
        apply_policy(&self.policies(), "default", spec).await;
    }

    /// Requests a new key by annotation.
    pub(crate) async fn annotate_policy(&self, request: &str) {
        let change = json!({"metadata": {"annotations": {REQUEST: request}}});
        self.policies().patch("default", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Requests a new key by annotation at a time later than all keys, and returns the request.
    pub(crate) async fn request_rotation(&self) -> String {
        let request = self.later_than_all_keys().await.to_string();
        self.annotate_policy(&request).await;
        request
    }

    /// Waits until the status of the policy in force names this request as the last one that was handled.
    pub(crate) async fn until_handled(&self, request: &str) -> SealingKeyPolicyStatus {
        let is_handled =
            |status: &SealingKeyPolicyStatus| status.last_handled_rotate_request.as_deref() == Some(request);
        self.until_policy("the request is handled", is_handled).await
    }

    /// Waits until the status of the policy in force satisfies this predicate.
    pub(crate) async fn until_policy(
        &self,
        what: &str,
        holds: impl Fn(&SealingKeyPolicyStatus) -> bool,
    ) -> SealingKeyPolicyStatus {
        let found = async || {
            let policy = self.policies().get_opt("default").await.unwrap()?;
            let current = policy.metadata.generation;
            policy.status.filter(|status| status.observed_generation == current && holds(status))
        };
        until(&format!("the policy: {what}"), PATIENCE, found).await.unwrap()
    }

    /// Waits until the SealingKey exists and satisfies this predicate.
    pub(crate) async fn until_key(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&SealingKey) -> bool,
    ) -> SealingKey {
        let found = async || self.sealing_keys().get_opt(name).await.unwrap().filter(|key| holds(key));
        until(&format!("SealingKey {name}: {what}"), PATIENCE, found).await.unwrap()
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: SealingKeyPhase) -> SealingKey {
        self.until_key(name, phase.as_str(), |key| phase_of(key) == Some(phase)).await
    }

    /// Changes the spec of a SealingKey, as a user does, once it exists.
    pub(crate) async fn say(&self, name: &str, spec: &Value) {
        self.until_key(name, "is there", |_| true).await;
        let change = Patch::Merge(json!({"spec": spec}));
        self.sealing_keys().patch(name, &PatchParams::default(), &change).await.unwrap();
    }

    pub(crate) async fn relabel(&self, name: &str, value: &str) {
        let change = json!({"metadata": {"labels": {LABEL: value}}});
        self.secrets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Waits until the Secret has this value of the key label.
    pub(crate) async fn until_labelled(&self, name: &str, value: &str) -> Secret {
        self.0
            .until_secret(name, value, |secret| secret.labels().get(LABEL).is_some_and(|is| is == value))
            .await
    }

    /// Waits until the controller serves the certificate of this key.
    pub(crate) async fn until_offered(&self, name: &str) {
        let secret = self.secrets().get(name).await.unwrap();
        let expected = String::from_utf8(secret.data.unwrap()["tls.crt"].0.clone()).unwrap();
        let offered = async || {
            let served = self.controller().certificate().await.ok()?;
            (served == expected).then_some(())
        };
        until(&format!("{name} is offered"), PATIENCE, offered).await.unwrap();
    }

    /// Waits for an event of this reason whose message contains this text.
    pub(crate) async fn until_event(&self, reason: &str, text: &str) {
        let found = async || (self.events(reason, text).await > 0).then_some(());
        until(&format!("event {reason} with {text:?}"), PATIENCE, found).await.unwrap();
    }

    /// The number of events of this reason whose message contains this text.
    pub(crate) async fn events(&self, reason: &str, text: &str) -> usize {
        let says = |event: &&Event| event.message.as_ref().is_some_and(|message| message.contains(text));
        self.0.events(&format!("reason={reason}")).await.iter().filter(says).count()
    }

    /// The current time, once it is later in whole seconds than the start of every key.
    pub(crate) async fn later_than_all_keys(&self) -> Timestamp {
        let newest = self.keys().await.iter().filter_map(started).max().unwrap();
        until_later_than(newest).await
    }

    /// The candidate names for the Secret of this key's successor, in their order.
    pub(crate) async fn successor_names(&self, key: &str) -> impl Iterator<Item = String> + use<> {
        let certificate = self.secrets().get(key).await.unwrap().data.unwrap()["tls.crt"].0.clone();
        let fingerprint = SealingCertificate::from_pem(&certificate).unwrap().fingerprint().clone();
        (0..).map(move |n| successor_name("sealed-secrets-key", fingerprint.as_str(), n))
    }

    pub(crate) async fn create_secret(&self, secret: &Secret) {
        self.secrets().create(&PostParams::default(), secret).await.unwrap();
    }

    pub(crate) async fn delete_secret(&self, name: &str) {
        self.secrets().delete(name, &DeleteParams::default()).await.unwrap();
    }
}

pub(crate) async fn apply_policy(policies: &Api<SealingKeyPolicy>, name: &str, spec: &Value) {
    let policy = json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy", "metadata": {"name": name}, "spec": spec
    });
    policies.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(policy)).await.unwrap();
}

/// Start of validity of the certificate in a key Secret.
pub(crate) fn started(secret: &Secret) -> Option<Timestamp> {
    let pem = &secret.data.as_ref()?.get("tls.crt")?.0;
    Some(SealingCertificate::from_pem(pem).ok()?.not_before())
}

pub(crate) fn phase_of(key: &SealingKey) -> Option<SealingKeyPhase> {
    key.status.as_ref()?.phase
}

/// The reason and message of a condition.
pub(crate) fn condition(status: &SealingKeyPolicyStatus, type_: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

/// A key Secret as a user would import it, with a certificate that starts at this time.
pub(crate) fn key_secret(name: &str, label: &str, not_before: Timestamp) -> Secret {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let certificate = issue(&key, not_before, 7);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "labels": {LABEL: label}},
        "stringData": {"tls.key": key.expose_pkcs1_pem().unwrap().as_str(), "tls.crt": certificate}
    });
    serde_json::from_value(secret).unwrap()
}

/// A certificate for this key, PEM.
pub(crate) fn issue(key: &KeyPair, not_before: Timestamp, serial: u8) -> String {
    let request = CertificateRequest {
        common_name: String::new(),
        not_before,
        validity: jiff::SignedDuration::from_hours(24 * 365),
        serial: [serial; 16],
    };
    request.self_sign(key).unwrap().pem().to_owned()
}
