//! docs/key-rotation.md, in a cluster with one object.

use sealed_secrets_tests::{Cluster, workspace};

use super::stand_in::StandIn;
use super::transcript::steps;
use super::{PASSWORD, Reader};

const PAGE: &str = "docs/key-rotation.md";
/// The lines above `spec` that the page leaves out in its policies.
const HEAD: &str = "apiVersion: sealedsecrets.rs/v1alpha1\nkind: SealingKeyPolicy\n\
                    metadata: {name: default, namespace: kube-system}\n";

#[tokio::test]
async fn keys_are_rotated_retired_revoked_and_saved_by_the_page_through_the_service_proxy() {
    let cluster = Cluster::own().await.unwrap();
    let mut reader = Reader::at(&cluster);
    let _controller = StandIn::with_one_sealed(&cluster, &reader).await;
    until_opened(&reader, PASSWORD).await;
    for step in steps(PAGE) {
        reader.follow(&step);
    }
    until_opened(&reader, "another-one").await;
    api_server_takes_every_policy(&reader);
}

async fn until_opened(reader: &Reader, password: &str) {
    let shown = "kubectl get secret database -n shop -o jsonpath='{.data.password}' | base64 --decode";
    reader.until(&format!("test \"$({shown})\" = {password}")).await;
}

/// Checks every field, and the validation rules of the kind.
fn api_server_takes_every_policy(reader: &Reader) {
    let page = std::fs::read_to_string(workspace::root().join(PAGE)).unwrap();
    let policies: Vec<_> =
        page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    assert!(policies.len() > 4, "{policies:?}");
    for policy in policies {
        let head = if policy.starts_with("spec:") { HEAD } else { "" };
        std::fs::write(reader.laptop.folder().join("policy.yaml"), format!("{head}{policy}")).unwrap();
        reader.laptop.shell("kubectl apply --dry-run=server -f policy.yaml").unwrap();
    }
}
