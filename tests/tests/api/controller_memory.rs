//! The controller within the memory limit of deploy/, for any objects that tenants create.

use std::fmt::Write as _;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, ResourceExt};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::memory_limit::{MemoryLimit, peak_memory};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::{Value, json};

use crate::scene::{Scene, created};
use crate::support::{PATIENCE, sealed_secrets};

/// Two thirds of the limit in `deploy/kustomize/base/deployment.yaml`, which is 192Mi.
const LIMIT: u64 = 128 << 20;
/// The part that is reserved for the processing of objects; the other part holds all cached objects.
const HALF: u64 = LIMIT / 2;
const OBJECTS: usize = 60;
/// The size of an item: 1.3 MB as base64 in a SealedSecret, and nearly the maximum for a Secret.
const BYTES: usize = 970_000;

impl Scene {
    /// Creates objects of 1.3 MB: one item each, sealed with scope cluster-wide.
    async fn create_huge_objects(&self, from: usize, to: usize) {
        let item = self.sealed_for_all(BYTES).await;
        for number in from..to {
            self.create(&self.object(&format!("huge-{number}"), &json!({"item": item}))).await;
        }
    }

    /// Replaces the items by small ones while no controller runs: their Secrets stay large.
    async fn shrink_huge_objects(&self, item: &str) {
        let change = json!({"spec": {"encryptedData": {"item": item}}});
        let shrink = async |number| self.merge(&format!("huge-{number}"), &change).await;
        stream::iter(0..OBJECTS).for_each_concurrent(4, shrink).await;
    }

    /// Waits until the status of every huge object says that there is a newer key.
    async fn until_all_are_stale(&self) {
        for number in 0..OBJECTS {
            let name = format!("huge-{number}");
            let is_stale = async || {
                let object = self.sealed_secrets().get(&name).await.ok()?;
                object.data["status"].to_string().contains("\"Stale\"").then_some(())
            };
            until(&format!("{name} is stale"), PATIENCE, is_stale).await.unwrap();
        }
    }

    async fn until_all_are_small(&self) {
        let is_small = |secret: &Secret| secret.data.as_ref().is_some_and(|data| data["item"].0.len() == 20);
        for number in 0..OBJECTS {
            self.until_secret(&format!("huge-{number}"), "is small", is_small).await;
        }
    }

    /// An item of so many bytes, sealed with scope cluster-wide.
    async fn sealed_for_all(&self, bytes: usize) -> String {
        let certificate = self.controller.certificate().await.unwrap();
        let certificate = SealingCertificate::from_pem(certificate.as_bytes()).unwrap();
        let label = Label::new(Scope::ClusterWide, self.namespace(), "any");
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        seal_value(&mut random, certificate.public_key(), &label, &vec![b'x'; bytes]).unwrap()
    }

    fn object(&self, name: &str, items: &Value) -> Value {
        let annotations = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": name, "namespace": self.namespace(), "annotations": annotations},
            "spec": {"encryptedData": items, "template": {"metadata": {"annotations": annotations}}}
        })
    }

    /// Creates objects of two items.
    async fn create_small_objects(&self, from: usize, to: usize) {
        let item = self.sealed_for_all(20).await;
        let items = json!({"one": item, "two": item});
        let create = async |number| {
            self.create(&self.object(&format!("small-{number}"), &items)).await;
        };
        stream::iter(from..to).for_each_concurrent(16, create).await;
    }

    /// Waits until every small object has a reason in its status, and returns the names of the objects over the memory limit.
    async fn refused_of(&self, count: usize) -> Vec<String> {
        let told = async || {
            let objects = self.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
            let reason = |object: &DynamicObject| object.data["status"]["conditions"][0]["reason"].clone();
            let all_say = objects.len() == count && objects.iter().all(|object| reason(object).is_string());
            let refused = objects.iter().filter(|object| reason(object) == "OverMemoryLimit");
            all_say.then(|| refused.map(ResourceExt::name_any).collect())
        };
        until(&format!("{count} objects say something"), PATIENCE, told).await.unwrap()
    }

    async fn restart_under_the_limit(&mut self, limit: Option<MemoryLimit>) -> Option<MemoryLimit> {
        self.controller.stop().await.unwrap();
        drop(limit);
        self.start_under_the_limit().await
    }

    async fn start_under_the_limit(&mut self) -> Option<MemoryLimit> {
        self.controller = self.installation.start(Edition::Ours, &[]).await.unwrap();
        MemoryLimit::on(self.controller.process().id(), LIMIT)
    }

    /// The peak memory of the controller once it has become idle.
    async fn peak_when_synced_are(&mut self, count: usize) -> f64 {
        let needed = format!(" {}", 2 * count);
        let counted = async || {
            let page = self.controller.metrics().await.unwrap();
            let mut keys =
                page.lines().filter(|line| line.starts_with("sealed_secrets_controller_key_items{"));
            keys.any(|line| line.ends_with(&needed)).then_some(())
        };
        until(&format!("{count} objects are known"), PATIENCE, counted).await.unwrap();
        assert_eq!(self.refused_of(count).await, [""; 0]);
        let peak = peak_memory(self.controller.process().id()).unwrap();
        f64::from(u32::try_from(peak).unwrap())
    }

    async fn until_all_are_open(&mut self, count: usize) {
        let what = format!("{count} Secrets are there");
        let there = async || {
            let secrets = self.secrets().list_metadata(&ListParams::default()).await.unwrap().items;
            let huge = secrets.iter().filter(|secret| secret.name_any().starts_with("huge-"));
            (huge.count() == count).then_some(())
        };
        until(&what, PATIENCE, there).await.unwrap();
        let peak = peak_memory(self.controller.process().id()).unwrap();
        assert!(peak < HALF, "{} MiB, the log ends with {}", peak >> 20, self.end_of_log());
    }

    fn end_of_log(&self) -> String {
        self.controller.log().lines().rev().take(3).fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        })
    }
}

