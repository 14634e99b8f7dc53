//! Several of our controllers that elect a leader, each behind a proxy of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::rotation::is_successor_name;
use sealed_secrets_crds::{SealingKey, SealingKeyPolicy};
use sealed_secrets_tests::{
    Asked, Cluster, ControllerProcess, Edition, FaultProxy, Installation, Reach,
    leader_election_manifests_in, until,
};
use serde_json::{Value, json};

use crate::key_scene::{LABEL, REQUEST, apply_policy, started};
use crate::scene::{item, seal_with};
use crate::support::{PATIENCE, apply_sealed, events, sealed_secrets, secret_manifest, until_logged};

/// The duration of the Lease in these tests, the shortest that there is.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// Time without a write after which everything is written: the items of keys are counted some seconds after a change.
const SETTLING: Duration = Duration::from_secs(15);
/// The duration of the Lease without its flag.
pub(super) const DEFAULT_LEASE: Duration = Duration::from_secs(15);
pub(super) const NAME: &str = "sealed-secrets-controller";
const FLAGS: [&str; 2] = ["--key-size=2048", "--rate-limit=1000"];
const ELECTION: &str = "--leader-elect";
/// The original's CRD and roles.
const ORIGINALS: &str = "tests/tests/data/existing-namespaces";
const SHORT_LEASE: &str = "--leader-elect-lease-duration=5s";

/// A controller and its proxy.
pub(super) struct Replica {
    pub(super) controller: ControllerProcess,
    pub(super) proxy: FaultProxy,
}

/// The replicas of one installation.
pub(super) struct Replicas {
    pub(super) cluster: Cluster,
    pub(super) installation: Installation,
    pub(super) all: Vec<Replica>,
    /// Further flags of each replica.
    flags: Vec<&'static str>,
    certificate: String,
    /// The expected value of each Secret.
    expected: BTreeMap<String, String>,
    changes: u32,
    /// The moments for which keys were requested.
    requests: Vec<Timestamp>,
}

impl Replicas {
    /// Starts so many replicas with the permission to elect a leader, the first of which makes the key.
    pub(super) async fn start(count: usize) -> Self {
        Self::with(count, vec![SHORT_LEASE]).await
    }

    /// As [`Self::start`], with a Lease of the default duration, which a busy machine does not let expire.
    pub(super) async fn with_default_lease(count: usize) -> Self {
        Self::with(count, Vec::new()).await
    }

    /// As [`Self::start`], with a Lease of the longest duration.
    pub(super) async fn with_long_lease(count: usize) -> Self {
        Self::with(count, vec!["--leader-elect-lease-duration=10m"]).await
    }

    /// As [`Self::start`], without an election.
    pub(super) async fn without_election(count: usize) -> Self {
        let (cluster, installation) = install().await;
        Self::of(cluster, installation, count, Vec::new()).await
    }

    /// As [`Self::with_default_lease`], with these further flags.
    pub(super) async fn with(count: usize, flags: Vec<&'static str>) -> Self {
        let (cluster, installation) = install().await;
        Self::elected(cluster, installation, count, flags).await
    }

    async fn elected(
        cluster: Cluster,
        installation: Installation,
        count: usize,
        flags: Vec<&'static str>,
    ) -> Self {
        let permissions = leader_election_manifests_in(installation.namespace()).unwrap();
        cluster.apply(&permissions).await.unwrap();
        Self::of(cluster, installation, count, [&[ELECTION], &flags[..]].concat()).await
    }

    /// As [`Self::start`], without that permission.
    pub(super) async fn without_right(count: usize) -> Self {
        let (cluster, installation) = install().await;
        Self::of(cluster, installation, count, vec![ELECTION, SHORT_LEASE]).await
    }

    /// As [`Self::with_default_lease`], without the permission to watch the Lease.
    pub(super) async fn without_right_to_watch(count: usize) -> Self {
        let (cluster, installation) = install().await;
        let mut rights = leader_election_manifests_in(installation.namespace()).unwrap();
        let rules = rights.iter_mut().filter_map(|object| object.get_mut("rules")?.as_array_mut()).flatten();
        for verbs in rules.filter_map(|rule| rule["verbs"].as_array_mut()) {
            verbs.retain(|verb| verb != "list" && verb != "watch");
        }
        cluster.apply(&rights).await.unwrap();
        Self::of(cluster, installation, count, vec![ELECTION]).await
    }

