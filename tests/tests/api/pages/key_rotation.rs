//! docs/key-rotation.md, from its one sealed item on.

use sealed_secrets_tests::Cluster;

use super::Reader;
use super::stand_in::StandIn;
use super::transcript::steps;

#[tokio::test]
async fn keys_are_made_used_retired_and_saved_as_the_page_says_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let _controller = StandIn::with_one_sealed(&cluster, &reader).await;
    for line in [
        "kubectl apply -k deploy/kustomize/policy",
        "kubectl wait sealingkeys --all -n kube-system --for=jsonpath='{.status.usage.items}'=1 --timeout=60s",
    ] {
        reader.laptop.shell(line).unwrap();
    }
    for step in steps("docs/key-rotation.md") {
        reader.follow(&step);
    }
}
