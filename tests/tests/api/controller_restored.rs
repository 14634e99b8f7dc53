//! Objects as Velero restores them: without owners, UIDs, managed fields and status, with labels of its own, Secrets first.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use sealed_secrets_tests::until;
use serde::Serialize;
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, is_owned_by, item};
use crate::support::PATIENCE;

/// The form in which Velero restores an object of its backup.
fn restored(object: &impl Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "ownerReferences",
        "managedFields",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    metadata.entry("labels").or_insert_with(|| json!({}));
    metadata["labels"]["velero.io/backup-name"] = json!("nightly");
    metadata["labels"]["velero.io/restore-name"] = json!("nightly-20261129");
    object
}

impl Scene {
    /// Deletes all SealedSecrets and their Secrets, and returns them in their restored form.
    async fn lose_all(&self) -> (Vec<Value>, Vec<Value>) {
        let sealed = self.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
        let mut secrets = Vec::new();
        for object in &sealed {
            secrets.push(restored(&self.secrets().get(&object.name_any()).await.unwrap()));
        }
        for object in &sealed {
            let name = object.name_any();
            self.sealed_secrets().delete(&name, &DeleteParams::default()).await.unwrap();
            let gone = async || self.secrets().get_opt(&name).await.unwrap().is_none().then_some(());
            until(&format!("Secret {name} is gone"), PATIENCE, gone).await.unwrap();
        }
        (sealed.iter().map(restored).collect(), secrets)
    }

    async fn restore_secret(&self, secret: &Value) -> Secret {
        let secret = serde_json::from_value(secret.clone()).unwrap();
        self.secrets().create(&PostParams::default(), &secret).await.unwrap()
    }

    async fn change(&self, name: &str, value: &str) {
        let changed = self.seal(&self.secret(name, "password", value)).await;
        self.merge(name, &json!({"spec": changed["spec"]})).await;
    }
}

fn named<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    objects.iter().find(|object| object["metadata"]["name"] == name).unwrap()
}

#[tokio::test]
async fn a_secret_restored_by_velero_is_adopted_and_follows_the_sealed_secret_again() {
    let scene = Scene::set().await;
    let mut labelled = scene.seal(&scene.secret("labelled", "password", CANARY)).await;
    labelled["spec"]["template"]["metadata"]["labels"] = json!({"team": "a"});
    labelled["spec"]["template"]["data"] = json!({"url": "https://{{ .password }}"});
    scene.create(&labelled).await;
    scene.until_synced("labelled", "True").await;
    scene.opened("plain").await;
    let (sealed, secrets) = scene.lose_all().await;
    for secret in &secrets {
        scene.restore_secret(secret).await;
    }
    for name in ["plain", "labelled"] {
        let object: DynamicObject = scene.create(named(&sealed, name)).await;
        scene.until_synced(name, "True").await;
        let adopted = scene.secrets().get(name).await.unwrap();
        assert!(is_owned_by(&adopted, &object), "{:?}", adopted.metadata);
        assert!(adopted.labels().contains_key("velero.io/backup-name"), "its labels stay");
        scene.change(name, "new").await;
        scene
            .until_secret(name, "follows", |secret| item(secret, "password").as_deref() == Some("new"))
            .await;
    }
}

#[tokio::test]
async fn a_restored_secret_with_other_content_or_without_velero_is_not_adopted() {
    let scene = Scene::set().await;
    for name in ["more", "other", "unmarked"] {
        scene.opened(name).await;
    }
    let (sealed, secrets) = scene.lose_all().await;
    let mut more = named(&secrets, "more").clone();
    more["data"]["further"] = json!("AAAA");
    let mut other = named(&secrets, "other").clone();
    other["data"]["password"] = json!("AAAA");
    let mut unmarked = named(&secrets, "unmarked").clone();
    unmarked["metadata"]["labels"] = json!({});
    for secret in [&more, &other, &unmarked] {
        let before = scene.restore_secret(secret).await;
        let name = before.name_any();
        // Annotations of the SealedSecret itself have no effect.
        scene.create(named(&sealed, &name)).await;
        let message = scene.until_synced(&name, "False").await;
        assert!(message.ends_with("already exists and is not managed by SealedSecret"), "{name}: {message}");
        assert_eq!(
            scene.secrets().get(&name).await.unwrap().resource_version(),
            before.resource_version(),
            "{name}"
        );
    }
}