    /// As [`Self::with_default_lease`], on a control plane of its own with the original's CRD, whose status keeps less than ours.
    pub(super) async fn on_the_originals_crd(count: usize) -> Self {
        let cluster = Cluster::own().await.unwrap();
        let namespace = cluster.namespace("sealed").await.unwrap();
        let reach = Reach::Namespaces { additional: Vec::new() };
        let installation = cluster.install_on(ORIGINALS, &namespace, reach).await.unwrap();
        Self::elected(cluster, installation, count, Vec::new()).await
    }

    async fn of(
        cluster: Cluster,
        installation: Installation,
        count: usize,
        flags: Vec<&'static str>,
    ) -> Self {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(replica(&installation, &flags).await);
        }
        let certificate = all[0].controller.certificate().await.unwrap();
        let (expected, requests) = (BTreeMap::new(), Vec::new());
        Self { cluster, installation, all, flags, certificate, expected, changes: 0, requests }
    }

    pub(super) fn namespace(&self) -> &str {
        self.installation.namespace()
    }

    pub(super) fn lease(&self) -> Api<Lease> {
        Api::namespaced(self.cluster.client(), self.namespace())
    }

    pub(super) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client(), self.namespace())
    }

    pub(super) fn sealed_secrets(&self) -> Api<DynamicObject> {
        sealed_secrets(&self.cluster, self.namespace())
    }

    pub(super) async fn holder(&self) -> Option<String> {
        self.lease().get_opt(NAME).await.ok()??.spec?.holder_identity
    }

    /// The replicas that lead, by their own metrics. One that does not answer does not count.
    pub(super) async fn leaders(&self) -> Vec<usize> {
        let mut leaders = Vec::new();
        for (index, replica) in self.all.iter().enumerate() {
            if metric(&replica.controller, "leader ").await == Some(1) {
                leaders.push(index);
            }
        }
        leaders
    }

    /// Waits until one replica leads, and none of `others`, and returns it.
    pub(super) async fn until_leader_beside(&self, others: &[usize]) -> usize {
        let one = async || match self.leaders().await[..] {
            [leader] if !others.contains(&leader) => Some(leader),
            _ => None,
        };
        until("one replica leads", PATIENCE, one).await.unwrap()
    }

    pub(super) async fn until_leader(&self) -> usize {
        self.until_leader_beside(&[]).await
    }

    /// Starts a new process in the place of this replica, with a new proxy.
    pub(super) async fn start_again(&mut self, index: usize) {
        self.all[index] = replica(&self.installation, &self.flags).await;
    }

    /// As [`Self::start_again`], with these environment variables.
    pub(super) async fn start_again_with(&mut self, index: usize, variables: &[(&str, String)]) {
        let (proxy, flags) = behind_proxy(&self.installation, &self.flags).await;
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let controller =
            ControllerProcess::start_with(&self.installation, Edition::Ours, &flags, &variables).await;
        self.all[index] = Replica { controller: controller.unwrap(), proxy };
    }

    /// As [`Self::start_again`], without waiting until the process serves.
    pub(super) async fn spawn_again(&mut self, index: usize) {
        let (proxy, flags) = behind_proxy(&self.installation, &self.flags).await;
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let controller = ControllerProcess::spawn(&self.installation, Edition::Ours, &flags).await.unwrap();
        self.all[index] = Replica { controller, proxy };
    }

    /// Creates a SealedSecret, or changes it, whose Secret must have its value in the end.
    pub(super) async fn seal(&mut self, name: &str) {
        self.changes += 1;
        let value = format!("value-{name}-{}", self.changes);
        self.apply(name, &value, &json!({})).await;
        self.expected.insert(name.to_owned(), value);
    }

    /// Creates a SealedSecret whose Secret has a random value.
    pub(super) async fn seal_random(&self, name: &str) {
        self.apply(name, "p", &json!({"data": {"token": "{{ randAlphaNum 16 }}"}})).await;
    }

    /// Requests a key for the present moment, as `kubeseal keys rotate` does.
    pub(super) async fn request_key(&mut self) {
        let policies: Api<SealingKeyPolicy> = Api::namespaced(self.cluster.client(), self.namespace());
        if self.requests.is_empty() {
            apply_policy(&policies, "default", &json!({})).await;
        }
        let now = Timestamp::now();
        let annotation = Patch::Merge(json!({"metadata": {"annotations": {REQUEST: now.to_string()}}}));
        policies.patch("default", &PatchParams::default(), &annotation).await.unwrap();
        self.requests.push(now);
    }

    /// Waits until the newest key is not older than the last request.
    pub(super) async fn until_requested_key(&self) {
        let requested = self.requests.last().map(|moment| moment.as_second());
        let made = async || (self.key_starts().await.last().copied() >= requested).then_some(());
        until("the requested key is made", PATIENCE, made).await.unwrap();
    }

    /// The moments at which the keys begin, in seconds.
    async fn key_starts(&self) -> Vec<i64> {
        let keys = self.key_secrets().await;
        let mut starts: Vec<_> = keys.iter().map(|key| started(key).unwrap().as_second()).collect();
        starts.sort_unstable();
        starts
    }

    /// Asserts docs/rotation-rules.md, rule 2: each key but the first was made for a request that the one before it was too
    /// old for, and the newest is not older than the last request.
    pub(super) async fn assert_keys(&self) {
        let starts = self.key_starts().await;
        let moments: Vec<_> = self.requests.iter().map(|moment| moment.as_second()).collect();
        for pair in starts.windows(2) {
            let is_asked_for = moments.iter().any(|moment| (pair[0] + 1..=pair[1]).contains(moment));
            assert!(is_asked_for, "nobody asked for the key of {}: {starts:?} for {moments:?}", pair[1]);
        }
        assert!(starts.last() >= moments.last(), "{starts:?} for {moments:?}");
        println!("{} keys for {} requests", starts.len(), moments.len());
    }

    /// Asserts that each SealedSecret has exactly its Secret.
    pub(super) async fn assert_one_secret_each(&self) {
        let all = ListParams::default();
        let secrets = self.secrets().list(&all).await.unwrap();
        let owner = |secret: &Secret| Some(secret.owner_references().first()?.name.clone());
        let mut owners: Vec<_> = secrets.iter().filter_map(owner).collect();
        owners.sort_unstable();
        let sealed = self.sealed_secrets().list(&all).await.unwrap();
        let mut expected: Vec<_> = sealed.iter().map(kube::ResourceExt::name_any).collect();
        expected.sort_unstable();
        assert_eq!(owners, expected);
    }

    /// Creates a SealedSecret that no key decrypts.
    pub(super) async fn seal_undecryptable(&self, name: &str) {
        let mut sealed = self.sealed(name, "lost");
        sealed["spec"]["encryptedData"]["password"] = json!("AAAA");
        apply_sealed(&self.cluster, &sealed.to_string()).await;
    }

    /// Applies a SealedSecret with these further fields of the template.
    pub(super) async fn apply(&self, name: &str, value: &str, template: &Value) {
        let mut sealed = self.sealed(name, value);
        let fields = sealed["spec"]["template"].as_object_mut().unwrap();
        fields.extend(template.as_object().unwrap().clone());
        apply_sealed(&self.cluster, &sealed.to_string()).await;
    }

    fn sealed(&self, name: &str, value: &str) -> Value {
        seal_with(&self.certificate, &secret_manifest(self.namespace(), name, "password", value))
    }

    /// Waits until each Secret has its value, and each SealedSecret says so of its current generation.
    pub(super) async fn until_converged(&self, what: &str) {
        for (name, value) in &self.expected {
            let is_so = async || {
                let object = self.sealed_secrets().get_opt(name).await.ok()??;
                let secret = self.secrets().get_opt(name).await.ok()??;
                let status: &Value = object.data.get("status")?;
                let is_current = status["observedGeneration"].as_i64() == object.metadata.generation;
                let is_synced = status["conditions"][0]["status"] == "True";
                let holds = item(&secret, "password").as_deref() == Some(value.as_str());
                (holds && is_current && is_synced).then_some(())
            };
            until(&format!("{what}: {name} is as it should be"), PATIENCE, is_so).await.unwrap();
        }
    }

    /// The number of events of this reason.
    pub(super) async fn events_of(&self, reason: &str) -> usize {
        events(&self.cluster, self.namespace(), &format!("reason={reason}")).await.len()
    }

    /// The number of `Unsealed` events for each SealedSecret.
    pub(super) async fn events(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for event in events(&self.cluster, self.namespace(), "reason=Unsealed").await {
            *count.entry(event.involved_object.name.unwrap_or_default()).or_default() += 1;
        }
        count
    }

    /// Waits until the page of metrics of this replica has all these.
    pub(super) async fn until_page_has(&self, index: usize, names: &[&str]) {
        let has = async || (self.all[index].shown(names).await == names).then_some(());
        until(&format!("{index} shows {names:?}"), PATIENCE, has).await.unwrap();
    }

    /// Waits until the metrics of all replicas tell the same of keys.
    pub(super) async fn until_all_show_the_same_of_keys(&self) {
        let same = async || {
            let mut pages = BTreeSet::new();
            for replica in &self.all {
                let page = replica.controller.metrics().await.ok()?;
                pages.insert(about_keys(&page).into_iter().map(str::to_owned).collect::<Vec<_>>());
            }
            let only = pages.pop_first().filter(|lines| lines.len() >= 4)?;
            pages.is_empty().then_some(only)
        };
        until("all show the same of keys", PATIENCE, same).await.unwrap();
    }

    /// Waits until all replicas serve the same certificate, which is not `former`.
    pub(super) async fn until_same_certificate(&self, former: Option<&str>) {
        let same = async || {
            let mut served = BTreeSet::new();
            for replica in &self.all {
                served.insert(replica.controller.certificate().await.ok()?);
            }
            let only = served.pop_first()?;
            (served.is_empty() && Some(only.as_str()) != former).then_some(())
        };
        until("every replica serves the same certificate", PATIENCE, same).await.unwrap();
    }

    pub(super) async fn key_secrets(&self) -> Vec<Secret> {
        let labelled = ListParams::default().labels(LABEL);
        self.secrets().list(&labelled).await.unwrap().items
    }

    /// The names of the key Secrets.
    pub(super) async fn keys(&self) -> Vec<String> {
        self.key_secrets().await.iter().map(kube::ResourceExt::name_any).collect()
    }

    /// Waits until nothing is written any more but the Lease, and returns all versions.
    pub(super) async fn until_settled(&self) -> BTreeMap<String, Option<String>> {
        let settled = async || {
            let before = self.versions().await;
            tokio::time::sleep(SETTLING).await;
            (self.versions().await == before).then_some(before)
        };
        until("everything is written", PATIENCE, settled).await.unwrap()
    }

    /// The version of every object that a controller writes, but for the Lease.
    pub(super) async fn versions(&self) -> BTreeMap<String, Option<String>> {
        let all = ListParams::default();
        let secrets = self.secrets().list(&all).await.unwrap().items.into_iter();
        let secrets = secrets.map(|one| (format!("Secret {}", one.name_any()), one.resource_version()));
        let events = events(&self.cluster, self.namespace(), "").await.into_iter();
        let events = events.map(|one| (format!("Event {}", one.name_any()), one.resource_version()));
        let sealed = self.sealed_secrets().list(&all).await.unwrap().items.into_iter();
        let sealed = sealed.map(|one| (format!("SealedSecret {}", one.name_any()), one.resource_version()));
        let keys: Api<SealingKey> = Api::namespaced(self.cluster.client(), self.namespace());
        // The original's CRD comes without this kind.
        let keys = keys.list(&all).await.map(|keys| keys.items).unwrap_or_default().into_iter();
        let keys = keys.map(|one| (format!("SealingKey {}", one.name_any()), one.resource_version()));
        secrets.chain(events).chain(sealed).chain(keys).collect()
    }
}

