//! A controller behind a fault-injecting proxy, the Secrets that it should have created, and the invariants after a fault.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Resource as _, ResourceExt};
use sealed_secrets_crds::SealingKey;
use sealed_secrets_tests::{
    Access, Cluster, ControllerProcess, Edition, FaultProxy, Installation, Reach, until,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::key_scene::LABEL;
use crate::scene::{CANARY, item, seal_with};
use crate::support::{
    PATIENCE, apply_sealed, events, sealed_secret_kind, sealed_secrets, secret_manifest, until_logged,
};

/// The time after the end of a fault within which the state must be correct.
const CONVERGENCE: Duration = Duration::from_secs(30);

/// The items of each copy: their decryption must take longer than everything else.
const ITEMS_OF_COPIES: usize = 20;

const KEY_SIZE: &str = "--key-size=2048";

pub(super) struct FaultRun {
    pub(super) cluster: Cluster,
    pub(super) installation: Installation,
    pub(super) proxy: FaultProxy,
    pub(super) controller: ControllerProcess,
    certificate: String,
    /// The expected value of each Secret, by namespace and name.
    expected: BTreeMap<(String, String), String>,
    /// SealedSecrets that cannot be decrypted.
    pub(super) hopeless: Vec<String>,
    pub(super) keys: usize,
    /// A second replica.
    another: Option<ControllerProcess>,
    /// The logs of controllers that have ended.
    logs: String,
}

impl FaultRun {
    /// Starts a controller in a namespace of its own.
    pub(super) async fn begin(access: &Access, additional: &[&str]) -> Self {
        let installation = Self::install(access, additional).await;
        Self::with(access, installation).await
    }

    pub(super) async fn install(access: &Access, additional: &[&str]) -> Installation {
        let cluster = Cluster::at(access).await.unwrap();
        let namespace = cluster.namespace("trial").await.unwrap();
        let additional = additional.iter().map(|&name| name.to_owned()).collect();
        cluster.install(&namespace, Reach::Namespaces { additional }).await.unwrap()
    }

    pub(super) async fn with(access: &Access, installation: Installation) -> Self {
        let proxy = FaultProxy::start(&installation).await.unwrap();
        let controller = start(&installation, &proxy).await;
        let certificate = controller.certificate().await.unwrap();
        let (expected, hopeless, logs) = (BTreeMap::new(), Vec::new(), String::new());
        let (keys, another) = (1, None);
        let cluster = Cluster::at(access).await.unwrap();
        Self {
            cluster,
            installation,
            proxy,
            controller,
            certificate,
            expected,
            hopeless,
            keys,
            another,
            logs,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.installation.namespace()
    }

    /// Creates a SealedSecret in the controller's namespace whose Secret must exist in the end.
    pub(super) async fn seal(&mut self, name: &str) {
        let namespace = self.namespace().to_owned();
        self.seal_in(&namespace, name).await;
    }

    pub(super) async fn seal_in(&mut self, namespace: &str, name: &str) {
        let value = format!("{CANARY}-{name}-{}", self.expected.len());
        self.apply(namespace, name, &value).await;
        self.expected.insert((namespace.to_owned(), name.to_owned()), value);
    }

    /// Creates so many SealedSecrets with many items, which share their ciphertext so that sealing takes no time.
    pub(super) async fn seal_copies(&mut self, count: usize) {
        let (namespace, value) = (self.namespace().to_owned(), format!("{CANARY}-copies"));
        let mut secret = secret_manifest(&namespace, "copy", "password", &value);
        secret["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        let mut sealed = seal_with(&self.certificate, &secret);
        let item = sealed["spec"]["encryptedData"]["password"].clone();
        let others = (0..ITEMS_OF_COPIES).map(|number| (format!("item-{number}"), item.clone()));
        sealed["spec"]["encryptedData"].as_object_mut().unwrap().extend(others);
        let names: Vec<_> = (0..count).map(|number| format!("copy-{number}")).collect();
        let create = async |name: &String| {
            let mut copy = sealed.clone();
            copy["metadata"]["name"] = json!(name);
            copy["spec"]["template"]["metadata"]["name"] = json!(name);
            apply_sealed(&self.cluster, &copy.to_string()).await;
        };
        stream::iter(&names).for_each_concurrent(16, create).await;
        let expected = names.into_iter().map(|name| ((namespace.clone(), name), value.clone()));
        self.expected.extend(expected);
    }

    /// Waits until so many Secrets exist, but not yet all of the expected ones.
    pub(super) async fn until_secrets(&self, count: usize) {
        let owned = async || {
            let secrets = self.secrets(self.namespace()).list(&ListParams::default()).await.ok()?;
            let owned = secrets.iter().filter(|secret| !secret.owner_references().is_empty()).count();
            (owned >= count).then_some(owned)
        };
        let owned = until(&format!("{count} Secrets"), PATIENCE, owned).await.unwrap();
        assert!(owned < self.expected.len(), "all Secrets were there before the fault");
    }

    pub(super) async fn delete(&self, name: &str) {
        let api = sealed_secrets(&self.cluster, self.namespace());
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the metrics contain this SealedSecret, or no longer do.
    pub(super) async fn until_in_metrics(&self, name: &str, is_there: bool) {
        let label = format!("name=\"{name}\"");
        let told =
            async || (self.controller.metrics().await.ok()?.contains(&label) == is_there).then_some(());
        let what = if is_there { "has" } else { "has forgotten" };
        until(&format!("the controller {what} {name}"), PATIENCE, told).await.unwrap();
    }

    pub(super) async fn seal_many(&mut self, count: usize) {
        for number in 0..count {
            self.seal(&format!("many-{number}")).await;
        }
    }

    /// Applies a SealedSecret of this value, sealed with the first key.
    pub(super) async fn apply(&self, namespace: &str, name: &str, value: &str) {
        let sealed = seal_with(&self.certificate, &secret_manifest(namespace, name, "password", value));
        apply_sealed(&self.cluster, &sealed.to_string()).await;
    }

    /// Applies a SealedSecret in the controller's namespace that no key decrypts.
    pub(super) async fn apply_undecryptable(&self, name: &str) {
        let mut sealed =
            seal_with(&self.certificate, &secret_manifest(self.namespace(), name, "password", CANARY));
        sealed["spec"]["encryptedData"]["password"] = json!("AAAA");
        apply_sealed(&self.cluster, &sealed.to_string()).await;
    }

    /// Starts another controller with the same permissions and the same proxy, after this one has ended.
    pub(super) async fn start_again(&mut self) {
        self.logs.push_str(&self.controller.log());
        self.controller = start(&self.installation, &self.proxy).await;
    }

    /// Starts another controller without waiting for it.
    pub(super) async fn spawn_again(&mut self) {
        self.logs.push_str(&self.controller.log());
        let kubeconfig = self.proxy.flag();
        let arguments = [kubeconfig.as_str(), KEY_SIZE];
        let spawned = ControllerProcess::spawn(&self.installation, Edition::Ours, &arguments).await;
        self.controller = spawned.unwrap();
    }

    /// Starts a second controller beside the first.
    pub(super) async fn start_another(&mut self) {
        self.another = Some(start(&self.installation, &self.proxy).await);
    }

    /// Changes the item of a Secret, as another client would.
    pub(super) async fn edit_secret(&self, name: &str) {
        let edit = Patch::Merge(json!({"stringData": {"password": "edited"}}));
        let secrets = self.secrets(self.namespace());
        secrets.patch(name, &PatchParams::default(), &edit).await.unwrap();
    }

    pub(super) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.cluster.client(), namespace)
    }

    pub(super) fn forget(&mut self, namespace: &str) {
        self.expected.retain(|(place, _), _| place != namespace);
    }

    pub(super) async fn until_faults(&self, what: &str, count: usize) {
        let seen = async || (self.proxy.faults() >= count).then_some(());
        until(&format!("{what}: {count} faults in {}", self.namespace()), PATIENCE, seen).await.unwrap();
    }

    pub(super) async fn until_logged(&self, text: &str) {
        until_logged(&self.controller, text).await;
    }

    /// Waits until the controller reports that it is ready, or is not, and its metrics that a watch fails, or none does.
    pub(super) async fn until_ready(&self, what: &str, is_ready: bool) {
        const FAILING: &str = r#"sealed_secrets_controller_watches_failing{resource="sealedsecrets"} "#;
        let told = async || {
            let status = self.controller.get("/readyz").await.ok()?.status;
            let page = self.controller.metrics().await.ok()?;
            let failing = page.lines().find_map(|line| line.strip_prefix(FAILING))?;
            (status == if is_ready { 200 } else { 503 } && (failing == "0") == is_ready).then_some(())
        };
        until(&format!("{what}: ready is {is_ready}"), PATIENCE, told).await.unwrap();
    }

    /// Waits until every SealedSecret has the correct status for its current generation, and every Secret is as expected.
    pub(super) async fn until_converged(&self, what: &str) {
        let deadline = Instant::now() + CONVERGENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        for ((namespace, name), value) in &self.expected {
            let is_so = async || {
                let object = sealed_secrets(&self.cluster, namespace).get_opt(name).await.ok()??;
                let secret = self.secrets(namespace).get_opt(name).await.ok()??;
                let holds = item(&secret, "password").as_deref() == Some(value.as_str());
                (holds && synced(&object) == Some(true)).then_some(())
            };
            until(&format!("{what}: {namespace}/{name} is as it should be"), left(), is_so).await.unwrap();
        }
        for name in &self.hopeless {
            let api = sealed_secrets(&self.cluster, self.namespace());
            let refused = async || (synced(&api.get(name).await.ok()?) == Some(false)).then_some(());
            until(&format!("{what}: {name} is refused"), left(), refused).await.unwrap();
        }
    }

    /// Asserts the invariants after every fault, beside [`Self::until_converged`].
    pub(super) async fn assert_in_order(&mut self, what: &str) {
        assert!(self.controller.process().exited().unwrap().is_none(), "{what}: the controller runs");
        let secrets = self.secrets(self.namespace()).list(&ListParams::default()).await.unwrap().items;
        let (keys, others): (Vec<_>, Vec<_>) =
            secrets.into_iter().partition(|secret| secret.labels().contains_key(LABEL));
        assert_eq!(keys.len(), self.keys, "{what}: key Secrets");
        let here = self.expected.keys().filter(|(namespace, _)| namespace == self.namespace());
        let mut names: Vec<_> = others.iter().map(ResourceExt::name_any).collect();
        names.sort();
        assert_eq!(names, here.map(|(_, name)| name.clone()).collect::<Vec<_>>(), "{what}: no other Secrets");
        self.assert_nothing_secret(what, &keys).await;
    }

    /// Asserts that neither plaintext nor a line of a private key occurs outside of Secrets.
    async fn assert_nothing_secret(&self, what: &str, keys: &[Secret]) {
        let pem =
            |key: &Secret| String::from_utf8_lossy(&key.data.as_ref().unwrap()["tls.key"].0).into_owned();
        let lines: Vec<_> =
            keys.iter().filter_map(|key| pem(key).lines().nth(1).map(str::to_owned)).collect();
        assert!(!lines.is_empty());
        let all = ListParams::default();
        let sealed = sealed_secrets(&self.cluster, self.namespace()).list(&all).await.unwrap();
        let events = events(&self.cluster, self.namespace(), "").await;
        let another = self.another.as_ref().map(ControllerProcess::log).unwrap_or_default();
        let places = [
            ("logs", format!("{}{}{another}", self.logs, self.controller.log())),
            ("metrics", self.controller.metrics().await.unwrap()),
            ("SealedSecrets", serde_json::to_string(&sealed.items).unwrap()),
            ("events", serde_json::to_string(&events).unwrap()),
        ];
        for (place, text) in places {
            assert!(!text.contains(CANARY), "{what}: plaintext in {place}");
            assert!(lines.iter().all(|line| !text.contains(line)), "{what}: a private key in {place}");
        }
    }
}

async fn start(installation: &Installation, proxy: &FaultProxy) -> ControllerProcess {
    installation.start(Edition::Ours, &[&proxy.flag(), KEY_SIZE]).await.unwrap()
}

/// The condition Synced of the current generation.
fn synced(object: &DynamicObject) -> Option<bool> {
    let status: &Value = object.data.get("status")?;
    let current = status["observedGeneration"].as_i64() == object.meta().generation;
    let condition = &status["conditions"][0];
    (current && condition["type"] == "Synced").then(|| condition["status"] == "True")
}

/// All versions, once nothing has changed for the longest time that a watch takes to recover: by then the items of each key are
/// counted, and written to its SealingKey.
pub(super) async fn settled(cluster: &Cluster) -> Option<BTreeMap<String, String>> {
    let before = versions(cluster).await;
    tokio::time::sleep(CONVERGENCE).await;
    (versions(cluster).await == before).then_some(before)
}

/// The version of every object that a controller writes, in the whole cluster.
pub(super) async fn versions(cluster: &Cluster) -> BTreeMap<String, String> {
    let all = ListParams::default();
    let secrets: Api<Secret> = Api::all(cluster.client());
    let events: Api<Event> = Api::all(cluster.client());
    let sealed: Api<DynamicObject> = Api::all_with(cluster.client(), &sealed_secret_kind());
    let mut versions = versions_of("Secret", &secrets.list(&all).await.unwrap().items);
    versions.extend(versions_of("Event", &events.list(&all).await.unwrap().items));
    versions.extend(versions_of("SealedSecret", &sealed.list(&all).await.unwrap().items));
    let keys: Api<SealingKey> = Api::all(cluster.client());
    versions.extend(versions_of("SealingKey", &keys.list(&all).await.unwrap().items));
    versions
}

fn versions_of<K: kube::Resource + Serialize>(kind: &str, objects: &[K]) -> BTreeMap<String, String> {
    let entry = |object: &K| {
        let metadata = object.meta();
        let name = format!("{kind} {:?}/{:?}", metadata.namespace, metadata.name);
        (name, metadata.resource_version.clone().unwrap_or_default())
    };
    objects.iter().map(entry).collect()
}
