//! docs/guide.md, from an empty cluster to the end.

use sealed_secrets_tests::{Cluster, Reach};

use super::Reader;
use super::stand_in::StandIn;
use super::transcript::steps;

const BEGINS_REPOSITORY: &str = "git init ";
const LISTS_EVENTS: &str = "kubectl get events ";

#[tokio::test]
async fn a_newcomer_follows_the_guide_to_its_end_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let mut kubelet = StandIn::default();
    for step in steps("docs/guide.md") {
        if step.command.starts_with(StandIn::WAIT) {
            let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
            kubelet.roll_out(&reader, &installation).await;
        }
        if step.command.starts_with(LISTS_EVENTS) {
            // The event follows the status that was waited for.
            reader.until(&format!("{} | grep --quiet ErrUnsealFailed", step.command)).await;
        }
        reader.follow(&step);
        if step.command.starts_with(BEGINS_REPOSITORY) {
            introduce(&reader);
        }
    }
    let log = kubelet.controller.unwrap().log();
    assert!(!log.contains("level=WARN"), "{log}");
    let token = "kubectl get secret database -n shop -o jsonpath='{.data.token}' | base64 --decode";
    assert_eq!(reader.laptop.shell(token).unwrap(), "open-sesame1");
}

/// Sets the name of the Git user.
fn introduce(reader: &Reader) {
    let identity = "cd shop-config && git config user.name you && git config user.email you@example.com";
    reader.laptop.shell(identity).unwrap();
}