#[tokio::test]
async fn sixty_objects_of_the_largest_size_fit_into_the_limit_at_the_start_and_in_operation() {
    let mut scene = Scene::set().await;
    let limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    scene.create_huge_objects(0, OBJECTS / 2).await;
    scene.until_all_are_open(OBJECTS / 2).await;
    scene.create_huge_objects(OBJECTS / 2, OBJECTS - 5).await;
    scene.until_all_are_open(OBJECTS - 5).await;
    let certificate_of_before = scene.controller.certificate().await.unwrap();

    scene.create_huge_objects(OBJECTS - 5, OBJECTS).await;
    let limit = scene.restart_under_the_limit(limit).await;
    scene.until_all_are_open(OBJECTS).await;
    assert_eq!(scene.controller.certificate().await.unwrap(), certificate_of_before);
    scene.opened("small").await;
    scene.new_key().await;
    scene.until_all_are_stale().await;
    scene.until_all_are_open(OBJECTS).await;

    let item = scene.sealed_for_all(20).await;
    scene.controller.stop().await.unwrap();
    drop(limit);
    scene.shrink_huge_objects(&item).await;
    let _limit = scene.start_under_the_limit().await;
    scene.until_all_are_small().await;
    scene.until_all_are_open(OBJECTS).await;
    scene.controller.stop().await.unwrap();
}

/// Labels that the API server refuses, of each of which its answer says some 500 bytes.
const WRONG_LABELS: usize = 30_000;
const REFUSED_OBJECTS: usize = 3;

#[tokio::test]
async fn refusals_that_are_many_times_as_large_as_their_objects_fit_into_the_limit() {
    let mut scene = Scene::set().await;
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    let labels: serde_json::Map<_, _> =
        (0..WRONG_LABELS).map(|number| (format!("a{number}"), json!("!"))).collect();
    let items = json!({"item": scene.sealed_for_all(20).await});
    for number in 0..REFUSED_OBJECTS {
        let mut sealed = scene.object(&format!("refused-{number}"), &items);
        sealed["spec"]["template"]["metadata"]["labels"] = labels.clone().into();
        scene.create(&sealed).await;
    }
    for number in 0..REFUSED_OBJECTS {
        let message = scene.until_synced(&format!("refused-{number}"), "False").await;
        assert!(message.contains("the value of label a0 is not one of"), "{message}");
    }
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < HALF, "{} MiB", peak >> 20);
}

/// Chains of nested fields in managedFields, which as a tree take a hundred times the memory of their text, and their length.
const CHAINS: usize = 1_700;
const CHAIN: usize = 90;

