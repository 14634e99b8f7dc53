//! Controllers whose watches lag, one or several replicas on the same objects: no value replaces a later one, no deleted object
//! comes back, and every event is emitted once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::WatchEvent;
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{
    Asked, Cluster, ControllerProcess, Edition, Fault, FaultProxy, Installation, until,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::key_scene::LABEL;
use crate::scene::{item, seal_with};
use crate::support::{PATIENCE, apply_sealed, events, sealed_secrets};

const OBJECTS: usize = 6;
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(2);

/// The Secret as the watch delivered it; `None` after its deletion.
type Shown = (String, Option<Secret>);

/// Replicas of a controller, each behind a proxy of its own, and a record of all changes of the Secrets.
struct Replicas {
    cluster: Cluster,
    installation: Installation,
    members: Vec<(FaultProxy, ControllerProcess)>,
    certificate: String,
    record: Arc<Mutex<Vec<Shown>>>,
    recorder: JoinHandle<()>,
    markers: usize,
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.recorder.abort();
    }
}

impl Replicas {
    async fn start(count: usize) -> Self {
        let cluster = Cluster::shared().await.unwrap();
        let installation = cluster.install_namespaced(&[]).await.unwrap();
        let mut members = Vec::new();
        for _ in 0..count {
            let proxy = FaultProxy::start(&installation).await.unwrap();
            let kubeconfig = proxy.flag();
            let arguments = [kubeconfig.as_str(), "--key-size=2048"];
            let controller = installation.start(Edition::Ours, &arguments).await.unwrap();
            members.push((proxy, controller));
        }
        let certificate = members[0].1.certificate().await.unwrap();
        let secrets = Api::namespaced(cluster.client(), installation.namespace());
        let record = Arc::default();
        let recorder = tokio::spawn(follow(secrets, Arc::clone(&record)));
        Self { cluster, installation, members, certificate, record, recorder, markers: 0 }
    }

    /// Delays the watches of SealedSecrets of all replicas but the first, or of the only one; with `all`, all of their watches.
    fn late(&self, by: Duration, all: bool) {
        let spared = usize::from(self.members.len() > 1);
        for (proxy, _) in &self.members[spared..] {
            proxy.delay(move |path| {
                let is_late = path.contains("watch=") && (all || path.contains("/sealedsecrets"));
                is_late.then_some(by)
            });
        }
    }

    fn namespace(&self) -> &str {
        self.installation.namespace()
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client(), self.namespace())
    }

    fn sealed_secrets(&self) -> Api<DynamicObject> {
        sealed_secrets(&self.cluster, self.namespace())
    }

    fn sealed(&self, name: &str, value: &str) -> Value {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": self.namespace(),
                "annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"}
            },
            "stringData": {"value": value}
        });
        seal_with(&self.certificate, &secret)
    }

    /// Applies every object with this value and this many random characters, and waits until all controllers have processed them.
    async fn change(&mut self, value: usize, random: usize) {
        let sealed = self.sealed("any", &value.to_string());
        for number in 0..OBJECTS {
            let mut sealed = sealed.clone();
            sealed["metadata"]["name"] = json!(format!("db-{number}"));
            sealed["spec"]["template"]["metadata"]["name"] = json!(format!("db-{number}"));
            sealed["spec"]["template"]["data"] = json!({"token": format!("{{{{ randAlphaNum {random} }}}}")});
            apply_sealed(&self.cluster, &sealed.to_string()).await;
        }
        let secrets = self.secrets();
        for number in 0..OBJECTS {
            let name = format!("db-{number}");
            let is_new = async || {
                let secret = secrets.get_opt(&name).await.ok()??;
                let random = item(&secret, "token").is_some_and(|token| token.len() == random);
                (random && item(&secret, "value")? == value.to_string()).then_some(())
            };
            until(&format!("{name} has value {value}"), PATIENCE, is_new).await.unwrap();
        }
        self.until_all_have_seen_everything().await;
    }

    /// Waits until every watch has delivered the current state, and no controller sends requests because of it.
    async fn until_all_have_seen_everything(&mut self) {
        self.markers += 1;
        let name = format!("marker-{}", self.markers);
        apply_sealed(&self.cluster, &self.sealed(&name, "marker").to_string()).await;
        let label = format!("name=\"{name}\"");
        for (_, controller) in &self.members {
            let knows = async || controller.metrics().await.ok()?.contains(&label).then_some(());
            until(&format!("all know {name}"), PATIENCE, knows).await.unwrap();
        }
        // The test must wait for the absence of requests.
        let quiet = async || {
            let before = self.questions();
            tokio::time::sleep(LONG).await;
            (self.questions() == before).then_some(())
        };
        until("all are quiet", PATIENCE, quiet).await.unwrap();
    }

    /// The number of requests about single objects.
    fn questions(&self) -> usize {
        let of_object = |asked: &Asked| {
            let resource =
                ["/secrets", "/sealedsecrets", "/events"].iter().any(|part| asked.path.contains(part));
            resource && !asked.path.contains("watch=") && !asked.path.contains("limit=")
        };
        let count =
            |(proxy, _): &(FaultProxy, _)| proxy.asked().iter().filter(|asked| of_object(asked)).count();
        self.members.iter().map(count).sum()
    }

    fn shown(&self) -> Vec<Shown> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The versions of the Secrets of each name that the watch has delivered, in order.
    fn histories(&self) -> BTreeMap<String, Vec<Secret>> {
        let mut histories: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        for (name, secret) in self.shown() {
            if let Some(secret) = secret.filter(|_| name.starts_with("db-")) {
                histories.entry(name).or_default().push(secret);
            }
        }
        histories
    }

    /// The number of events for each object and reason.
    async fn told(&self) -> BTreeMap<(String, String), i32> {
        let mut told = BTreeMap::new();
        for event in events(&self.cluster, self.namespace(), "").await {
            let about = event.involved_object.name.unwrap_or_default();
            if about.starts_with("db-") {
                *told.entry((about, event.reason.unwrap_or_default())).or_default() +=
                    event.count.unwrap_or(1);
            }
        }
        told
    }
}

