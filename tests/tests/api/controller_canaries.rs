//! Plaintext of characters that occur nowhere else, and every failure that can be provoked: none of the characters appears in the
//! controller's output, neither unchanged nor encoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use sealed_secrets_tests::{Cluster, Fault, FaultProxy, Reach, Tool, hex, http_request, until, workspace};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::{PATIENCE, apply_sealed};

/// Characters of three bytes each in UTF-8.
pub(crate) const CANARY: &str = "ꙮꚙꙭꚘꙨꙚ";

/// All parts of the canary that the text contains, in any encoding.
pub(crate) fn traces(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    notations().into_iter().filter(|trace| text.contains(trace) || lower.contains(trace)).collect()
}

fn notations() -> Vec<String> {
    let mut all = Vec::new();
    for character in CANARY.chars() {
        let bytes = character.to_string().into_bytes();
        let number = u32::from(character);
        all.extend([
            character.to_string(),
            format!("\\u{number:04x}"),
            format!("\\u{{{number:x}}}"),
            format!("&#{number};"),
        ]);
        // Bytes read as characters, as Latin-1.
        all.extend(bytes.iter().map(|&byte| char::from(byte).to_string()));
        all.extend(bytes.iter().flat_map(|byte| {
            [
                format!("\\x{byte:02x}"),
                format!("\\u{byte:04x}"),
                format!("\\{byte:03o}"),
                format!("%{byte:02x}"),
            ]
        }));
    }
    let characters: Vec<_> = CANARY.chars().collect();
    for pair in characters.windows(2) {
        let pair: String = pair.iter().collect();
        all.push(hex(pair.as_bytes()));
        let numbers: Vec<_> = pair.bytes().map(|byte| byte.to_string()).collect();
        all.push(numbers.join(", "));
        all.extend(in_base64(pair.as_bytes()));
    }
    all
}

/// The characters of base64 that depend on these bytes only, at any offset in a text.
fn in_base64(bytes: &[u8]) -> Vec<String> {
    let with = |before: usize| {
        let text = STANDARD.encode([&vec![0; before], bytes].concat());
        let (first, last) = ((before * 8).div_ceil(6), (before + bytes.len()) * 8 / 6);
        text[first..last].to_owned()
    };
    (0..3).map(with).collect()
}

#[test]
fn every_notation_of_every_character_is_found() {
    let first: String = CANARY.chars().take(1).collect();
    let two: String = CANARY.chars().take(2).collect();
    let texts = [
        format!("invalid character '{first}' after top-level value"),
        format!("invalid character '{}'", char::from(first.as_bytes()[0])),
        format!("invalid character '\\x{:02x}'", first.as_bytes()[1]),
        STANDARD.encode(&two),
        STANDARD.encode(format!("a{two}b")),
        STANDARD.encode(format!("ab{two}c")),
        hex(two.as_bytes()).to_uppercase(),
        format!("{:?}", two.as_bytes()),
    ];
    for text in texts {
        assert!(!traces(&text).is_empty(), "{text}");
    }
    assert_eq!(traces("an ordinary line … with 0123456789abcdef and an uid"), [""; 0]);
}

impl Scene {
    /// All output of the controller so far: status, events, log, metrics and responses to these objects.
    async fn emitted(&self, sent: &[&Value]) -> String {
        let events = self.events("").await;
        let objects = self.sealed_secrets().list(&ListParams::default()).await.unwrap().items;
        let mut all = vec![self.controller.log(), self.controller.metrics().await.unwrap()];
        all.extend(events.iter().map(|event| serde_json::to_string(event).unwrap()));
        all.extend(objects.iter().map(|object| object.data["status"].to_string()));
        let address = self.controller.address().to_string();
        for object in sent {
            for path in ["/v1/verify", "/v1/rotate"] {
                let answer = http_request(&address, "POST", path, &object.to_string()).await.unwrap();
                all.push(answer.headers);
                // New ciphertext is random.
                if answer.status != 200 {
                    all.push(answer.body);
                }
            }
        }
        all.join("\n")
    }

    pub(crate) async fn expect_no_trace(&self, sent: &[&Value]) {
        let emitted = self.emitted(sent).await;
        let traces = traces(&emitted);
        let line = emitted.lines().find(|line| traces.iter().any(|trace| line.contains(trace.as_str())));
        assert!(traces.is_empty(), "{traces:?} in {line:?}");
        assert!(emitted.contains("level=DEBUG") && emitted.contains("level=ERROR"), "{emitted}");
    }

