//! `spec.template.data`, rendered by the controllers themselves.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_tests::{Cluster, Edition};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::{apply_sealed, until_secret};

/// Starts a controller, seals these items, adds these templates, and returns the Secret that comes of it.
async fn opened_by(edition: Edition, items: &Value, templates: &Value) -> Secret {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(edition, &[]).await.unwrap();
    let scene = Scene { cluster, installation, controller };
    let mut secret = scene.secret("app", "unused", "unused");
    secret["stringData"] = items.clone();
    let mut sealed = scene.seal(&secret).await;
    sealed["spec"]["template"]["data"] = templates.clone();
    scene.create(&sealed).await;
    scene.until_synced("app", "True").await;
    scene.secrets().get("app").await.unwrap()
}

/// The examples of docs/templates.md: fences named `items`, and `template` with the result after a line of dashes.
fn documented_examples() -> (Value, Value) {
    let page = include_str!("../../../docs/templates.md");
    let fences = |name: &str| {
        let opening = format!("```{name}\n");
        page.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next()).collect::<Vec<_>>()
    };
    let items = fences("items")[0].lines().filter_map(|line| line.split_once(": "));
    let items = items.map(|(key, value)| (key.to_owned(), json!(value))).collect();
    let templates = fences("template").into_iter().enumerate();
    let source = |text: &str| text.split("\n---\n").next().unwrap_or_default().to_owned();
    let templates =
        templates.map(|(number, text)| (format!("example{number}"), json!(source(text)))).collect();
    (Value::Object(items), Value::Object(templates))
}

#[tokio::test]
async fn the_documented_examples_give_the_same_secret_as_upstream() {
    let (items, templates) = documented_examples();
    assert!(templates.as_object().unwrap().len() >= 5);
    let ours = opened_by(Edition::Ours, &items, &templates).await;
    let upstream = opened_by(Edition::Upstream, &items, &templates).await;
    for (key, value) in upstream.data.clone().unwrap() {
        assert_eq!(
            item(&ours, &key),
            Some(String::from_utf8(value.0).unwrap()),
            "{key}: {}",
            templates[&key]
        );
    }
    assert_eq!(ours.data, upstream.data);
}

#[tokio::test]
async fn null_drops_a_key_and_an_item_wins_over_a_template_as_upstream_does() {
    let items = json!({"password": "p", "user": "u"});
    let templates = json!({"password": null, "user": "a template", "url": "{{ .user }}:{{ .password }}"});
    let ours = opened_by(Edition::Ours, &items, &templates).await;
    assert_eq!(item(&ours, "url").as_deref(), Some("u:p"));
    assert_eq!((item(&ours, "password"), item(&ours, "user").as_deref()), (None, Some("u")));
}

#[tokio::test]
async fn a_failing_template_is_named_with_its_place_and_without_a_value() {
    let scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("app", "password", CANARY)).await;
    sealed["spec"]["template"]["data"] = json!({"config": "ok\n{{ .password | fail }}"});
    scene.create(&sealed).await;
    let message = scene.until_synced("app", "False").await;
    assert!(message.starts_with("spec.template.data.config, line 2, column "), "{message}");
    assert!(message.contains("in function fail"), "{message}");
    let object = scene.sealed_secrets().get("app").await.unwrap();
    assert!(!serde_json::to_string(&object).unwrap().contains(CANARY));
    assert!(!scene.until_event("app", "ErrUnsealFailed").await.contains(CANARY));
    assert!(!scene.controller.log().contains(CANARY));
    assert!(!scene.controller.metrics().await.unwrap().contains(CANARY));
}

const HOSTILE_OBJECTS: usize = 32;
const SLOW_TEMPLATE: &str = r#"{{ genPrivateKey "rsa" }}{{ genPrivateKey "rsa" }}{{ fail "at last" }}"#;

