//! Admission webhooks that quote the object in every part of their answers: nothing of a decrypted Secret and of a key appears in the
//! controller's output.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use sealed_secrets_tests::{AdmissionWebhook, Answer, Review, until};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::controller_canaries::{CANARY, DEBUG, traces};
use crate::key_scene::{KeyScene, LABEL};
use crate::scene::Scene;
use crate::support::PATIENCE;

/// The webhooks' names begin with this.
const NAME: &str = "quoting";

/// The values of the object, decoded.
fn words(review: &Review) -> String {
    let secret: Secret = serde_json::from_value(review.object().clone()).unwrap_or_default();
    let values =
        secret.data.into_iter().flatten().map(|(_, value)| String::from_utf8_lossy(&value.0).into_owned());
    values.collect::<Vec<_>>().join(" ")
}

/// A status with this code and the words in all of its texts.
fn quoting(code: u16, words: &str) -> Value {
    let fields = [
        words.to_owned(),
        format!("data[{words}]"),
        format!("data[password]{words}"),
        format!("metadata.{words}"),
    ];
    let causes = fields.map(|field| json!({"reason": words, "message": words, "field": field}));
    json!({
        "code": code, "reason": words, "message": words,
        "details": {"name": words, "group": words, "kind": words, "uid": words, "causes": causes}
    })
}

/// A webhook's answer about the Secret of this name, with its values wherever a webhook can put them.
fn answer(review: &Review) -> Answer {
    let words = &words(review);
    let patch = |patch: &Value| {
        let patch = STANDARD.encode(patch.to_string());
        review.admitted(&json!({"patchType": "JSONPatch", "patch": patch})).into()
    };
    let added = |path: &str, value: &Value| patch(&json!([{"op": "add", "path": path, "value": value}]));
    let owner = json!({"apiVersion": "v1", "kind": words, "name": words, "uid": "a"});
    match review.name() {
        "quoted-json" => Answer(200, format!("{{\"response\": {words}")),
        "quoted-html" => Answer(502, format!("<html><title>{words}</title></html>")),
        "quoted-kind" => json!({"apiVersion": words, "kind": words, "response": {"uid": words}}).into(),
        "quoted-status" => review.denied(&json!({"status": words, "message": words})).into(),
        "quoted-uid" => review.admitted(&json!({"uid": words})).into(),
        "quoted-code" => review.denied(&json!({"code": words, "message": words})).into(),
        "quoted-huge" => review.denied(&quoting(403, &words.repeat(10_000))).into(),
        "quoted-warning" => review.admitted(&json!({"warnings": [words, words]})).into(),
        "quoted-audit" => review.admitted(&json!({"auditAnnotations": {words: words}})).into(),
        "patched-label" => added("/metadata/labels", &json!({"team": words})),
        "patched-labels" => added("/metadata/labels", &json!({words: words})),
        "patched-annotation" => added("/metadata/annotations", &json!({"words": words})),
        "patched-finalizer" => added("/metadata/finalizers", &json!([words])),
        "patched-owner" => added("/metadata/ownerReferences/-", &owner),
        "patched-name" => added("/metadata/name", &json!(words)),
        "patched-key" => added(&format!("/data/{words}"), &json!("AA==")),
        "patched-value" => added("/data/password", &json!(words)),
        "patched-data" => added("/data/password", &json!(STANDARD.encode(words.repeat(2)))),
        "patched-type" => added("/type", &json!(words)),
        "patched-immutable" => added("/immutable", &json!(words)),
        "patched-path" => added(words, &json!(words)),
        "patched-text" => {
            review.admitted(&json!({"patchType": words, "patch": STANDARD.encode(words)})).into()
        }
        name => {
            let code = name.rsplit('-').next().and_then(|code| code.parse().ok()).unwrap_or(403);
            review.denied(&quoting(code, words)).into()
        }
    }
}

const QUOTED: [&str; 16] = [
    "quoted-400",
    "quoted-403",
    "quoted-404",
    "quoted-409",
    "quoted-422",
    "quoted-500",
    "quoted-700",
    "quoted-json",
    "quoted-html",
    "quoted-kind",
    "quoted-uid",
    "quoted-status",
    "quoted-code",
    "quoted-huge",
    "quoted-warning",
    "quoted-audit",
];
const PATCHED: [&str; 13] = [
    "patched-label",
    "patched-labels",
    "patched-annotation",
    "patched-finalizer",
    "patched-owner",
    "patched-name",
    "patched-key",
    "patched-value",
    "patched-data",
    "patched-type",
    "patched-immutable",
    "patched-path",
    "patched-text",
];

/// Registers the webhook for the writes of Secrets in the scene's namespace that satisfy `condition`, in CEL.
async fn register<K>(scene: &Scene, webhook: &AdmissionWebhook, condition: &str) -> Api<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let (url, authority) = webhook.client_config();
    let namespace = scene.namespace();
    let configuration = json!({
        "metadata": {"name": format!("{NAME}.{namespace}")},
        "webhooks": [{
            "name": format!("{NAME}.{namespace}.test"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(authority)},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "matchConditions": [{"name": "named", "expression": condition}],
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]
            }]
        }]
    });
    let api: Api<K> = Api::all(scene.cluster.client());
    api.create(&PostParams::default(), &serde_json::from_value(configuration).unwrap()).await.unwrap();
    api
}

/// Waits until the API server denies a Secret of this name and labels, and returns the error.
async fn until_denied(scene: &Scene, name: &str, labels: &Value) -> String {
    let mut probe = scene.secret(name, "password", CANARY);
    probe["metadata"]["labels"] = labels.clone();
    let probe: Secret = serde_json::from_value(probe).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let denied = async || scene.secrets().create(&dry, &probe).await.err().map(|error| format!("{error:?}"));
    until("the webhook is in force", PATIENCE, denied).await.unwrap()
}

