//! docs/disaster-recovery.md, with a cluster that is lost in between.

use std::fs;

use sealed_secrets_tests::{Cluster, Reach};

use super::stand_in::StandIn;
use super::transcript::steps;
use super::{PASSWORD, Reader};

const NEW_CLUSTER: &str = "Build the cluster anew";

#[tokio::test]
async fn lost_keys_and_a_lost_cluster_are_recovered_by_the_page_through_the_service_proxy() {
    let mut cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let mut kubelet = StandIn::with_one_sealed(&cluster, &reader).await;
    let mut section = String::new();
    for step in steps("docs/disaster-recovery.md") {
        if section != step.section && step.section == NEW_CLUSTER {
            drop((kubelet, cluster));
            cluster = Cluster::own().await.unwrap();
            reader.move_to(&cluster);
            kubelet = StandIn::default();
        }
        section.clone_from(&step.section);
        if step.command.starts_with(StandIn::WAIT) {
            let installation = cluster.install("kube-system", Reach::WholeCluster).await.unwrap();
            kubelet.roll_out(&reader, &installation).await;
        }
        reader.follow(&step);
    }
    let opened = "kubectl get secret database -n shop -o jsonpath='{.data.password}' | base64 --decode";
    assert_eq!(reader.laptop.shell(opened).unwrap(), PASSWORD);
    assert!(
        fs::read_to_string(reader.laptop.folder().join("database.yaml")).unwrap().contains("SealedSecret")
    );
}
