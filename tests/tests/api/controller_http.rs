//! The controller's HTTP endpoints for kubeseal: verify and rotate.

use http::Method;
use sealed_secrets_tests::{Edition, Fault, FaultProxy, http_request};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item, seal_with};

const FOREIGN_CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

async fn unlimited() -> Scene {
    Scene::with(&["--rate-limit=1000", "--rate-limit-burst=1000"]).await
}

async fn post(scene: &Scene, path: &str, body: &str) -> (u16, String) {
    let server = scene.controller.address().to_string();
    let answer = http_request(&server, "POST", path, body).await.unwrap();
    (answer.status, answer.body)
}

#[tokio::test]
async fn verify_answers_whether_every_item_decrypts_and_nothing_else() {
    let scene = unlimited().await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    assert_eq!(post(&scene, "/v1/verify", &good.to_string()).await, (200, String::new()));
    let foreign = seal_with(FOREIGN_CERTIFICATE, &scene.secret("db", "password", CANARY));
    let mut renamed = good.clone();
    renamed["metadata"]["name"] = json!("other");
    let mut rubbish = good.clone();
    rubbish["spec"]["encryptedData"]["password"] = json!("%%%");
    for bad in [foreign, renamed, rubbish] {
        assert_eq!(post(&scene, "/v1/verify", &bad.to_string()).await, (409, String::new()));
    }
}

#[tokio::test]
async fn an_item_that_is_not_text_does_not_decrypt_over_http_and_hides_no_other() {
    let scene = unlimited().await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    for value in ["{\"value\": \"AgX\"}", "[\"AgX\"]", "5", "true", "null", "\"\""] {
        let mut bad = good.clone();
        bad["spec"]["encryptedData"]["other"] = json!("BAD");
        let json = bad.to_string().replace("\"BAD\"", value);
        let yaml = format!("# YAML\n{json}");
        for body in [json, yaml] {
            assert_eq!(post(&scene, "/v1/verify", &body).await, (409, String::new()), "{value}");
            assert_eq!(post(&scene, "/v1/rotate", &body).await.0, 500, "{value}");
        }
    }
}

#[tokio::test]
async fn verify_never_renders_a_template() {
    let scene = unlimited().await;
    let mut sealed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    sealed["spec"]["template"]["data"] = json!({"broken": "{{ fail .password }}"});
    assert_eq!(post(&scene, "/v1/verify", &sealed.to_string()).await.0, 200);
}

#[tokio::test]
async fn an_input_other_than_one_sealed_secret_is_refused_with_one_fixed_answer() {
    let scene = unlimited().await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    let two = format!("{good}\n---\n{good}");
    let secret = scene.secret("db", "password", CANARY).to_string();
    for path in ["/v1/verify", "/v1/rotate"] {
        for body in ["", "[", "a: &a [*a]", &two, &secret] {
            let answer = post(&scene, path, body).await;
            assert_eq!(answer, (500, "the body must be exactly one SealedSecret as JSON or YAML\n".into()));
        }
    }
}

#[tokio::test]
async fn rotate_re_encrypts_the_items_and_keeps_everything_else() {
    let scene = unlimited().await;
    let mut sealed = scene.seal(&scene.secret("db", "password", CANARY)).await;
    sealed["metadata"]["labels"] = json!({"kept": "yes"});
    sealed["metadata"]["annotations"] = json!({"also": "kept"});
    sealed["spec"]["template"]["data"] = json!({"url": "u:{{ .password }}"});
    sealed["status"] = json!({"observedGeneration": 3});
    let (status, body) = post(&scene, "/v1/rotate", &sealed.to_string()).await;
    assert_eq!(status, 200, "{body}");
    assert!(!body.contains(CANARY));
    let mut rotated: Value = serde_json::from_str(&body).unwrap();
    assert_ne!(rotated["spec"]["encryptedData"]["password"], sealed["spec"]["encryptedData"]["password"]);
    scene.create(&rotated).await;
    let secret = scene.until_secret("db", "is there", |secret| item(secret, "url").is_some()).await;
    assert_eq!(item(&secret, "password").as_deref(), Some(CANARY));
    rotated["spec"]["encryptedData"] = sealed["spec"]["encryptedData"].take();
    sealed["spec"]["encryptedData"] = rotated["spec"]["encryptedData"].clone();
    sealed.as_object_mut().unwrap().remove("status");
    assert_eq!(rotated, sealed);
}

#[tokio::test]
async fn rotate_has_one_answer_for_all_objects_that_do_not_decrypt() {
    let scene = unlimited().await;
    let good = scene.seal(&scene.secret("db", "password", CANARY)).await;
    let foreign = seal_with(FOREIGN_CERTIFICATE, &scene.secret("db", "password", CANARY));
    let mut renamed = good.clone();
    renamed["metadata"]["name"] = json!("other");
    for bad in [foreign, renamed] {
        let answer = post(&scene, "/v1/rotate", &bad.to_string()).await;
        assert_eq!(answer, (500, "the SealedSecret cannot be decrypted\n".into()));
    }
}

#[tokio::test]
async fn more_requests_than_the_limit_are_turned_away() {
    let scene = Scene::set().await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(post(&scene, "/v1/verify", "").await.0);
    }
    assert_eq!(statuses.first(), Some(&500));
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn an_object_sealed_with_the_new_key_of_one_replica_decrypts_at_one_that_has_not_seen_the_key() {
    let mut scene = unlimited().await;
    let proxy = FaultProxy::start(&scene.installation).await.unwrap();
    // The watch is silent; the next periodic list may be half a minute away.
    proxy.fail(|method, path| (*method == Method::GET && path.contains("watch=")).then_some(Fault::Silence));
    let through = proxy.flag();
    let behind = [through.as_str(), "--rate-limit=1000", "--rate-limit-burst=1000"];
    let behind = scene.installation.start(Edition::Ours, &behind).await.unwrap();
    let server = behind.address().to_string();
    for path in ["/v1/verify", "/v1/rotate"] {
        let certificate = scene.new_key().await;
        let sealed = seal_with(&certificate, &scene.secret("db", "password", CANARY));
        // Each request triggers a list and waits two seconds for it, which may be too short on a busy machine.
        let mut answers = Vec::new();
        while answers.last() != Some(&200) && answers.len() < 3 {
            answers.push(http_request(&server, "POST", path, &sealed.to_string()).await.unwrap().status);
        }
        assert_eq!(answers.last(), Some(&200), "{path}: {answers:?}");
    }
}
