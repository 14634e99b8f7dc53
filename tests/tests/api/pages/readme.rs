//! README.md: the image of another registry, and everyday tasks.

use std::fs;

use sealed_secrets_tests::{Cluster, Tool, workspace};

use super::Reader;
use super::stand_in::StandIn;
use super::transcript::steps;

const IMAGE: &str = "image: registry.example.org/controller:0.1.0";
/// A Secret with two items, for the namespace `shop`.
const SECRET: &str = "kubectl create secret generic database -n shop --from-literal=user=app --from-literal=password=one \
                      --dry-run=client -o yaml > secret.yaml";
const PORTS: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: ports, namespace: shop}\nstringData:\n  port: 012\n";
/// A SealedSecret with scope namespace-wide, but without the annotation of its scope.
const LOST: &str = "kubectl create secret generic db -n shop --from-literal=password=one --dry-run=client -o yaml \
                    | kubeseal --scope namespace-wide -o yaml | grep --invert-match namespace-wide: \
                    | sed 's/ annotations:$/ annotations: {}/' | kubectl apply -f -";
/// The policy to which a new key is requested.
const POLICY: &str = "printf '%s\\n' 'apiVersion: sealedsecrets.rs/v1alpha1' 'kind: SealingKeyPolicy' \
                      'metadata: {name: default, namespace: kube-system}' 'spec: {}' | kubectl apply -f -";
const REFUSED: &str = "kubectl wait sealedsecret/db -n shop --for=condition=Stalled --timeout=60s";

/// The text of the page between the first `begin` and the next `end`.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    page.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).expect(begin).0
}

#[tokio::test]
async fn manifests_and_chart_take_the_image_of_a_registry_by_the_readme() {
    let cluster = Cluster::shared().await.unwrap();
    let reader = Reader::at(&cluster);
    let page = fs::read_to_string(workspace::root().join("README.md")).unwrap();
    fs::write(reader.laptop.folder().join("kustomization.yaml"), between(&page, "```yaml\n", "```")).unwrap();
    let manifests = reader.laptop.shell("kubectl kustomize .").unwrap();
    let flags = between(&page, "\n`--set ", "`");
    let chart = workspace::root().join("deploy/helm/sealed-secrets");
    let arguments = ["template", "x", chart.to_str().unwrap(), "--set", flags];
    let templates = Tool::helm().unwrap().run(&arguments, "").unwrap().ok().unwrap();
    for text in [manifests, templates] {
        let images: Vec<_> = text.lines().filter(|line| line.trim_start().starts_with("image:")).collect();
        assert!(images.len() == 1 && images[0].trim() == IMAGE, "{images:?}");
    }
}

#[tokio::test]
async fn daily_jobs_look_as_in_the_readme_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let _controller = StandIn::with_one_sealed(&cluster, &reader).await;
    fs::write(reader.laptop.folder().join("ports.yaml"), PORTS).unwrap();
    for line in [SECRET, LOST, REFUSED, POLICY] {
        reader.laptop.shell(line).unwrap();
    }
    let jobs = steps("README.md").into_iter().filter(|step| step.section == "Daily jobs");
    let mut done = 0;
    for mut job in jobs {
        job.shown = job.shown.lines().map(without_chance).collect();
        reader.follow(&job);
        done += 1;
    }
    assert!(done > 3, "{done}");
}

/// Cuts ciphertext, which is random except for its prefix with the length of the key, and the fingerprint of a key.
fn without_chance(line: &str) -> String {
    if let Some(place) = line.find(": Ag") {
        return format!("{}…\n", &line[..place + 4]);
    }
    match line.split_once("key SHA256:") {
        Some((before, after)) => format!("{before}key SHA256:…{}\n", &after[16..]),
        None => format!("{line}\n"),
    }
}
