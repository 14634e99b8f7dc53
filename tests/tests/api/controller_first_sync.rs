//! The first sync of hundreds of SealedSecrets. The order of the writes follows from the resourceVersions.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_tests::{DEFAULT_KEY_SIZE, Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene};
use crate::support::PATIENCE;

const BACKLOG: usize = 300;
const ITEMS: usize = 10;
/// The number of objects of a backlog that the controller processes in parallel.
const IN_WORK: usize = 96;

/// The resourceVersion of each object; later writes have higher versions.
type Written = BTreeMap<String, u64>;

fn written<K: kube::Resource>(objects: impl IntoIterator<Item = K>) -> Written {
    let version = |object: &K| object.resource_version().unwrap().parse().unwrap();
    objects.into_iter().map(|object| (object.name_any(), version(&object))).collect()
}

impl Scene {
    /// As [`Scene::set`], with a stopped controller, hundreds of SealedSecrets, and one more that was not created.
    async fn with_backlog() -> (Self, Value) {
        let mut scene = Scene::with(&[DEFAULT_KEY_SIZE]).await;
        let mut secret = scene.secret("later", "item0", CANARY);
        secret["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
        let mut sealed = scene.seal(&secret).await;
        // Decryption must take longer than everything else.
        let item = sealed["spec"]["encryptedData"]["item0"].clone();
        let items = (0..ITEMS).map(|number| (format!("item{number}"), item.clone()));
        sealed["spec"]["encryptedData"] = Value::Object(items.collect());
        scene.controller.stop().await.unwrap();
        let create = async |number| drop(scene.create(&named(&sealed, &format!("backlog-{number}"))).await);
        stream::iter(0..BACKLOG).for_each_concurrent(16, create).await;
        (scene, sealed)
    }

    async fn restart(&mut self) {
        self.controller = self.installation.start(Edition::Ours, &[]).await.unwrap();
    }

    async fn secrets_written(&self) -> Written {
        let mut secrets = self.secrets().list(&ListParams::default()).await.unwrap().items;
        secrets.retain(|secret| !secret.owner_references().is_empty());
        written(secrets)
    }

    async fn until_secrets(&self, at_least: usize) -> Written {
        let found = async || Some(self.secrets_written().await).filter(|secrets| secrets.len() >= at_least);
        until(&format!("{at_least} Secrets"), PATIENCE, found).await.unwrap()
    }

    /// The version of each synced SealedSecret; its Secret was written before.
    async fn synced_written(&self) -> Written {
        let mut objects = self.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
        objects.retain(|object| object.data["status"]["conditions"][0]["status"] == "True");
        written(objects)
    }

    async fn until_synced_are(&self, count: usize) -> Written {
        let found = async || Some(self.synced_written().await).filter(|objects| objects.len() == count);
        until(&format!("{count} synced"), PATIENCE, found).await.unwrap()
    }
}

fn named(sealed: &Value, name: &str) -> Value {
    let mut sealed = sealed.clone();
    sealed["metadata"]["name"] = json!(name);
    sealed["spec"]["template"]["metadata"]["name"] = json!(name);
    sealed
}

/// The number of attempts: a test process that is slow sees only the end of the backlog, and tries again.
const LOOKS: usize = 5;

#[tokio::test]
async fn a_new_object_does_not_wait_for_a_first_sync() {
    for _ in 0..LOOKS {
        let (mut scene, later) = Scene::with_backlog().await;
        scene.restart().await;
        scene.until_secrets(1).await;
        let created: u64 = scene.create(&later).await.resource_version().unwrap().parse().unwrap();
        let secrets = scene.until_secrets(BACKLOG + 1).await;
        if secrets.values().filter(|version| **version > created).count() > IN_WORK {
            let after = secrets.values().filter(|version| **version > secrets["later"]).count();
            assert!(after > 0, "the new object was opened last");
            return;
        }
    }
    panic!("the backlog was always done before the new object came");
}

#[tokio::test]
async fn a_first_sync_writes_secrets_before_it_reports() {
    let (mut scene, _) = Scene::with_backlog().await;
    scene.restart().await;
    let objects = scene.until_synced_are(BACKLOG).await;
    let secrets = scene.secrets_written().await;
    let first_report = objects.values().min().unwrap();
    let after = secrets.values().filter(|version| *version > first_report).count();
    assert!(after <= IN_WORK, "{after} of {BACKLOG} Secrets were written after the first report");
}

#[tokio::test]
async fn unsealed_objects_are_reported_before_sigterm_ends_the_process_and_not_decrypted_again() {
    for _ in 0..LOOKS {
        let (mut scene, _) = Scene::with_backlog().await;
        scene.restart().await;
        scene.until_secrets(20).await;
        scene.controller.stop().await.unwrap();
        if scene.controller.log().contains("are not reported yet") {
            // The API server was too busy for all reports in the time for them.
            continue;
        }
        let secrets = scene.secrets_written().await;
        let objects = scene.synced_written().await;
        assert_eq!(secrets.keys().collect::<Vec<_>>(), objects.keys().collect::<Vec<_>>());
        if secrets.len() < BACKLOG {
            scene.restart().await;
            scene.until_synced_are(BACKLOG).await;
            let now = scene.secrets_written().await;
            let kept = secrets.iter().all(|(name, version)| now[name] == *version);
            assert!(kept, "a Secret was written again");
            return;
        }
    }
    panic!("it had always finished before it was stopped, or the reports took too long");
}
