//! Objects that the controller refuses, with its messages. An invalid object does not affect the others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use sealed_secrets_tests::{Cluster, ControllerProcess, DEFAULT_KEY_SIZE, Edition};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, is_owned_by, item};

/// Creates an existing Secret with these annotations.
async fn plant(scene: &Scene, name: &str, annotations: Value) -> Secret {
    let mut secret = scene.secret(name, "old", "value");
    secret["metadata"]["annotations"] = annotations;
    let secret = serde_json::from_value(secret).unwrap();
    scene.secrets().create(&PostParams::default(), &secret).await.unwrap()
}

/// Asserts that a valid object is decrypted now, after any previous failure.
async fn others_go_on(scene: &Scene) {
    scene.seal_and_create(&scene.secret("fine", "password", "fine")).await;
    scene.until_synced("fine", "True").await;
}

async fn no_plaintext_is_told(scene: &Scene, name: &str) {
    let object = scene.sealed_secrets().get(name).await.unwrap();
    assert!(!serde_json::to_string(&object).unwrap().contains(CANARY));
    assert!(!scene.controller.log().contains(CANARY));
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone_until_it_is_gone() {
    let scene = Scene::set().await;
    let planted = plant(&scene, "db", json!({})).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    let message = scene.until_synced("db", "False").await;
    assert_eq!(message, "failed update: Resource \"db\" already exists and is not managed by SealedSecret");
    let event = scene.until_event("db", "ErrUpdateFailed").await;
    assert_eq!(event, "Resource \"db\" already exists and is not managed by SealedSecret");
    assert_eq!(scene.secrets().get("db").await.unwrap().resource_version(), planted.resource_version());
    others_go_on(&scene).await;
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    scene.until_synced("db", "True").await;
    no_plaintext_is_told(&scene, "db").await;
}

#[tokio::test]
async fn a_secret_that_is_handed_over_is_taken_over() {
    let scene = Scene::set().await;
    plant(&scene, "db", json!({"sealedsecrets.bitnami.com/managed": "true"})).await;
    let sealed = scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    let secret = scene.until_secret("db", "is taken over", |secret| item(secret, "password").is_some()).await;
    assert!(is_owned_by(&secret, &sealed));
    assert_eq!(item(&secret, "old"), None);
}

#[tokio::test]
async fn a_secret_that_is_to_be_patched_keeps_its_items_and_its_owner() {
    let scene = Scene::set().await;
    plant(&scene, "db", json!({"sealedsecrets.bitnami.com/patch": "true"})).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    let secret = scene.until_secret("db", "is patched", |secret| item(secret, "password").is_some()).await;
    assert_eq!(item(&secret, "old").as_deref(), Some("value"));
    assert!(secret.owner_references().is_empty());
}

#[tokio::test]
async fn a_secret_that_is_to_be_patched_and_is_deleted_is_left_to_its_owner_and_patched_again() {
    let scene = Scene::set().await;
    let annotations = json!({"sealedsecrets.bitnami.com/patch": "true"});
    plant(&scene, "db", annotations.clone()).await;
    scene.seal_and_create(&scene.secret("db", "password", CANARY)).await;
    scene.until_secret("db", "is patched", |secret| item(secret, "password").is_some()).await;
    scene.until_synced("db", "True").await;
    scene.secrets().delete("db", &DeleteParams::default()).await.unwrap();
    // Decrypted after the deletion was observed.
    others_go_on(&scene).await;
    plant(&scene, "db", annotations).await;
    let secret = scene.until_secret("db", "is patched", |secret| item(secret, "password").is_some()).await;
    assert_eq!(item(&secret, "old").as_deref(), Some("value"));
    assert!(secret.owner_references().is_empty());
}

/// The message about an item for which every key in every scope was tried.
fn no_key(item: &str) -> String {
    format!(
        "no key could decrypt secret ({item})\nspec.encryptedData[\"{item}\"]: no key of this cluster decrypts it under this name and \
         namespace, in any scope: it was sealed for another cluster, name or namespace, or its key is gone"
    )
}

#[tokio::test]
async fn items_that_do_not_decrypt_are_named_and_nothing_is_written() {
    let scene = Scene::with(&[DEFAULT_KEY_SIZE]).await;
    let good = scene.seal(&scene.secret("db", "a", CANARY)).await["spec"]["encryptedData"]["a"]
        .as_str()
        .unwrap()
        .to_owned();
    let foreign =
        scene.seal(&scene.secret("other-name", "a", CANARY)).await["spec"]["encryptedData"]["a"].clone();
    let bytes = STANDARD.decode(&good).unwrap();
    let cases = [
        (
            "truncated",
            json!(STANDARD.encode(&bytes[..100])),
            "no key could decrypt secret (truncated)\nspec.encryptedData[\"truncated\"]: it is cut short: 100 bytes, and at least 530 are needed".to_owned(),
        ),
        (
            "over-long",
            json!(STANDARD.encode([&bytes[..], b"surplus"].concat())),
            no_key("over-long"),
        ),
        ("not-base64", json!("%%%"), "illegal base64 data at input byte 0 (not-base64)".to_owned()),
        ("wrong-label", foreign, no_key("wrong-label")),
        (
            "wrong-key",
            json!(STANDARD.encode([&bytes[..2], &[7; 600][..]].concat())),
            no_key("wrong-key"),
        ),
    ];
    for (name, text, expected) in cases {
        let mut sealed = scene.seal(&scene.secret(name, "good", CANARY)).await;
        sealed["spec"]["encryptedData"][name] = text;
        scene.create(&sealed).await;
        assert_eq!(scene.until_synced(name, "False").await, expected);
        assert_eq!(scene.until_event(name, "ErrUnsealFailed").await, format!("Failed to unseal: {expected}"));
        assert!(
            scene.secrets().get_opt(name).await.unwrap().is_none(),
            "nothing is written, not even the good item"
        );
        no_plaintext_is_told(&scene, name).await;
    }
    others_go_on(&scene).await;
}

#[tokio::test]
async fn a_malformed_object_is_reported_and_blocks_no_other() {
    let scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("odd", "password", CANARY)).await;
    sealed["spec"]["template"]["metadata"]["ownerReferences"] = json!("not a list");
    scene.create(&sealed).await;
    let message = scene.until_synced("odd", "False").await;
    assert!(message.starts_with("the object is not a valid SealedSecret: "), "{message}");
    others_go_on(&scene).await;
}