#[tokio::test]
async fn secrets_whose_managed_fields_are_large_fit_into_the_limit() {
    let mut scene = Scene::set().await;
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    let chain = (0..CHAIN).fold(json!({}), |inner, _| json!({"f:a": inner}));
    let chains: serde_json::Map<_, _> =
        (0..CHAINS).map(|number| (format!("f:{number}"), chain.clone())).collect();
    let entry = json!({
        "manager": "tenant", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": chains}
    });
    for number in 0..REFUSED_OBJECTS {
        let name = format!("managed-{number}");
        let secret: Secret = serde_json::from_value(scene.secret(&name, "password", "theirs")).unwrap();
        let mut secret = scene.secrets().create(&PostParams::default(), &secret).await.unwrap();
        secret.metadata.managed_fields = Some(vec![serde_json::from_value(entry.clone()).unwrap()]);
        scene.secrets().replace(&name, &PostParams::default(), &secret).await.unwrap();
        scene.create(&scene.object(&name, &json!({}))).await;
    }
    for number in 0..REFUSED_OBJECTS {
        let message = scene.until_synced(&format!("managed-{number}"), "False").await;
        assert!(message.contains("not managed by SealedSecret"), "{message}");
    }
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < HALF, "{} MiB", peak >> 20);
}

/// The number of templates with empty results, each of which takes a multiple of its text in memory.
const SMALL_FIELDS: usize = 35_000;
const OBJECTS_OF_SMALL_FIELDS: usize = 7;

#[tokio::test]
async fn objects_of_many_small_fields_fit_into_the_limit_after_a_start() {
    let cluster = Cluster::shared().await.unwrap();
    let other = cluster.namespace("fields").await.unwrap();
    let installation = cluster.install_namespaced(&[&other]).await.unwrap();
    let mut scene = Scene::start(cluster, installation, &[]).await;
    scene.controller.stop().await.unwrap();
    let fields: serde_json::Map<_, _> =
        (0..SMALL_FIELDS).map(|number| (format!("a{number}"), json!(""))).collect();
    let namespaces = [scene.namespace().to_owned(), other];
    for namespace in &namespaces {
        let objects = sealed_secrets(&scene.cluster, namespace);
        for number in 0..OBJECTS_OF_SMALL_FIELDS {
            let sealed = json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                "metadata": {"name": format!("fields-{number}"), "namespace": namespace},
                "spec": {"encryptedData": {}, "template": {"data": fields}}
            });
            let object = serde_json::from_value(sealed).unwrap();
            created(&objects, &object).await;
        }
    }
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    for namespace in &namespaces {
        let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), namespace);
        let are_there = async || {
            let secrets = secrets.list_metadata(&ListParams::default()).await.unwrap().items;
            let ours = secrets.iter().filter(|secret| secret.name_any().starts_with("fields-"));
            (ours.count() == OBJECTS_OF_SMALL_FIELDS).then_some(())
        };
        until("all Secrets are there", PATIENCE * 3, are_there).await.unwrap();
    }
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < LIMIT / 4 * 3, "{} MiB, the log ends with {}", peak >> 20, scene.end_of_log());
    scene.controller.stop().await.unwrap();
}

/// Small objects, and the bytes that the template of each makes: nearly the maximum for a Secret.
const ENLARGED: usize = 30;
const ENLARGED_BYTES: usize = 1_000_000;

#[tokio::test]
async fn secrets_that_templates_make_of_small_objects_fit_into_the_limit() {
    let cluster = Cluster::shared().await.unwrap();
    let others = [cluster.namespace("enlarged").await.unwrap(), cluster.namespace("enlarged").await.unwrap()];
    let installation = cluster.install_namespaced(&[&others[0], &others[1]]).await.unwrap();
    let mut scene = Scene::start(cluster, installation, &[]).await;
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    let namespaces = others.iter().map(String::as_str).chain([scene.namespace()]);
    let named = namespaces.flat_map(|namespace| (0..ENLARGED).map(move |number| (namespace, number)));
    let create = async |(namespace, number): (&str, usize)| {
        let templates = json!({"made": format!("{{{{ repeat {ENLARGED_BYTES} \"x\" }}}}")});
        let sealed = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": format!("huge-{number}"), "namespace": namespace},
            "spec": {"encryptedData": {}, "template": {"data": templates}}
        });
        let objects = sealed_secrets(&scene.cluster, namespace);
        created(&objects, &serde_json::from_value(sealed).unwrap()).await;
        let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), namespace);
        let there = async || secrets.get_metadata_opt(&format!("huge-{number}")).await.ok()?;
        until(&format!("Secret huge-{number} of {namespace}"), PATIENCE * 3, there).await.unwrap();
    };
    stream::iter(named).for_each_concurrent(None, create).await;
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < LIMIT / 4 * 3, "{} MiB, the log ends with {}", peak >> 20, scene.end_of_log());
    scene.controller.stop().await.unwrap();
}