/// Waits until the controller has reported the outcome for this object.
async fn until_reported(scene: &Scene, name: &str) -> String {
    let found = async || {
        let object = scene.sealed_secrets().get(name).await.unwrap();
        let condition = &object.data["status"]["conditions"][0];
        (condition["type"] == "Synced").then(|| condition.to_string())
    };
    until(&format!("the outcome of {name}"), PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_wherever_an_admission_webhook_puts_it() {
    let scene = Scene::with(&[DEBUG, "--key-size=2048"]).await;
    let webhook = AdmissionWebhook::start(answer).await.unwrap();
    let quoted = "object.metadata.name.startsWith('quoted')";
    let patched = "object.metadata.name.startsWith('patched')";
    register::<ValidatingWebhookConfiguration>(&scene, &webhook, quoted).await;
    register::<MutatingWebhookConfiguration>(&scene, &webhook, patched).await;
    for name in ["quoted-422", "patched-label"] {
        let denial = until_denied(&scene, name, &json!({})).await;
        assert!(!traces(&denial).is_empty(), "the answer has nothing to hide: {denial}");
    }
    let mut failed = 0;
    for name in QUOTED.iter().chain(&PATCHED) {
        let mut sealed = scene.typed(name, "Opaque", &json!({"made": "{{ .password }}"})).await;
        sealed["spec"]["template"]["metadata"]["annotations"] = json!({"mail": "a@example.org"});
        scene.create(&sealed).await;
    }
    for name in QUOTED.iter().chain(&PATCHED) {
        let condition = until_reported(&scene, name).await;
        println!("{name}: {condition}");
        failed += usize::from(condition.contains("\"False\""));
    }
    assert!(failed > 20 && webhook.calls() >= QUOTED.len() + PATCHED.len(), "{failed} {}", webhook.calls());
    // A change of the values by another writer is repaired, and the webhook changes them again.
    scene.secrets().delete("patched-data", &DeleteParams::default()).await.unwrap();
    scene.until_event("patched-data", "SecretRepaired").await;
    scene.expect_no_trace(&[]).await;
}

/// Every 12 successive characters of the second half of the texts: in a private key in PEM, numbers that are not public.
fn windows(texts: &[String]) -> BTreeSet<&str> {
    let halves = texts.iter().filter_map(|text| text.trim_ascii().get(text.trim_ascii().len() / 2..));
    let lines = halves.flat_map(str::lines).filter(|line| !line.starts_with('-'));
    lines.flat_map(|line| (0..line.len()).filter_map(|start| line.get(start..start + 12))).collect()
}

/// All output of the controller about keys: log, metrics, events, and the status of the policy and of the `SealingKeys`.
async fn told_about_keys(scene: &KeyScene) -> String {
    let events = scene.0.events("").await;
    let policies = scene.policies().list(&ListParams::default()).await.unwrap().items;
    let keys = scene.sealing_keys().list(&ListParams::default()).await.unwrap().items;
    let ready = scene.controller().get("/readyz").await.unwrap();
    let mut all = vec![scene.controller().log(), scene.controller().metrics().await.unwrap(), ready.body];
    all.extend(events.iter().map(|event| serde_json::to_string(event).unwrap()));
    all.extend(policies.iter().map(|policy| serde_json::to_string(&policy.status).unwrap()));
    all.extend(keys.iter().map(|key| serde_json::to_string(&key.status).unwrap()));
    all.join("\n")
}

#[tokio::test]
async fn no_part_of_a_private_key_is_disclosed_when_an_admission_webhook_quotes_it() {
    let scene = KeyScene::with(&[DEBUG]).await;
    scene.apply_policy(&json!({})).await;
    let (code, quoted) = (Arc::new(AtomicU16::new(403)), Arc::new(Mutex::new(Vec::new())));
    let (current, keys) = (Arc::clone(&code), Arc::clone(&quoted));
    let deny = move |review: &Review| {
        let stored = review.object()["data"]["tls.key"].as_str().unwrap_or_default().to_owned();
        let key = String::from_utf8(STANDARD.decode(&stored).unwrap()).unwrap();
        let status = quoting(current.load(Ordering::SeqCst), &key);
        keys.lock().unwrap().extend([key, stored]);
        review.denied(&status).into()
    };
    let webhook = AdmissionWebhook::start(deny).await.unwrap();
    let of_keys = format!("has(object.metadata.labels) && '{LABEL}' in object.metadata.labels");
    register::<ValidatingWebhookConfiguration>(&scene.0, &webhook, &of_keys).await;
    until_denied(&scene.0, "probe", &json!({LABEL: "probe"})).await;
    let primary = scene.names().await.remove(0);
    // The old key's Secret is to be changed, and a new one to be created.
    scene.say(&primary, &json!({"state": "Compromised"})).await;
    for denial in [403, 500] {
        code.store(denial, Ordering::SeqCst);
        let told = async || {
            let told = told_about_keys(&scene).await;
            let quoted = quoted.lock().unwrap().clone();
            let leaked = windows(&quoted).into_iter().find(|window| told.contains(window));
            let line = leaked.and_then(|leaked| told.lines().find(|line| line.contains(leaked)));
            assert!(line.is_none(), "{line:?}");
            let denied =
                format!("the admission webhook {NAME}.{}.test denies it ({denial})", scene.0.namespace());
            (told.contains(&denied) && told.contains("a change of a key Secret was refused")).then_some(())
        };
        until(&format!("the denial with {denial} is told"), PATIENCE, told).await.unwrap();
    }
    assert!(quoted.lock().unwrap().iter().any(|text| text.contains("PRIVATE KEY")));
}