#[tokio::test]
async fn hostile_templates_end_with_a_budget_error() {
    let scene = Scene::set().await;
    let hostile = [
        "{{ range until 100000000 }}x{{ end }}",
        "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}",
        "{{ repeat 1000000000 \"x\" }}",
        "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range until 60 }}{{ $x = cat $x $x }}{{ end }}{{ $x }}",
        "{{ genPrivateKey \"rsa\" }}{{ genPrivateKey \"rsa\" }}{{ genPrivateKey \"rsa\" }}{{ genPrivateKey \"rsa\" }}{{ genPrivateKey \"rsa\" }}",
    ];
    for (number, template) in hostile.iter().enumerate() {
        let name = format!("hostile{number}");
        let mut sealed = scene.seal(&scene.secret(&name, "password", CANARY)).await;
        sealed["spec"]["template"]["data"] = json!({"bomb": template});
        scene.create(&sealed).await;
        let message = scene.until_synced(&name, "False").await;
        assert!(message.contains("budget") || message.contains("time"), "{message}");
    }
}

#[tokio::test]
async fn many_hostile_templates_of_one_namespace_do_not_keep_another_waiting() {
    let cluster = Cluster::shared().await.unwrap();
    let neighbour = cluster.namespace("neighbour").await.unwrap();
    let installation = cluster.install_namespaced(&[&neighbour]).await.unwrap();
    let controller = installation.start(Edition::Ours, &[]).await.unwrap();
    let scene = Scene { cluster, installation, controller };
    let mut fine = scene.secret("fine", "password", "fine");
    fine["metadata"]["namespace"] = json!(neighbour);
    let mut fine = scene.seal(&fine).await;
    fine["spec"]["template"]["data"] = json!({"url": "https://{{ .password }}"});
    let mut hostile = scene.seal(&scene.secret("hostile", "password", CANARY)).await;
    hostile["spec"]["encryptedData"] = json!({});
    hostile["spec"]["template"]["data"] = json!({"bomb": SLOW_TEMPLATE});
    for number in 0..HOSTILE_OBJECTS {
        hostile["metadata"]["name"] = json!(format!("hostile{number}"));
        scene.create(&hostile).await;
    }
    apply_sealed(&scene.cluster, &fine.to_string()).await;
    until_secret(&scene.cluster, &neighbour, "fine", &[("password", "fine"), ("url", "https://fine")]).await;
    let all = scene.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
    let told = all.iter().filter(|object| object.data.get("status").is_some()).count();
    assert!(
        all.len() == HOSTILE_OBJECTS && told <= HOSTILE_OBJECTS * 3 / 4,
        "{told} were decided before the neighbour"
    );
}

#[tokio::test]
async fn dates_in_named_zones_need_no_zone_files_and_are_gos() {
    let items = json!({"user": "u"});
    let template =
        "{{ dateInZone \"2006-01-02 15:04 MST\" (toDate \"2006-01-02\" \"2024-07-01\") \"Europe/Berlin\" }}";
    let templates = json!({"berlin": template});
    let ours = opened_by(Edition::Ours, &items, &templates).await;
    assert_eq!(item(&ours, "berlin").as_deref(), Some("2024-07-01 02:00 CEST"));
    assert_eq!(ours.data, opened_by(Edition::Upstream, &items, &templates).await.data);
}

#[tokio::test]
async fn a_random_value_stays_until_the_spec_changes() {
    let mut scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("app", "user", "u")).await;
    sealed["spec"]["template"]["data"] = json!({"token": "{{ randAlphaNum 32 }}"});
    scene.create(&sealed).await;
    scene.until_synced("app", "True").await;
    let before = scene.secrets().get("app").await.unwrap();
    scene.controller.stop().await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    scene.seal_and_create(&scene.secret("later", "password", "p")).await;
    scene.until_synced("later", "True").await;
    let after = scene.secrets().get("app").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version(), "a restart rewrites nothing");
    let change = json!({"spec": {"template": {"data": {"token": "{{ randAlphaNum 33 }}"}}}});
    scene.merge("app", &change).await;
    scene
        .until_secret("app", "has a new token", |secret| {
            item(secret, "token").is_some_and(|token| token.len() == 33)
        })
        .await;
}