    /// A SealedSecret of this type with the canary as the item `password`, and with these templates.
    pub(crate) async fn typed(&self, name: &str, kind: &str, templates: &Value) -> Value {
        let mut sealed = self.seal(&self.secret(name, "password", CANARY)).await;
        sealed["spec"]["template"]["type"] = json!(kind);
        sealed["spec"]["template"]["data"] = templates.clone();
        sealed
    }

    /// Creates the object, and returns the messages about its failure.
    async fn failed(&self, sealed: &Value) -> String {
        self.create(sealed).await;
        self.until_synced(sealed["metadata"]["name"].as_str().unwrap(), "False").await
    }
}

pub(crate) const DEBUG: &str = "--log-level=DEBUG";

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_when_the_api_server_finds_it_invalid() {
    let scene = Scene::with(&[DEBUG]).await;
    let mut sent = Vec::new();
    for (kind, key) in [("dockerconfigjson", ".dockerconfigjson"), ("dockercfg", ".dockercfg")] {
        let kind = format!("kubernetes.io/{kind}");
        for at in 0..3 {
            let template = format!("{{}}{{{{ substr {at} {} .password }}}}", at + 1);
            let sealed = scene.typed(&format!("one{key}-{at}"), &kind, &json!({key: template})).await;
            let message = scene.failed(&sealed).await;
            assert!(message.contains(&format!("`{key}` is not valid JSON")), "{message}");
            sent.push(sealed);
        }
        let sealed = scene.typed(&format!("all{key}"), &kind, &json!({key: "{{ .password }}"})).await;
        scene.failed(&sealed).await;
        // In the deprecated format everything is sealed.
        let mut whole = scene.secret(&format!("whole{key}"), key, CANARY);
        whole["type"] = json!(kind);
        let message = scene.failed(&scene.seal_v1(&whole).await).await;
        assert!(message.contains("422") && !message.contains("docker"), "{message}");
    }
    for (name, kind) in [("tls", "kubernetes.io/tls"), ("ssh", "kubernetes.io/ssh-auth")] {
        let message = scene.failed(&scene.typed(name, kind, &json!({})).await).await;
        assert!(message.contains("needs the item"), "{message}");
    }
    scene.expect_no_trace(&[&sent[0]]).await;
}

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_when_a_secret_breaks_a_rule_or_may_not_be_written() {
    let scene = Scene::with(&[DEBUG]).await;
    let large = scene.secret("large", "password", &CANARY.repeat(59_000));
    let message = scene.failed(&scene.seal(&large).await).await;
    assert!(message.contains("1 MiB"), "{message}");
    let mut labelled = scene.typed("labelled", "Opaque", &json!({})).await;
    labelled["spec"]["template"]["metadata"]["labels"] = json!({"team": "not a value"});
    let message = scene.failed(&labelled).await;
    assert!(message.contains("the value of label team"), "{message}");
    let mut misnamed = scene.typed("misnamed", "Opaque", &json!({})).await;
    misnamed["spec"]["template"]["data"] = json!({"a/b": "{{ .password }}"});
    let message = scene.failed(&misnamed).await;
    assert!(message.contains("the key \"a/b\""), "{message}");

    let theirs: Secret = serde_json::from_value(scene.secret("theirs", "password", CANARY)).unwrap();
    scene.secrets().create(&PostParams::default(), &theirs).await.unwrap();
    scene.failed(&scene.typed("theirs", "Opaque", &json!({"url": "{{ .password }}"})).await).await;
    let mut fixed = scene.secret("fixed", "password", "old");
    fixed["immutable"] = json!(true);
    scene.seal_and_create(&fixed).await;
    scene.until_synced("fixed", "True").await;
    let changed = scene.typed("fixed", "kubernetes.io/other", &json!({})).await;
    scene.merge("fixed", &json!({"spec": changed["spec"]})).await;
    scene.until_synced("fixed", "False").await;
    let event = scene.until_event("fixed", "ErrUpdateFailed").await;
    assert!(event.starts_with("the target Secret is immutable"), "{event}");

    scene.fill_quota().await;
    let message = scene.failed(&scene.typed("beyond", "Opaque", &json!({})).await).await;
    assert!(message.contains("exceeded quota"), "{message}");
    scene.expect_no_trace(&[&labelled]).await;
}

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_when_a_template_fails() {
    let scene = Scene::with(&[DEBUG]).await;
    let templates = [
        "{{ fail .password }}",
        "{{ .password | mustFromJson }}",
        "{{ index .password 100 }}",
        "{{ .password.further }}",
        "{{ mustToDate \"2006-01-02\" .password }}",
        "{{ mustRegexMatch (printf \"(%s\" .password) \"x\" }}",
        "{{ template .password }}",
        "{{ printf .password | required \"x\" | atoi | div 1 0 }}",
        "{{ semver .password }}",
        "{{ .password | b64dec | fail }}",
        "{{ genCA .password 1 | index .password }}",
        "{{ call .password }}",
        "{{ dict .password .password | get .password }}",
        "{{ buildCustomCert .password .password }}",
        "{{ decryptAES .password .password | fail }}",
        "{{ urlParse (printf \"%%%s:\" .password) }}",
        "{{ len 3 }}{{ .password }}",
        "{{ slice .password 9 4 }}",
    ];
    for (number, template) in templates.iter().enumerate() {
        let templates = json!({"made": template});
        let message =
            scene.failed(&scene.typed(&format!("template{number}"), "Opaque", &templates).await).await;
        assert!(message.contains("spec.template.data.made, line 1, column"), "{message}");
    }
    scene.expect_no_trace(&[]).await;
}

