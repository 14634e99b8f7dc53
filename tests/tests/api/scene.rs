//! A namespace with our controller, and the original's kubeseal as the client, so that its SealedSecrets are independent of ours.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Event, ResourceQuota, Secret};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, Installation, Kubeseal, until};
use serde_json::{Value, json};

use crate::support::{PATIENCE, events, sealed_secrets, secret_manifest, until_later_than, until_logged};

/// Plaintext that must never occur outside of a Secret.
pub(crate) const CANARY: &str = "canary-4f1d9c";

/// The environment of a test of the controller.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) installation: Installation,
    pub(crate) controller: ControllerProcess,
}

impl Scene {
    /// Our controller in a namespace of its own on the shared control plane.
    pub(crate) async fn set() -> Self {
        Self::with(&[]).await
    }

    /// Our controller with these flags.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        Self::on(Cluster::shared().await.unwrap(), arguments).await
    }

    /// Our controller with these flags on another control plane.
    pub(crate) async fn on(cluster: Cluster, arguments: &[&str]) -> Self {
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        Self::start(cluster, installation, arguments).await
    }

    /// Our controller with these flags in this installation.
    pub(crate) async fn start(cluster: Cluster, installation: Installation, arguments: &[&str]) -> Self {
        let controller = installation.start(Edition::Ours, arguments).await.unwrap();
        Self { cluster, installation, controller }
    }

    /// Our controller that makes keys of the size that it chooses by itself.
    pub(crate) async fn of_default_keys() -> Self {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let no_size = ("SEALED_SECRETS_KEY_SIZE", "");
        let controller = ControllerProcess::start_with(&installation, Edition::Ours, &[], &[no_size]).await;
        Self { cluster, installation, controller: controller.unwrap() }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.installation.namespace()
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client(), self.namespace())
    }

    pub(crate) fn sealed_secrets(&self) -> Api<DynamicObject> {
        sealed_secrets(&self.cluster, self.namespace())
    }

    /// Seals this Secret with the original's kubeseal for this controller.
    pub(crate) async fn seal(&self, secret: &Value) -> Value {
        seal_with(&self.controller.certificate().await.unwrap(), secret)
    }

    /// The deprecated format of a Secret with one item: a single ciphertext.
    pub(crate) async fn seal_v1(&self, secret: &Value) -> Value {
        let certificate = self.controller.certificate().await.unwrap();
        let certificate = SealingCertificate::from_pem(certificate.as_bytes()).unwrap();
        let name = secret["metadata"]["name"].as_str().unwrap();
        let label = Label::new(Scope::Strict, self.namespace(), name);
        let mut stored: Secret = serde_json::from_value(secret.clone()).unwrap();
        let bytes = |(key, text): (String, String)| (key, ByteString(text.into_bytes()));
        stored.data = Some(stored.string_data.take().unwrap().into_iter().map(bytes).collect());
        let stored = serde_json::to_string(&stored).unwrap();
        let random = &mut StdRng::seed_from_u64(1);
        let data = seal_value(random, certificate.public_key(), &label, stored.as_bytes()).unwrap();
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": name, "namespace": self.namespace()},
            "spec": {"data": data, "encryptedData": {}}
        })
    }

    /// A Secret with one item, in this namespace.
    pub(crate) fn secret(&self, name: &str, key: &str, value: &str) -> Value {
        secret_manifest(self.namespace(), name, key, value)
    }

    pub(crate) async fn create(&self, sealed: &Value) -> DynamicObject {
        let object = serde_json::from_value(sealed.clone()).unwrap();
        created(&self.sealed_secrets(), &object).await
    }

    pub(crate) async fn seal_and_create(&self, secret: &Value) -> DynamicObject {
        self.create(&self.seal(secret).await).await
    }

    /// A synced SealedSecret with one item, the canary.
    pub(crate) async fn opened(&self, name: &str) -> DynamicObject {
        self.seal_and_create(&self.secret(name, "password", CANARY)).await;
        self.until_synced(name, "True").await;
        self.sealed_secrets().get(name).await.unwrap()
    }

    pub(crate) async fn merge(&self, name: &str, change: &Value) {
        self.sealed_secrets().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    /// Sets a quota under which no more Secrets can be created.
    pub(crate) async fn fill_quota(&self) {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.cluster.client(), self.namespace());
        let full = json!({"secrets": "1"});
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": full}
        });
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        // The controller manager would count; this one does not.
        let status = Patch::Merge(json!({"status": {"hard": full, "used": full}}));
        quotas.patch_status("full", &PatchParams::default(), &status).await.unwrap();
        let refused = async || {
            let probe: Secret = serde_json::from_value(self.secret("probe", "a", "b")).unwrap();
            let answer = self.secrets().create(&PostParams::default(), &probe).await;
            if answer.is_ok() {
                self.secrets().delete("probe", &DeleteParams::default()).await.unwrap();
            }
            // Until the numbers are known, the error has another text.
            let is_full = |status: &kube::core::Status| status.message.contains("exceeded quota");
            matches!(&answer, Err(kube::Error::Api(status)) if is_full(status)).then_some(())
        };
        until("no Secret can be created", PATIENCE, refused).await.unwrap();
    }

    /// Waits until the condition Synced of the current generation has this status, and returns its message.
    pub(crate) async fn until_synced(&self, name: &str, status: &str) -> String {
        let what = format!("Synced of {name} is {status}");
        let found = async || {
            let object = self.sealed_secrets().get_opt(name).await.unwrap()?;
            let condition = &object.data["status"]["conditions"][0];
            let current = object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation;
            let matches = current && condition["type"] == "Synced" && condition["status"] == status;
            matches.then(|| condition["message"].as_str().unwrap_or_default().to_owned())
        };
        until(&what, PATIENCE, found).await.unwrap()
    }

    /// Requests a new key once, by signal, and returns its certificate when that is served.
    pub(crate) async fn new_key(&mut self) -> String {
        let old = self.controller.certificate().await.unwrap();
        let made = SealingCertificate::from_pem(old.as_bytes()).unwrap().not_before();
        // A key that was created in this second would satisfy the request.
        until_later_than(made).await;
        self.controller.process().signal("USR1").unwrap();
        let renewed = async || self.controller.certificate().await.ok().filter(|served| *served != old);
        until("another key leads", PATIENCE, renewed).await.unwrap()
    }

    /// Waits until the Secret exists and satisfies this predicate.
    pub(crate) async fn until_secret(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Secret) -> bool,
    ) -> Secret {
        let what = format!("Secret {name}: {what}");
        let found = async || self.secrets().get_opt(name).await.unwrap().filter(|secret| holds(secret));
        until(&what, PATIENCE, found).await.unwrap()
    }

    /// The events that match this field selector.
    pub(crate) async fn events(&self, selector: &str) -> Vec<Event> {
        events(&self.cluster, self.namespace(), selector).await
    }

    /// Waits for an event of this reason about the object, and returns its message.
    pub(crate) async fn until_event(&self, name: &str, reason: &str) -> String {
        let about = format!("involvedObject.name={name},reason={reason}");
        let found = async || self.events(&about).await.pop();
        let event = until(&format!("event {reason} of {name}"), PATIENCE, found).await.unwrap();
        assert_eq!(event.source.unwrap().component.as_deref(), Some("sealed-secrets"));
        event.message.unwrap()
    }

    /// Waits until the controller has logged a line with this text.
    pub(crate) async fn until_logged(&self, text: &str) {
        until_logged(&self.controller, text).await;
    }
}

/// Seals with the original's kubeseal for the holder of this certificate.
pub(crate) fn seal_with(certificate: &str, secret: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, certificate).unwrap();
    let kubeseal = Kubeseal::of(Edition::Upstream).unwrap();
    let sealed =
        kubeseal.run(&["--cert", file.to_str().unwrap()], &secret.to_string()).unwrap().ok().unwrap();
    serde_json::from_str(&sealed).unwrap()
}

/// The text of an item of a Secret.
pub(crate) fn item(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    Some(String::from_utf8_lossy(&value.0).into_owned())
}

/// Returns true if the controlling owner of the Secret is this object.
pub(crate) fn is_owned_by(secret: &Secret, sealed: &DynamicObject) -> bool {
    let owners = secret.owner_references();
    owners.len() == 1
        && Some(&owners[0].uid) == sealed.metadata.uid.as_ref()
        && owners[0].controller == Some(true)
}

/// Creates an object of a new name. The client repeats a request whose answer was late, and then finds its own object.
pub(crate) async fn created(api: &Api<DynamicObject>, object: &DynamicObject) -> DynamicObject {
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(answer)) if answer.code == 409 => api.get(&object.name_any()).await.unwrap(),
        answer => answer.unwrap(),
    }
}
