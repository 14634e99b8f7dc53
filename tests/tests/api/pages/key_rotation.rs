//! docs/key-rotation.md, in a cluster with one object.

use sealed_secrets_tests::{Cluster, Reach, until};

use super::stand_in::StandIn;
use super::transcript::steps;
use super::{PASSWORD, Reader};
use crate::support::PATIENCE;

/// Commands that ask the controller for something, and what a person sees a moment later.
const LATER: [(&str, &str); 4] = [
    ("kubectl apply -k deploy/kustomize/policy", "kubeseal keys list | grep -E ' Primary +1 '"),
    ("kubeseal keys rotate", "kubeseal keys list | grep -E ' DecryptOnly +1 '"),
    ("kubeseal keys retire", "kubeseal keys list | grep -E ' Retired +0 '"),
    (
        "kubeseal keys revoke",
        "kubeseal keys list | grep -E ' Primary +0 ' && kubeseal cert fetch \
         && kubectl get sealedsecret database -n shop -o jsonpath='{.status.conditions[*].type}' | grep KeyCompromised",
    ),
];

#[tokio::test]
async fn keys_are_rotated_retired_revoked_and_saved_as_the_page_says_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
    let mut kubelet = StandIn::default();
    kubelet.roll_out(&reader, &installation).await;
    reader.laptop.shell("kubectl create namespace shop").unwrap();
    reader.seal("database", "database.yaml");
    reader.laptop.shell("kubectl apply -f database.yaml").unwrap();
    until_opened(&reader, PASSWORD).await;
    for step in steps("docs/key-rotation.md") {
        reader.follow(&step);
        for (_, seen) in LATER.iter().filter(|(asked, _)| step.command.starts_with(asked)) {
            let seen_now = async || reader.laptop.run(seen).unwrap().status.success().then_some(());
            until(&format!("after {step}{seen}"), PATIENCE, seen_now).await.unwrap();
        }
    }
    until_opened(&reader, "another-one").await;
}

async fn until_opened(reader: &Reader, password: &str) {
    let shown = "kubectl get secret database -n shop -o jsonpath='{.data.password}' | base64 --decode";
    let opened = async || reader.laptop.shell(shown).ok().filter(|value| value == password);
    until(&format!("the Secret holds {password}"), PATIENCE, opened).await.unwrap();
}