#[tokio::test]
async fn no_sealed_secret_can_plant_a_sealing_key() {
    let scene = Scene::set().await;
    let mut labelled = scene.secret("db", "tls.key", CANARY);
    labelled["metadata"]["labels"] = json!({"sealedsecrets.bitnami.com/sealed-secrets-key": "active"});
    let named = scene.secret("sealed-secrets-keyevil", "tls.key", CANARY);
    let mut old = labelled.clone();
    old["metadata"]["name"] = json!("old-form");
    for sealed in [scene.seal(&labelled).await, scene.seal(&named).await, scene.seal_v1(&old).await] {
        let name = sealed["metadata"]["name"].as_str().unwrap().to_owned();
        scene.create(&sealed).await;
        let message = scene.until_synced(&name, "False").await;
        assert!(
            message.starts_with("a SealedSecret in the controller's namespace must not create a sealing key"),
            "{message}"
        );
        assert!(scene.secrets().get_opt(&name).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn owner_references_and_finalizers_of_a_template_do_not_reach_the_secret() {
    let scene = Scene::set().await;
    for skips_owner in [false, true] {
        let name = if skips_owner { "without-owner" } else { "owned" };
        let mut sealed = scene.seal(&scene.secret(name, "password", CANARY)).await;
        let metadata = &mut sealed["spec"]["template"]["metadata"];
        metadata["annotations"] =
            json!({"sealedsecrets.bitnami.com/skip-set-owner-references": skips_owner.to_string()});
        metadata["labels"] = json!({"team": "shop"});
        metadata["finalizers"] = json!(["example.com/forever"]);
        metadata["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x", "controller": true}]);
        let sealed = scene.create(&sealed).await;
        let secret = scene.until_secret(name, "is there", |secret| item(secret, "password").is_some()).await;
        assert_eq!(secret.labels()["team"], "shop");
        assert!(secret.finalizers().is_empty());
        if skips_owner {
            assert!(secret.owner_references().is_empty());
        } else {
            assert!(is_owned_by(&secret, &sealed) && secret.owner_references().len() == 1);
        }
    }
}

#[tokio::test]
async fn a_refused_secret_from_spec_data_is_not_reported_in_the_words_of_the_api_server() {
    let scene = Scene::set().await;
    let mut secret = scene.secret("old", &format!("{CANARY} key!"), "value");
    secret["metadata"]["labels"] = json!({"team": format!("{CANARY} label with spaces")});
    scene.create(&scene.seal_v1(&secret).await).await;
    let message = scene.until_synced("old", "False").await;
    let refused = "the API server refused the Secret (422 Invalid, data, metadata.labels); ";
    assert!(message.starts_with(&format!("failed update: {refused}")), "{message}");
    assert!(!scene.until_event("old", "ErrUpdateFailed").await.contains(CANARY));
    scene.until_logged(&format!("Failed to update: {refused}")).await;
    no_plaintext_is_told(&scene, "old").await;
}

#[tokio::test]
async fn an_item_of_another_scope_is_reported_with_the_annotation_that_fixes_it() {
    let scene = Scene::set().await;
    let mut secret = scene.secret("db", "password", CANARY);
    secret["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/namespace-wide": "true"});
    let mut sealed = scene.seal(&secret).await;
    sealed["metadata"]["annotations"] = json!({});
    scene.create(&sealed).await;
    let message = scene.until_synced("db", "False").await;
    let cause = "\nspec.encryptedData[\"password\"]: it was sealed with scope namespace-wide, and this SealedSecret is strict";
    assert!(message.starts_with("no key could decrypt secret (password)"), "{message}");
    assert!(message.contains(cause), "{message}");
    assert_eq!(scene.until_event("db", "ErrUnsealFailed").await, format!("Failed to unseal: {message}"));
    no_plaintext_is_told(&scene, "db").await;
    let annotation =
        json!({"metadata": {"annotations": {"sealedsecrets.bitnami.com/namespace-wide": "true"}}});
    scene.merge("db", &annotation).await;
    scene.until_synced("db", "True").await;
}