impl Replica {
    pub(super) fn signal(&mut self, name: &str) {
        self.controller.process().signal(name).unwrap();
    }

    /// Those of these beginnings of metrics that its page contains.
    pub(super) async fn shown<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        let page = self.controller.metrics().await.unwrap();
        names.iter().copied().filter(|name| page.contains(&format!("_controller_{name}"))).collect()
    }

    /// The writes of this replica about other objects than the Lease.
    pub(super) fn writes(&self) -> Vec<Asked> {
        self.proxy
            .asked()
            .into_iter()
            .filter(|asked| asked.method != Method::GET && !is_about_lease(&asked.path))
            .collect()
    }

    /// Asserts that this replica has written nothing but the Lease since this moment.
    pub(super) fn assert_quiet_since(&self, moment: Instant) {
        let asked = self.proxy.asked_since(moment);
        let writes = asked.iter().filter(|asked| asked.method != Method::GET && !is_about_lease(&asked.path));
        assert_eq!(writes.map(|asked| (&asked.method, &asked.path)).collect::<Vec<_>>(), []);
    }

    /// Asserts that each write of this replica applies to one version of its object only, or has a name that makes it unique.
    pub(super) fn assert_conditional(&self) {
        for Asked { method, path, body, .. } in self.proxy.asked() {
            let is_set = |pointer: &str| body.pointer(pointer).is_some_and(|value| value != "");
            let is_conditional = match method.as_str() {
                "GET" => true,
                "PUT" => is_set("/metadata/uid") && is_set("/metadata/resourceVersion"),
                "POST" => has_computed_name(&path, &body) || path.contains("/selfsubjectreviews"),
                // A SealingKey goes with its Secret, whatever has changed in it.
                "DELETE" if path.contains("/sealingkeys/") => is_set("/preconditions/uid"),
                "DELETE" => is_set("/preconditions/uid") && is_set("/preconditions/resourceVersion"),
                _ => false,
            };
            assert!(is_conditional, "{method} {path} {body}");
        }
    }

    pub(super) async fn until_logged(&self, text: &str) {
        until_logged(&self.controller, text).await;
    }
}

