//! docs/migrating.md, on an installation of the original.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use sealed_secrets_tests::{Cluster, Installation, Reach, programs};
use serde_json::{Value, json};

use super::stand_in::StandIn;
use super::transcript::steps;
use super::{PASSWORD, Reader};

const KEYS: &str = "-n kube-system -l sealedsecrets.bitnami.com/sealed-secrets-key";

#[tokio::test]
async fn an_installation_migrates_to_ours_and_back_and_one_command_clears_the_rest() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let folder = "tests/tests/data/existing-cluster";
    let installation = cluster.install_on(folder, "kube-system", Reach::WholeCluster).await.unwrap();
    let mut kubelet = original(&reader, &installation).await;
    let keys = names_of_keys(&reader);
    let mut section = String::new();
    for step in steps("docs/migrating.md") {
        if section != step.section {
            match step.section.as_str() {
                "Back to the original" => fail_under_ours(&reader),
                "What stays behind" => heal_under_upstream(&reader),
                _ => (),
            }
        }
        section.clone_from(&step.section);
        if step.command.starts_with(StandIn::WAIT) {
            kubelet.roll_out(&reader, &installation).await;
        }
        reader.follow(&step);
    }
    assert_eq!(kstatus(&status_of(&reader, "late")), "Current");
    for name in ["database", "late"] {
        let status = &status_of(&reader, name)["status"];
        assert_eq!(status["lastSuccess"], Value::Null, "{status}");
        assert_eq!(types(status), ["Synced"]);
        assert_eq!(status["conditions"][0]["status"], "True");
    }
    assert_eq!(names_of_keys(&reader), keys);
    let annotations = format!("kubectl get secrets {KEYS} -o jsonpath='{{.items[*].metadata.annotations}}'");
    assert!(!reader.laptop.shell(&annotations).unwrap().contains("sealedsecrets.rs/"));
}

/// The original's Deployment and Service, as Helm creates them, and a SealedSecret.
async fn original(reader: &Reader, installation: &Installation) -> StandIn {
    let pods = json!({"name": "sealed-secrets-controller"});
    let container = json!({"name": "sealed-secrets-controller", "command": ["controller"],
        "image": "docker.io/bitnami/sealed-secrets-controller:0.40.0"});
    let metadata = json!({"name": "sealed-secrets-controller", "namespace": "kube-system"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
        "selector": {"matchLabels": pods},
        "template": {"metadata": {"labels": pods}, "spec": {"containers": [container]}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
        "selector": pods, "ports": [{"name": "http", "port": 8080, "targetPort": "http"}]}});
    let laptop = &reader.laptop;
    laptop.shell("kubectl delete deployment,service sealed-secrets-controller -n kube-system").unwrap();
    for object in [deployment, service] {
        fs::write(laptop.folder().join("original.json"), object.to_string()).unwrap();
        laptop.shell("kubectl create -f original.json").unwrap();
    }
    let mut kubelet = StandIn::default();
    kubelet.roll_out(reader, installation).await;
    laptop.shell("kubectl create namespace shop").unwrap();
    reader.seal("database", "sealed.yaml");
    laptop.shell("kubectl apply -f sealed.yaml").unwrap();
    laptop.shell("kubectl wait secret/database -n shop --for=create --timeout=60s").unwrap();
    kubelet
}

/// Creates an object that our controller reports as stalled, and our annotation on a key.
fn fail_under_ours(reader: &Reader) {
    reader.seal("late", "late.yaml");
    for line in [
        "kubectl create secret generic late -n shop --from-literal=other=owner",
        "kubectl apply -f late.yaml",
        "kubectl wait sealedsecret/late -n shop --for=condition=Stalled --timeout=60s",
        &format!("kubectl annotate secrets {KEYS} sealedsecrets.rs/unused-since=2026-01-01T00:00:00Z"),
    ] {
        reader.laptop.shell(line).unwrap();
    }
    let selector =
        "kubectl get service sealed-secrets-controller -n kube-system -o jsonpath='{.spec.selector}'";
    assert_eq!(reader.laptop.shell(selector).unwrap(), r#"{"app.kubernetes.io/name":"sealed-secrets"}"#);
}

/// Removes the cause under the original: its condition is correct then, and ours is outdated.
fn heal_under_upstream(reader: &Reader) {
    let touch = r#"{"spec": {"template": {"metadata": {"labels": {"touched": "true"}}}}}"#;
    for line in [
        "kubectl delete secret late -n shop",
        &format!("kubectl patch sealedsecret late -n shop --type=merge -p '{touch}'"),
        "kubectl wait sealedsecret/late -n shop --for=condition=Synced --timeout=60s",
    ] {
        reader.laptop.shell(line).unwrap();
    }
    let opened = "kubectl get secret late -n shop -o jsonpath='{.data.password}' | base64 --decode";
    assert_eq!(reader.laptop.shell(opened).unwrap(), PASSWORD);
    let late = status_of(reader, "late");
    assert_eq!(types(&late["status"]), ["Synced", "Ready", "Stalled"], "{late}");
    assert_eq!(kstatus(&late), "Failed", "this is why there is a command to clear it");
}

fn names_of_keys(reader: &Reader) -> String {
    reader.laptop.shell(&format!("kubectl get secrets {KEYS} -o name")).unwrap()
}

fn status_of(reader: &Reader, name: &str) -> Value {
    let object = reader.laptop.shell(&format!("kubectl get sealedsecret {name} -n shop -o json")).unwrap();
    serde_json::from_str(&object).unwrap()
}

fn types(status: &Value) -> Vec<&str> {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().map(|condition| condition["type"].as_str().unwrap()).collect()
}

fn kstatus(object: &Value) -> String {
    let mut judge = Command::new(programs::kstatus().unwrap());
    let mut judge = judge.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    judge.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    String::from_utf8(judge.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}