/// Namespaces that are watched one by one.
const WATCHED: usize = 30;

#[tokio::test]
async fn large_objects_of_many_namespaces_that_are_watched_one_by_one_fit_into_the_limit() {
    let cluster = Cluster::shared().await.unwrap();
    let mut others = Vec::new();
    for _ in 0..WATCHED {
        others.push(cluster.namespace("watched").await.unwrap());
    }
    let names: Vec<&str> = others.iter().map(String::as_str).collect();
    let installation = cluster.install_namespaced(&names).await.unwrap();
    let mut scene = Scene::start(cluster, installation, &[]).await;
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    let item = "A".repeat(BYTES / 3 * 4);
    let create = async |namespace: &str| {
        let sealed = json!({
            "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
            "metadata": {"name": "huge", "namespace": namespace}, "spec": {"encryptedData": {"item": item}}
        });
        let objects = sealed_secrets(&scene.cluster, namespace);
        created(&objects, &serde_json::from_value(sealed).unwrap()).await;
    };
    stream::iter(names).for_each_concurrent(None, create).await;
    let are_judged = async || {
        let page = scene.controller.metrics().await.ok()?;
        let failing = page.lines().filter(|line| line.contains("_unsynced_objects{namespace=\"watched-"));
        (failing.count() == WATCHED).then_some(())
    };
    until("all objects are judged", PATIENCE, are_judged).await.unwrap();
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < HALF, "{} MiB, the log ends with {}", peak >> 20, scene.end_of_log());
    scene.controller.stop().await.unwrap();
}

/// Two numbers of objects, from which the memory of ten thousand is extrapolated.
const FEW: usize = 300;
const MANY: usize = 1_300;

/// Extrapolates the peak memory to ten thousand objects, from the peaks with [`FEW`] and with [`MANY`].
fn with_ten_thousand(few: f64, many: f64) -> f64 {
    let objects = |count: usize| f64::from(u32::try_from(count).unwrap());
    let of_one = (many - few) / (objects(MANY) - objects(FEW));
    few + of_one * (10_000.0 - objects(FEW))
}

/// This control plane would take minutes to create ten thousand objects. Memory grows linearly with the objects, so two
/// measurements give the slope; the specs in the work queue, the largest part of an object, are limited to 20 MiB in total.
#[tokio::test]
async fn ten_thousand_objects_of_two_items_fit_into_the_limit_at_the_start_and_in_operation() {
    let limit = f64::from(u32::try_from(LIMIT).unwrap());
    let mut scene = Scene::set().await;
    let mut group = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    let (mut in_operation, mut at_start) = (Vec::new(), Vec::new());
    for (from, to) in [(0, FEW), (FEW, MANY)] {
        scene.create_small_objects(from, to).await;
        in_operation.push(scene.peak_when_synced_are(to).await);
        group = scene.restart_under_the_limit(group).await;
        at_start.push(scene.peak_when_synced_are(to).await);
    }
    for (when, peaks) in [("in operation", in_operation), ("at the start", at_start)] {
        let peak = with_ten_thousand(peaks[0], peaks[1]);
        assert!(peak < limit, "{when}: {peak} bytes, measured {peaks:?}");
    }
    scene.controller.stop().await.unwrap();
}

#[tokio::test]
async fn objects_over_the_memory_limit_are_reported_once_and_unsealed_when_others_are_gone() {
    const COUNT: usize = 60;
    let scene = Scene::with(&["--memory-limit=256Ki"]).await;
    scene.create_small_objects(0, COUNT).await;
    let refused = scene.refused_of(COUNT).await;
    assert!(refused.len() > COUNT / 4 && refused.len() < COUNT, "{} of {COUNT}", refused.len());
    let message = scene.until_synced(&refused[0], "False").await;
    assert!(message.contains("raise its memory limit"), "{message}");
    let told = scene.events(&format!("involvedObject.name={},reason=ErrUnsealFailed", refused[0])).await;
    assert_eq!(told.len(), 1, "{told:?}");

    let objects = scene.sealed_secrets().list_metadata(&ListParams::default()).await.unwrap().items;
    let kept = objects.iter().map(ResourceExt::name_any).filter(|name| !refused.contains(name));
    for name in kept {
        scene.sealed_secrets().delete(&name, &DeleteParams::default()).await.unwrap();
    }
    for name in refused.iter().take(10) {
        scene.until_synced(name, "True").await;
        scene.until_secret(name, "is there", |_| true).await;
    }
}