/// Returns true if the name of an object to be created follows from what it is about, so that only one replica creates it.
fn has_computed_name(path: &str, object: &Value) -> bool {
    let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else { return false };
    match path.split('?').next().and_then(|path| path.rsplit('/').next()) {
        Some("events") => name.rsplit_once('.').is_some_and(|(_, digest)| {
            digest.len() == 16 && digest.bytes().all(|digit| digit.is_ascii_hexdigit())
        }),
        Some("secrets") => {
            let is_of_owner = object["metadata"]["ownerReferences"][0]["name"] == name;
            is_of_owner || is_successor_name("sealed-secrets-key", name)
        }
        Some("sealingkeys") => object["metadata"]["ownerReferences"][0]["name"] == name,
        Some("leases") => name == NAME,
        _ => false,
    }
}

/// The lines of a page of metrics about keys and their rotation.
pub(super) fn about_keys(page: &str) -> BTreeSet<&str> {
    let of_key = ["key_info{", "key_not_after_timestamp_seconds{", "rotation_"];
    let is_it = |line: &&str| {
        let name = line.strip_prefix("sealed_secrets_controller_");
        name.is_some_and(|name| of_key.iter().any(|beginning| name.starts_with(beginning)))
    };
    page.lines().filter(is_it).collect()
}

pub(super) fn is_about_lease(path: &str) -> bool {
    path.contains("/leases")
}

async fn install() -> (Cluster, Installation) {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    (cluster, installation)
}

async fn replica(installation: &Installation, further: &[&str]) -> Replica {
    let (proxy, flags) = behind_proxy(installation, further).await;
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Replica { controller: installation.start(Edition::Ours, &flags).await.unwrap(), proxy }
}

/// A new proxy, and the flags of a replica that uses it.
async fn behind_proxy(installation: &Installation, further: &[&str]) -> (FaultProxy, Vec<String>) {
    let proxy = FaultProxy::start(installation).await.unwrap();
    let through = proxy.flag();
    let flags = [&FLAGS[..], further, &[through.as_str()]].concat();
    (proxy, flags.into_iter().map(str::to_owned).collect())
}

/// The value of a metric of ours whose line begins so.
pub(super) async fn metric(controller: &ControllerProcess, begin: &str) -> Option<i64> {
    let page = tokio::time::timeout(Duration::from_secs(1), controller.metrics()).await.ok()?.ok()?;
    let line = format!("sealed_secrets_controller_{begin}");
    page.lines().find_map(|found| found.strip_prefix(&line))?.trim().parse().ok()
}
