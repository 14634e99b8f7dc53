//! Comparison of the HTTP responses of both controllers.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use sealed_secrets_tests::{Cluster, ControllerProcess, Edition, HttpResponse, http_request};
use serde_json::{Value, json};

use crate::scene::{CANARY, seal_with};
use crate::support::{apply_sealed, secret_manifest};

const FOREIGN_CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

/// The kind of a response body: its text differs with the key, and ours includes the reason of a failure.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    Certificate,
    SealedSecret,
    Sentence,
    Empty,
}

fn kind_of(body: &str) -> Body {
    if body.is_empty() {
        Body::Empty
    } else if body.starts_with("-----BEGIN CERTIFICATE-----\n") {
        Body::Certificate
    } else if serde_json::from_str::<Value>(body).is_ok_and(|body| body["spec"]["encryptedData"].is_object())
    {
        Body::SealedSecret
    } else {
        Body::Sentence
    }
}

fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let lines = answer.headers.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Method, path and body of every request, for the holder of this certificate.
fn questions(namespace: &str, certificate: &str) -> Vec<(&'static str, &'static str, String)> {
    let secret = secret_manifest(namespace, "db", "password", CANARY);
    let good = seal_with(certificate, &secret);
    let mut renamed = good.clone();
    renamed["metadata"]["name"] = json!("other");
    let foreign = seal_with(FOREIGN_CERTIFICATE, &secret);
    let yaml = format!(
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {}\n",
        good["spec"]
    );
    let bodies = [
        String::new(),
        "a: b".to_owned(),
        "{}".to_owned(),
        secret.to_string(),
        renamed.to_string(),
        foreign.to_string(),
        good.to_string(),
        yaml,
    ];
    let mut questions = Vec::new();
    for path in ["/healthz", "/readyz", "/v1/cert.pem", "/nothing", "/", "/metrics", "/v1/verify/"] {
        questions.extend(["GET", "POST", "DELETE"].map(|method| (method, path, String::new())));
    }
    for path in ["/v1/verify", "/v1/rotate"] {
        questions.extend([("GET", path, String::new()), ("PUT", path, good.to_string())]);
        questions.extend(bodies.iter().map(|body| ("POST", path, body.clone())));
    }
    questions
}

async fn start(cluster: &Cluster, edition: Edition, arguments: &[&str]) -> (String, ControllerProcess) {
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(edition, arguments).await.unwrap();
    (installation.namespace().to_owned(), controller)
}

async fn answers(edition: Edition) -> Vec<(String, HttpResponse)> {
    let cluster = Cluster::shared().await.unwrap();
    let (namespace, controller) =
        start(&cluster, edition, &["--rate-limit=1000", "--rate-limit-burst=1000"]).await;
    let certificate = controller.certificate().await.unwrap();
    let mut answers = Vec::new();
    for (number, (method, path, body)) in questions(&namespace, &certificate).into_iter().enumerate() {
        let answer = http_request(&controller.address().to_string(), method, path, &body).await.unwrap();
        answers.push((format!("{number}: {method} {path}"), answer));
    }
    answers
}

#[tokio::test]
async fn every_path_answers_as_upstreams_does() {
    let (ours, theirs) = (answers(Edition::Ours).await, answers(Edition::Upstream).await);
    for ((question, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(ours.status, theirs.status, "{question}");
        assert!(!ours.body.contains(CANARY), "{question}");
        let refused = ours.status == 500;
        let expected = if refused { Body::Sentence } else { kind_of(&theirs.body) };
        assert_eq!(kind_of(&ours.body), expected, "{question}");
        // Upstream sets the content type of a rotated object too late.
        let sealed = kind_of(&ours.body) == Body::SealedSecret;
        let expected = if sealed { Some("application/json") } else { header(theirs, "content-type") };
        if !refused {
            assert_eq!(header(ours, "content-type"), expected, "{question}");
        }
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining"] {
            assert_eq!(header(ours, name).is_some(), header(theirs, name).is_some(), "{question}: {name}");
        }
    }
}

#[tokio::test]
async fn requests_beyond_the_rate_are_answered_as_upstream_answers_them() {
    let cluster = Cluster::shared().await.unwrap();
    let mut answers = Vec::new();
    for edition in [Edition::Ours, Edition::Upstream] {
        let (_, controller) = start(&cluster, edition, &["--rate-limit=1", "--rate-limit-burst=3"]).await;
        let mut of_edition = Vec::new();
        loop {
            let answer =
                http_request(&controller.address().to_string(), "POST", "/v1/verify", "").await.unwrap();
            let names = ["x-ratelimit-limit", "retry-after", "content-type"];
            let [limit, retry, kind] = names.map(|name| header(&answer, name).map(str::to_owned));
            if answer.status == 429 {
                of_edition.push((limit, retry, kind, answer.body));
                break;
            }
            assert!(limit.is_some() && retry.is_none(), "{answer:?}");
        }
        answers.push(of_edition);
    }
    assert_eq!(answers[0], answers[1]);
}

/// The names of all metrics with their labels, as `name{label,label}`; for failed attempts also the reasons. One object is
/// decrypted, one is not, and the Secret of the third has another owner.
async fn metrics(edition: Edition) -> BTreeSet<String> {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let controller = installation.start(edition, &[]).await.unwrap();
    let certificate = controller.certificate().await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), installation.namespace());
    let theirs = Secret {
        metadata: ObjectMeta { name: Some("theirs".into()), ..ObjectMeta::default() },
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &theirs).await.unwrap();
    let own = certificate.as_str();
    for (name, certificate) in [("good", own), ("bad", FOREIGN_CERTIFICATE), ("theirs", own)] {
        let secret = secret_manifest(installation.namespace(), name, "a", "b");
        apply_sealed(&cluster, &seal_with(certificate, &secret).to_string()).await;
    }
    http_request(&controller.address().to_string(), "POST", "/v1/verify", "").await.unwrap();
    let complete = async || {
        let page = controller.metrics().await.unwrap();
        let all = ["\"good\"", "\"bad\"", "\"theirs\"", "unseal\"", "unmanaged\""];
        all.iter().all(|part| page.contains(part)).then_some(page)
    };
    let what = format!("{edition:?} has counted all");
    let page = sealed_secrets_tests::until(&what, crate::support::PATIENCE, complete).await.unwrap();
    page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(name_and_labels).collect()
}

fn name_and_labels(line: &str) -> String {
    let (sample, _) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = sample.split_once('{') else { return sample.to_owned() };
    let labels: BTreeSet<_> =
        labels
            .trim_end_matches('}')
            .split("\",")
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| {
                if name == "reason" { format!("{name}={}", value.trim_matches('"')) } else { name.to_owned() }
            })
            .collect();
    format!("{name}{labels:?}")
}

#[tokio::test]
async fn every_metric_of_upstream_but_those_of_its_language_is_there_with_its_labels() {
    let (ours, theirs) = (metrics(Edition::Ours).await, metrics(Edition::Upstream).await);
    let of_go = |name: &&String| name.starts_with("go_") || name.starts_with("promhttp_");
    let missing: Vec<_> = theirs.iter().filter(|name| !of_go(name) && !ours.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}\nours: {ours:?}");
    assert!(theirs.len() > 15, "{theirs:?}");
}