/// Creates an admission policy that refuses Secrets of this namespace whose names begin with `denied`, with a message that quotes
/// the object.
async fn quote_in_policy(scene: &Scene) {
    let (namespace, client) = (scene.namespace(), scene.cluster.client());
    let policy = json!({
        "metadata": {"name": format!("quotes.{namespace}")},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]
            }]},
            "matchConditions": [{"name": "named", "expression": "object.metadata.name.startsWith('denied')"}],
            "validations": [{
                "expression": "false", "messageExpression": "'it is ' + string(object.data['password'])"
            }]
        }
    });
    let binding = json!({
        "metadata": {"name": format!("quotes.{namespace}")},
        "spec": {
            "policyName": format!("quotes.{namespace}"), "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        }
    });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy).unwrap()).await.unwrap();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client);
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    let probe: Secret = serde_json::from_value(scene.secret("denied-probe", "password", CANARY)).unwrap();
    let refused = async || {
        if let Err(kube::Error::Api(status)) = scene.secrets().create(&PostParams::default(), &probe).await {
            return Some(status.message);
        }
        scene.secrets().delete("denied-probe", &DeleteParams::default()).await.unwrap();
        None
    };
    let words = until("the policy is in force", PATIENCE, refused).await.unwrap();
    assert!(!traces(&words).is_empty(), "the policy has nothing to hide: {words}");
}

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_when_an_admission_policy_quotes_it() {
    let scene = Scene::with(&[DEBUG]).await;
    scene.opened("before").await;
    quote_in_policy(&scene).await;
    let message = scene.failed(&scene.typed("denied", "Opaque", &json!({})).await).await;
    let policy = format!("the ValidatingAdmissionPolicy quotes.{} denies the Secret", scene.namespace());
    assert!(message.contains(&policy), "{message}");
    let whole = scene.seal_v1(&scene.secret("denied-whole", "password", CANARY)).await;
    scene.failed(&whole).await;
    scene.expect_no_trace(&[&whole]).await;
}

#[tokio::test]
async fn no_character_of_a_value_is_disclosed_whatever_an_answer_quotes_and_wherever() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    let scene = Scene::start(cluster, installation, &[&proxy.flag(), DEBUG, "--key-size=2048"]).await;
    let existing = scene.opened("existing").await;
    for (number, code) in
        [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, 504].into_iter().enumerate()
    {
        proxy.fail(move |method, path| {
            let path = path.split('?').next().unwrap_or_default();
            let writes = (method == Method::POST && path.ends_with("/secrets"))
                || (method == Method::PUT && path.contains("/secrets/"));
            writes.then_some(Fault::Echo(code))
        });
        let name = format!("new{number}");
        scene.create(&scene.typed(&name, "Opaque", &json!({})).await).await;
        scene.until_synced(&name, "False").await;
        let changed = scene.typed(&existing.name_any(), "Opaque", &json!({"n": number.to_string()})).await;
        scene.merge("existing", &json!({"spec": changed["spec"]})).await;
        scene.until_synced("existing", "False").await;
    }
    proxy.heal();
    scene.until_synced("existing", "True").await;
    scene.expect_no_trace(&[]).await;
}

