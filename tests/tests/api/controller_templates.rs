//! `spec.template.data`, rendered by the controllers themselves.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::memory_limit::{MemoryLimit, peak_memory};
use sealed_secrets_tests::{Cluster, Edition, until};
use serde_json::{Value, json};

use crate::scene::{CANARY, Scene, item};
use crate::support::{PATIENCE, apply_sealed, until_secret};

/// Starts a controller, seals these items, adds these templates, and returns the resulting Secret.
async fn unsealed_by(edition: Edition, items: &Value, templates: &Value) -> Secret {
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

/// The examples of docs/templates.md: fences named `items`, and fences named `template` with the result after a line of dashes.
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
    let ours = unsealed_by(Edition::Ours, &items, &templates).await;
    let upstream = unsealed_by(Edition::Upstream, &items, &templates).await;
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
    let ours = unsealed_by(Edition::Ours, &items, &templates).await;
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
    let scene = Scene::start(cluster, installation, &[]).await;
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

/// Two thirds of the limit in `deploy/kustomize/base/deployment.yaml`: what a test creates is not all that may come at the same time.
const LIMIT: u64 = 128 << 20;
/// Templates that take all the memory that they may, each in the way of another function.
const GREEDY_TEMPLATES: [&str; 3] = [
    r#"{{ $x := repeat 3500000 "x" }}{{ range $i := 4 }}{{ $y := derivePassword 1 "long" "p" (toString $i) "s" }}{{ end }}{{ range 100000000 }}{{ end }}"#,
    r#"{{ $x := fromJson (print "[" (repeat 15000 "{\"a\":{}},") "1]") }}{{ range 4 }}{{ $y := derivePassword 1 "long" "p" "u" "s" }}{{ end }}{{ fail "at last" }}"#,
    r#"{{ $x := fromJson (print "[" (repeat 50000 "{\"a\":{}},") "1]") }}{{ range 4 }}{{ $y := derivePassword 1 "long" "p" "u" "s" }}{{ end }}{{ fail "at last" }}"#,
];

#[tokio::test]
async fn templates_that_take_time_and_memory_leave_both_to_others() {
    let cluster = Cluster::shared().await.unwrap();
    let neighbour = cluster.namespace("neighbour").await.unwrap();
    let accomplice = cluster.namespace("accomplice").await.unwrap();
    let installation = cluster.install_namespaced(&[&neighbour, &accomplice]).await.unwrap();
    let mut scene = Scene::start(cluster, installation, &[]).await;
    let process = scene.controller.process().id();
    let _limit = MemoryLimit::on(process, LIMIT);
    let mut honest = scene.secret("honest", "password", "fine");
    honest["metadata"]["namespace"] = json!(neighbour);
    let mut honest = scene.seal(&honest).await;
    honest["spec"]["template"]["data"] = json!({
        "key": "{{ genPrivateKey \"rsa\" }}", "derived": "{{ derivePassword 1 \"long\" .password \"u\" \"s\" }}"
    });
    let mut greedy = scene.seal(&scene.secret("greedy", "password", CANARY)).await;
    greedy["spec"]["encryptedData"] = json!({});
    for number in 0..9 {
        greedy["metadata"]["name"] = json!(format!("greedy{number}"));
        greedy["spec"]["template"]["data"] = json!({"bomb": GREEDY_TEMPLATES[number % 3]});
        scene.create(&greedy).await;
        let mut other = greedy.clone();
        other["metadata"]["namespace"] = json!(accomplice);
        apply_sealed(&scene.cluster, &other.to_string()).await;
    }
    apply_sealed(&scene.cluster, &honest.to_string()).await;
    let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), &neighbour);
    let key = async || item(&secrets.get_opt("honest").await.unwrap()?, "key");
    let key = until("the honest object is open", PATIENCE, key).await.unwrap();
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY"), "{key}");
    for number in 0..9 {
        scene.until_synced(&format!("greedy{number}"), "False").await;
    }
    let peak = peak_memory(process).unwrap();
    assert!(peak < LIMIT / 4 * 3, "{} MiB", peak >> 20);
}

#[tokio::test]
async fn dates_in_named_zones_need_no_zone_files_and_are_gos() {
    let items = json!({"user": "u"});
    let template =
        "{{ dateInZone \"2006-01-02 15:04 MST\" (toDate \"2006-01-02\" \"2024-07-01\") \"Europe/Berlin\" }}";
    let templates = json!({"berlin": template});
    let ours = unsealed_by(Edition::Ours, &items, &templates).await;
    assert_eq!(item(&ours, "berlin").as_deref(), Some("2024-07-01 02:00 CEST"));
    assert_eq!(ours.data, unsealed_by(Edition::Upstream, &items, &templates).await.data);
}

/// The API server does not update the time of a managed field when fields are only removed.
#[tokio::test]
async fn an_item_removed_from_the_spec_while_the_controller_is_down_goes_even_if_the_secret_is_edited() {
    let mut scene = Scene::set().await;
    let mut sealed = scene.seal(&scene.secret("app", "token", "revoked")).await;
    sealed["spec"]["template"]["metadata"]["labels"] = json!({"team": "former"});
    sealed["spec"]["template"]["data"] = json!({"token": "{{ randAlphaNum 32 }}"});
    scene.create(&sealed).await;
    scene.until_synced("app", "True").await;
    assert_eq!(item(&scene.secrets().get("app").await.unwrap(), "token").as_deref(), Some("revoked"));
    scene.controller.stop().await.unwrap();
    let change =
        json!({"spec": {"encryptedData": {"token": null}, "template": {"metadata": {"labels": null}}}});
    scene.merge("app", &change).await;
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"touched": "true"}}}));
    scene.secrets().patch("app", &PatchParams::default(), &touch).await.unwrap();
    scene.controller = scene.installation.start(Edition::Ours, &[]).await.unwrap();
    let is_new = |secret: &Secret| item(secret, "token").is_some_and(|token| token.len() == 32);
    let secret = scene.until_secret("app", "has a token of its own", is_new).await;
    assert!(!secret.labels().contains_key("team"), "{:?}", secret.labels());
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
