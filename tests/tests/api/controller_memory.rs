//! The controller under the memory limit that deploy/ ships, whatever tenants create.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::memory_limit::{MemoryLimit, peak_memory};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::json;

use crate::scene::Scene;
use crate::support::PATIENCE;

/// `deploy/kustomize/base/deployment.yaml`: 128Mi.
const LIMIT: u64 = 128 << 20;
const OBJECTS: usize = 60;
/// As base64 in a SealedSecret 1.3 MB, and nearly the most that a Secret may hold.
const BYTES: usize = 970_000;

impl Scene {
    /// Creates objects of 1.3 MB: one item each, sealed for the whole cluster.
    async fn create_huge_objects(&self, from: usize, to: usize) {
        let certificate = self.controller.certificate().await.unwrap();
        let certificate = SealingCertificate::from_pem(certificate.as_bytes()).unwrap();
        let label = Label::new(Scope::ClusterWide, self.namespace(), "any");
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        let item = seal_value(&mut random, certificate.public_key(), &label, &vec![b'x'; BYTES]).unwrap();
        for number in from..to {
            let annotations = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
            let sealed = json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                "metadata": {
                    "name": format!("huge-{number}"), "namespace": self.namespace(), "annotations": annotations
                },
                "spec": {"encryptedData": {"item": item}, "template": {"metadata": {"annotations": annotations}}}
            });
            self.create(&sealed).await;
        }
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
        assert!(peak < LIMIT, "{} MiB, the log ends with {}", peak >> 20, self.end_of_log());
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
    scene.controller.stop().await.unwrap();
    drop(limit);
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    let _limit = MemoryLimit::on(scene.controller.process().id(), LIMIT);
    scene.until_all_are_open(OBJECTS).await;
    assert_eq!(scene.controller.certificate().await.unwrap(), certificate_of_before);
    scene.opened("small").await;
    scene.controller.stop().await.unwrap();
}

/// Templates that give nothing, of which each takes many times its text.
const SMALL_FIELDS: usize = 35_000;
const OBJECTS_OF_SMALL_FIELDS: usize = 7;

#[tokio::test]
async fn objects_of_many_small_fields_fit_into_the_limit_after_a_start() {
    let cluster = Cluster::shared().await.unwrap();
    let other = cluster.namespace("fields").await.unwrap();
    let installation = cluster.install_namespaced(&[&other]).await.unwrap();
    let controller = installation.start(Edition::Ours, &[]).await.unwrap();
    let mut scene = Scene { cluster, installation, controller };
    scene.controller.stop().await.unwrap();
    let fields: serde_json::Map<_, _> =
        (0..SMALL_FIELDS).map(|number| (format!("a{number}"), json!(""))).collect();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret"));
    let namespaces = [scene.namespace().to_owned(), other];
    for namespace in &namespaces {
        let objects: Api<DynamicObject> = Api::namespaced_with(scene.cluster.client(), namespace, &kind);
        for number in 0..OBJECTS_OF_SMALL_FIELDS {
            let sealed = json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
                "metadata": {"name": format!("fields-{number}"), "namespace": namespace},
                "spec": {"encryptedData": {}, "template": {"data": fields}}
            });
            let object = serde_json::from_value(sealed).unwrap();
            objects.create(&PostParams::default(), &object).await.unwrap();
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
        until("all Secrets are there", PATIENCE, are_there).await.unwrap();
    }
    let peak = peak_memory(scene.controller.process().id()).unwrap();
    assert!(peak < LIMIT / 4 * 3, "{} MiB, the log ends with {}", peak >> 20, scene.end_of_log());
    scene.controller.stop().await.unwrap();
}