/// A controller for the whole cluster, or for its own namespace and one more, and 20 Secrets that it has created in the other
/// namespace.
async fn with_secrets_in_another_namespace(whole_cluster: bool) -> (Scene, String) {
    let cluster = Cluster::own().await.unwrap();
    let own = cluster.namespace("own").await.unwrap();
    let other = cluster.namespace("going").await.unwrap();
    let additional = vec![other.clone()];
    let reach = if whole_cluster { Reach::WholeCluster } else { Reach::Namespaces { additional } };
    let installation = cluster.install(&own, reach).await.unwrap();
    let scene = Scene::start(cluster, installation, &["--key-size=2048"]).await;
    for number in 0..20 {
        let mut secret = scene.secret(&format!("db{number}"), "password", CANARY);
        secret["metadata"]["namespace"] = json!(other);
        apply_sealed(&scene.cluster, &scene.seal(&secret).await.to_string()).await;
    }
    let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), &other);
    let made = async || (secrets.list(&ListParams::default()).await.unwrap().items.len() >= 20).then_some(());
    until("all Secrets are there", PATIENCE, made).await.unwrap();
    (scene, other)
}

async fn delete_namespace(scene: &Scene, name: &str) {
    let namespaces: Api<Namespace> = Api::all(scene.cluster.client());
    namespaces.delete(name, &DeleteParams::default()).await.unwrap();
    let gone = async || namespaces.get_opt(name).await.unwrap().is_none().then_some(());
    until("the namespace is gone", PATIENCE, gone).await.unwrap();
}

async fn until_no_secret_may_be_made(scene: &Scene, namespace: &str) {
    let account = format!("system:serviceaccount:{}:sealed-secrets-controller", scene.namespace());
    let permission = json!({"namespace": namespace, "verb": "create", "resource": "secrets"});
    let review = json!({"metadata": {}, "spec": {"user": account, "resourceAttributes": permission}});
    let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(scene.cluster.client());
    let denied = async || {
        let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
        (!answer.status.unwrap().allowed).then_some(())
    };
    until("the account may make no Secret there", PATIENCE, denied).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_is_deleted_is_no_error_for_each_of_its_objects() {
    let (scene, other) = with_secrets_in_another_namespace(true).await;
    delete_namespace(&scene, &other).await;
    scene.opened("after").await;
    let log = scene.controller.log();
    assert!(
        !log.contains("level=ERROR") && !log.contains("the permission to create events is missing"),
        "{log}"
    );
}

#[tokio::test]
async fn a_namespace_whose_permissions_go_first_is_reported_once_and_not_for_each_object() {
    let (scene, other) = with_secrets_in_another_namespace(false).await;
    let bindings: Api<RoleBinding> = Api::namespaced(scene.cluster.client(), &other);
    bindings.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    until_no_secret_may_be_made(&scene, &other).await;
    let secrets: Api<Secret> = Api::namespaced(scene.cluster.client(), &other);
    secrets.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    let told = format!("permission missing in namespace {other}");
    scene.until_logged(&told).await;
    delete_namespace(&scene, &other).await;
    scene.opened("after").await;
    let log = scene.controller.log();
    assert!(!log.contains("level=ERROR") && log.matches(&told).count() == 1, "{log}");
}

#[tokio::test]
async fn the_policy_that_is_shipped_denies_templates_and_wide_scopes() {
    let scene = Scene::on(Cluster::own().await.unwrap(), &[]).await;
    let kubectl = Tool::kubectl().unwrap();
    let kubeconfig = scene.cluster.kubeconfig();
    let page = workspace::root().join("deploy/admission/templates-and-scopes.yaml");
    let arguments = ["--kubeconfig", kubeconfig.to_str().unwrap(), "apply", "-f", page.to_str().unwrap()];
    kubectl.run(&arguments, "").unwrap().ok().unwrap();
    let plain = scene.seal(&scene.secret("plain", "password", CANARY)).await;
    let mut templated = plain.clone();
    templated["spec"]["template"]["data"] = json!({"url": "{{ .password }}"});
    let mut wide = plain.clone();
    wide["metadata"]["annotations"] = json!({"sealedsecrets.bitnami.com/cluster-wide": "true"});
    let mut dropped = plain.clone();
    dropped["metadata"]["name"] = json!("dropped");
    dropped["spec"]["template"]["data"] = json!({"password": null});
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let answer = async |sealed: &Value| {
        let object = serde_json::from_value(sealed.clone()).unwrap();
        scene.sealed_secrets().create(&dry, &object).await.err().map(|error| error.to_string())
    };
    for (sealed, words) in [(&templated, "may hold no templates"), (&wide, "the scope strict")] {
        let denied = async || answer(sealed).await.filter(|error| error.contains(words));
        until(words, PATIENCE, denied).await.unwrap();
    }
    for sealed in [&plain, &dropped] {
        assert_eq!(answer(sealed).await, None);
    }
}
