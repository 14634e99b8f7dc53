//! The controller under the memory limit that deploy/ ships, whatever tenants create.

use std::fmt::Write as _;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::memory_limit::{MemoryLimit, peak_memory};
use sealed_secrets_tests::{Edition, until};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::PATIENCE;

/// `deploy/kustomize/base/deployment.yaml`: 128Mi.
const LIMIT: u64 = 128 << 20;
/// What is not for the sum of all objects: the work on them fits into it.
const HALF: u64 = LIMIT / 2;
const OBJECTS: usize = 60;
/// As base64 in a SealedSecret 1.3 MB, and nearly the most that a Secret may hold.
const BYTES: usize = 970_000;

impl Scene {
    /// Creates objects of 1.3 MB: one item each, sealed for the whole cluster.
    async fn create_huge_objects(&self, from: usize, to: usize) {
        let item = self.sealed_for_all(BYTES).await;
        for number in from..to {
            self.create(&self.object(&format!("huge-{number}"), &json!({"item": item}))).await;
        }
    }

    /// Makes all of them small, as long as no controller runs: their Secrets stay large.
    async fn shrink_huge_objects(&self, item: &str) {
        let change = json!({"spec": {"encryptedData": {"item": item}}});
        let shrink = async |number| self.merge(&format!("huge-{number}"), &change).await;
        stream::iter(0..OBJECTS).for_each_concurrent(4, shrink).await;
    }

    async fn until_all_are_small(&self) {
        let is_small = |secret: &Secret| secret.data.as_ref().is_some_and(|data| data["item"].0.len() == 20);
        for number in 0..OBJECTS {
            self.until_secret(&format!("huge-{number}"), "is small", is_small).await;
        }
    }

    /// So many bytes, sealed for the whole cluster.
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

    /// Waits until every small object says something, and returns the names of those that there was no memory for.
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

    /// The most memory that the controller has had when it was last seen to have nothing to do.
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

    let item = scene.sealed_for_all(20).await;
    scene.controller.stop().await.unwrap();
    drop(limit);
    scene.shrink_huge_objects(&item).await;
    let _limit = scene.start_under_the_limit().await;
    scene.until_all_are_small().await;
    scene.until_all_are_open(OBJECTS).await;
    scene.controller.stop().await.unwrap();
}

/// Few and many objects: what ten thousand take follows from the difference.
const FEW: usize = 300;
const MANY: usize = 1_300;

/// The most memory with ten thousand objects, where it was so much with [`FEW`] and with [`MANY`].
fn with_ten_thousand(few: f64, many: f64) -> f64 {
    let objects = |count: usize| f64::from(u32::try_from(count).unwrap());
    let of_one = (many - few) / (objects(MANY) - objects(FEW));
    few + of_one * (10_000.0 - objects(FEW))
}

/// To create ten thousand would take this control plane minutes. Memory grows evenly with the objects, so that two counts tell the
/// slope; the specs that wait to be opened, which are the most that an object has, are limited to 8 MiB in all.
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
async fn objects_that_there_is_no_memory_for_say_so_once_and_are_opened_when_others_have_gone() {
    const COUNT: usize = 60;
    let scene = Scene::with(&["--memory-limit=256Ki"]).await;
    scene.create_small_objects(0, COUNT).await;
    let refused = scene.refused_of(COUNT).await;
    assert!(refused.len() > COUNT / 4 && refused.len() < COUNT, "{} of {COUNT}", refused.len());
    let message = scene.until_synced(&refused[0], "False").await;
    assert!(message.contains("give it more memory"), "{message}");
    let events: Api<Event> = Api::namespaced(scene.cluster.client(), scene.namespace());
    let about = format!("involvedObject.name={},reason=ErrUnsealFailed", refused[0]);
    let told = events.list(&ListParams::default().fields(&about)).await.unwrap().items;
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