#[tokio::test]
async fn no_annotation_hands_a_sealing_key_over() {
    let scene = Scene::set().await;
    for annotation in ["managed", "patch"] {
        let mut secret = scene.secret(annotation, "tls.key", "theirs");
        secret["metadata"]["labels"] = json!({"sealedsecrets.bitnami.com/sealed-secrets-key": "compromised"});
        secret["metadata"]["annotations"] =
            json!({format!("sealedsecrets.bitnami.com/{annotation}"): "true"});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let planted = scene.secrets().create(&PostParams::default(), &secret).await.unwrap();
        scene.seal_and_create(&scene.secret(annotation, "tls.key", CANARY)).await;
        let message = scene.until_synced(annotation, "False").await;
        assert!(message.contains("must not create a sealing key"), "{message}");
        let now = scene.secrets().get(annotation).await.unwrap();
        assert_eq!(now.resource_version(), planted.resource_version(), "it is not touched");
    }
}

/// JSON nested so deep that a decoder fails on the whole document, but that the API server stores.
fn deep() -> String {
    format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200))
}

#[tokio::test]
async fn an_object_that_is_nested_too_deep_stops_neither_a_running_controller_nor_one_that_starts() {
    let mut scene = Scene::on(Cluster::own().await.unwrap(), &[]).await;
    let mut sealed = scene.seal(&scene.secret("deep", "password", CANARY)).await;
    sealed["spec"]["template"]["metadata"]["unknown"] = json!("DEEP");
    let body = sealed.to_string().replace("\"DEEP\"", &deep()).into_bytes();
    let path = format!("/apis/bitnami.com/v1alpha1/namespaces/{}/sealedsecrets", scene.namespace());
    let request = http::Request::post(path).header("Content-Type", "application/json").body(body).unwrap();
    let stored = scene.cluster.client().request_text(request).await.unwrap();
    assert!(stored.contains(&deep()), "the API server keeps it");
    others_go_on(&scene).await;
    scene.controller.stop().await.unwrap();
    scene.secrets().delete("fine", &DeleteParams::default()).await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    for (name, value) in [("fine", "fine"), ("deep", CANARY)] {
        scene
            .until_secret(name, "is open", |secret| item(secret, "password").as_deref() == Some(value))
            .await;
    }
}

#[tokio::test]
async fn the_deprecated_field_is_refused_by_the_flag_even_if_it_was_unsealed_before() {
    let mut scene = Scene::set().await;
    scene.create(&scene.seal_v1(&scene.secret("old", "password", CANARY)).await).await;
    scene.until_synced("old", "True").await;
    scene.controller.stop().await.unwrap();
    let arguments = ["--accept-deprecated-v1-data=false"];
    scene.controller = scene.installation.start(Edition::Ours, &arguments).await.unwrap();
    let message = scene.until_synced("old", "False").await;
    assert_eq!(message, "using deprecated 'data' field, use 'encryptedData' or flip the feature flag");
    assert_eq!(item(&scene.secrets().get("old").await.unwrap(), "password").as_deref(), Some(CANARY));
}

#[tokio::test]
async fn a_secret_of_a_denied_type_is_not_made_and_one_that_exists_stays() {
    let mut scene = Scene::set().await;
    let typed = |name: &str, kind: &str| {
        let mut secret = scene.secret(name, "password", CANARY);
        secret["type"] = json!(kind);
        secret
    };
    let (before, after, fine) = (
        typed("before", "example.com/risky"),
        typed("after", "example.com/risky"),
        typed("fine", "example.com/fine"),
    );
    scene.seal_and_create(&before).await;
    scene.until_synced("before", "True").await;
    scene.controller.stop().await.unwrap();
    let variable = ("SEALED_SECRETS_DENY_SECRET_TYPES", "example.com/other, example.com/risky");
    let controller =
        ControllerProcess::start_with(&scene.installation, Edition::Ours, &[], &[variable]).await;
    scene.controller = controller.unwrap();
    scene.seal_and_create(&after).await;
    scene.seal_and_create(&fine).await;
    for name in ["before", "after"] {
        let message = scene.until_synced(name, "False").await;
        assert!(message.contains("--deny-secret-types"), "{message}");
    }
    scene.until_synced("fine", "True").await;
    assert!(scene.secrets().get_opt("before").await.unwrap().is_some(), "it stays");
    assert!(scene.secrets().get_opt("after").await.unwrap().is_none());
    let mut whole = scene.secret("whole", "password", CANARY);
    whole["type"] = json!("example.com/risky");
    scene.create(&scene.seal_v1(&whole).await).await;
    let message = scene.until_synced("whole", "False").await;
    assert!(message.contains("--deny-secret-types") && !message.contains("risky"), "{message}");
}