/// Records all events of a watch of Secrets, from the beginning, without the keys.
async fn follow(secrets: Api<Secret>, record: Arc<Mutex<Vec<Shown>>>) {
    let mut version = "0".to_owned();
    loop {
        let parameters = kube::api::WatchParams::default().labels(&format!("!{LABEL}")).timeout(290);
        let Ok(events) = secrets.watch(&parameters, &version).await else { continue };
        let mut events = events.boxed();
        while let Ok(Some(event)) = events.try_next().await {
            let shown = match event {
                WatchEvent::Added(secret) | WatchEvent::Modified(secret) => {
                    version = secret.resource_version().unwrap();
                    (secret.name_any(), Some(secret))
                }
                WatchEvent::Deleted(secret) => (secret.name_any(), None),
                WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
            };
            record.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        }
    }
}

/// Changes every object three times, the last time only its random value.
async fn nothing_goes_back(count: usize, by: Duration, all: bool) {
    let what = format!("{count} controllers, {by:?} late, all watches: {all}");
    let mut replicas = Replicas::start(count).await;
    replicas.late(by, all);
    let changes = [(0, 24), (1, 24), (2, 24), (2, 25)];
    for (value, random) in changes {
        replicas.change(value, random).await;
    }
    let told = replicas.told().await;
    let histories = replicas.histories();
    assert_eq!(histories.len(), OBJECTS, "{what}");
    for (name, history) in histories {
        let stages = history.iter().map(|secret| {
            let token = item(secret, "token").unwrap();
            (item(secret, "value").unwrap().parse::<usize>().unwrap(), token.len(), token)
        });
        let stages: Vec<_> = stages.collect();
        let order: Vec<_> = stages.iter().map(|(value, length, _)| (*value, *length)).collect();
        assert!(order.is_sorted(), "{what}: {name} went back: {order:?}");
        let values: BTreeSet<_> = stages.into_iter().collect();
        assert_eq!(values.len(), changes.len(), "{what}: {name} has one random value for each change");
        let expected = i32::try_from(changes.len()).unwrap();
        assert_eq!(told.get(&(name.clone(), "Unsealed".to_owned())), Some(&expected), "{what}: {name}");
        assert_eq!(told.get(&(name.clone(), "SecretRepaired".to_owned())), None, "{what}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_back_with_one_controller_whose_watches_are_late() {
    nothing_goes_back(1, LONG, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_back_with_two_controllers_of_which_one_is_late() {
    nothing_goes_back(2, SHORT, false).await;
    nothing_goes_back(2, LONG, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_back_with_three_controllers_of_which_two_are_late() {
    nothing_goes_back(3, SHORT, true).await;
    nothing_goes_back(3, LONG, false).await;
}

/// Deletes SealedSecrets, and right after that their Secrets, half of which have no owner and would not be garbage collected.
async fn nothing_comes_back(count: usize, by: Duration) {
    let mut replicas = Replicas::start(count).await;
    let names: Vec<_> = (0..OBJECTS).map(|number| format!("db-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let mut sealed = replicas.sealed(name, "deleted");
        if number % 2 == 0 {
            let annotations = sealed["spec"]["template"]["metadata"]["annotations"].as_object_mut().unwrap();
            for annotation in ["managed", "skip-set-owner-references"] {
                annotations.insert(format!("sealedsecrets.bitnami.com/{annotation}"), json!("true"));
            }
        }
        apply_sealed(&replicas.cluster, &sealed.to_string()).await;
    }
    let secrets = replicas.secrets();
    for name in &names {
        let there = async || secrets.get_opt(name).await.ok()?.map(|_| ());
        until(&format!("{name} is there"), PATIENCE, there).await.unwrap();
    }
    replicas.until_all_have_seen_everything().await;
    replicas.late(by, false);
    for name in &names {
        replicas.sealed_secrets().delete(name, &DeleteParams::default()).await.unwrap();
        // The garbage collector may have been faster.
        let _ = secrets.delete(name, &DeleteParams::default()).await;
    }
    replicas.until_all_have_seen_everything().await;
    let there = secrets.list(&ListParams::default()).await.unwrap();
    let left: Vec<_> =
        there.iter().map(kube::ResourceExt::name_any).filter(|name| names.contains(name)).collect();
    assert_eq!(left, Vec::<String>::new(), "{count} controllers, {by:?} late");
    for name in &names {
        let shown = replicas.shown();
        let mut shown =
            shown.iter().filter(|(other, _)| other == name).skip_while(|(_, secret)| secret.is_some());
        assert!(
            shown.all(|(_, secret)| secret.is_none()),
            "{count} controllers, {by:?} late: {name} came back"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_deleted_comes_back_however_late_a_watch_is() {
    nothing_comes_back(1, LONG).await;
    nothing_comes_back(2, SHORT).await;
    nothing_comes_back(3, LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_not_made_again_after_a_pause_in_which_its_sealed_secret_was_deleted() {
    const PAUSE: u32 = 5;
    let replicas = Replicas::start(1).await;
    let mut sealed = replicas.sealed("db-0", "deleted");
    let annotations = sealed["spec"]["template"]["metadata"]["annotations"].as_object_mut().unwrap();
    for annotation in ["managed", "skip-set-owner-references"] {
        annotations.insert(format!("sealedsecrets.bitnami.com/{annotation}"), json!("true"));
    }
    apply_sealed(&replicas.cluster, &sealed.to_string()).await;
    let there = async || replicas.secrets().get_opt("db-0").await.ok()?.map(|_| ());
    until("db-0 is there", PATIENCE, there).await.unwrap();
    let proxy = &replicas.members[0].0;
    proxy.fail(|method, path| {
        let creates = method == Method::POST && path.split('?').next()?.ends_with("/secrets");
        creates.then_some(Fault::RetryAfter(PAUSE))
    });
    replicas.secrets().delete("db-0", &DeleteParams::default()).await.unwrap();
    let refused = async || (proxy.faults() > 0).then_some(());
    until("the creation is put off", PATIENCE, refused).await.unwrap();
    replicas.sealed_secrets().delete("db-0", &DeleteParams::default()).await.unwrap();
    proxy.heal();
    tokio::time::sleep(Duration::from_secs(u64::from(PAUSE) + 2)).await;
    assert!(replicas.secrets().get_opt("db-0").await.unwrap().is_none(), "it came back");
}

/// The name at the end of a path of this resource.
fn named<'a>(asked: &'a Asked, resource: &str) -> Option<&'a str> {
    let path = asked.path.split('?').next()?;
    let name = path.split_once(&format!("/{resource}/"))?.1;
    (!name.contains('/')).then_some(name)
}

/// Returns true if the request is bound to one version of one object, by UID and resourceVersion.
fn is_bound(asked: &Asked) -> bool {
    let text = |field: &str| asked.body["metadata"][field].as_str().is_some_and(|text| !text.is_empty());
    text("uid") && text("resourceVersion")
}

/// Checks every write in order. Each PUT of a Secret follows GETs of that Secret and then of its SealedSecret; a repeated
/// creation does, too; a first creation needs none. The status of a generation follows its event, so that no crash between them
/// loses it.
fn assert_in_order(asked: &[Asked], made_again: &[&str]) {
    let mut looks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut reported: BTreeMap<String, i64> = BTreeMap::new();
    for one in asked.iter().filter(|one| !one.path.contains("watch=")) {
        let is_key = one.body["metadata"]["labels"].get(LABEL).is_some();
        if let (&Method::GET, Some(name)) = (&one.method, named(one, "secrets")) {
            looks.insert(name.to_owned(), vec!["Secret"]);
        } else if let (&Method::GET, Some(name)) = (&one.method, named(one, "sealedsecrets")) {
            if one.accept.contains("PartialObjectMetadata;") {
                looks.entry(name.to_owned()).or_default().push("SealedSecret");
            }
        } else if let (&Method::PUT, Some(name)) = (&one.method, named(one, "secrets")) {
            assert!(is_bound(one), "{}", one.path);
            let seen = looks.remove(name).unwrap_or_default();
            assert!(is_key || seen == ["Secret", "SealedSecret"], "{name} was written after {seen:?}");
        } else if one.method == Method::POST
            && one.path.split('?').next().unwrap().ends_with("/secrets")
            && !is_key
        {
            let name = one.body["metadata"]["name"].as_str().unwrap().to_owned();
            let seen = looks.remove(&name).unwrap_or_default();
            let expected: &[&str] = if made.contains(&name) { &["Secret", "SealedSecret"] } else { &[] };
            assert_eq!(seen, expected, "{name} was created");
            made.insert(name);
        } else if one.method == Method::PUT {
            assert!(is_bound(one), "{}", one.path);
            let generation = one.body["status"]["observedGeneration"].as_i64();
            if let Some(generation) = generation.filter(|_| one.path.contains("/sealedsecrets/")) {
                let name = one.body["metadata"]["name"].as_str().unwrap().to_owned();
                let is_new = reported.insert(name.clone(), generation) != Some(generation);
                assert!(!is_new || told.remove(&name), "the status of {name} came before its event");
            }
        } else if one.method == Method::POST && one.path.contains("/events") {
            let metadata = &one.body["metadata"];
            assert!(metadata["name"].is_string() && metadata["generateName"].is_null(), "{metadata}");
            told.extend(one.body["involvedObject"]["name"].as_str().map(str::to_owned));
        }
    }
    assert!(reported.len() > OBJECTS, "{reported:?}");
    assert!(made_again.iter().all(|name| made.contains(*name)), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_names_the_replaced_version_and_follows_a_read_of_the_live_sealed_secret() {
    let mut replicas = Replicas::start(1).await;
    replicas.change(0, 24).await;
    replicas.change(1, 24).await;
    let secrets = replicas.secrets();
    let edit = Patch::Merge(json!({"stringData": {"value": "edited"}}));
    secrets.patch("db-0", &PatchParams::default(), &edit).await.unwrap();
    secrets.delete("db-1", &DeleteParams::default()).await.unwrap();
    for name in ["db-0", "db-1"] {
        let repaired = async || (item(&secrets.get_opt(name).await.ok()??, "value")? == "1").then_some(());
        until(&format!("{name} is repaired"), PATIENCE, repaired).await.unwrap();
    }
    replicas.until_all_have_seen_everything().await;
    let asked = replicas.members[0].0.asked();
    assert_in_order(&asked, &["db-0", "db-1"]);
    let puts = asked.iter().filter(|one| one.method == Method::PUT && named(one, "secrets").is_some());
    assert!(puts.count() > OBJECTS, "otherwise there is nothing to read");
    let told = replicas.told().await;
    let repaired =
        told.iter().filter(|((_, reason), _)| reason == "SecretRepaired").map(|((name, _), _)| name);
    assert_eq!(repaired.collect::<Vec<_>>(), ["db-0", "db-1"]);
}
