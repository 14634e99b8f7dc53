//! Bad input: no permission to Leases, the Lease of another program, and values that cannot be.

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, PostParams};
use sealed_secrets_tests::{
    Cluster, ControllerProcess, Edition, FaultProxy, leader_election_manifests_in, until,
};
use serde_json::json;

use super::replicas::{LEASE, NAME, Replicas, is_about_lease, metric};
use crate::support::{PATIENCE, until_logged};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_every_replica_works_as_without_the_flag_until_the_right_comes() {
    let mut replicas = Replicas::without_right(2).await;
    for replica in &replicas.all {
        replica.until_logged("works as without --leader-elect").await;
        assert_eq!(replica.controller.get("/readyz").await.unwrap().status, 200);
    }
    assert_eq!(replicas.leaders().await.len(), 2);
    replicas.seal("alone").await;
    replicas.until_converged("without the permission").await;
    let events = replicas.events().await;
    assert_eq!(events.get("alone"), Some(&1), "{events:?}");
    let permissions = leader_election_manifests_in(replicas.namespace()).unwrap();
    replicas.cluster.apply(&permissions).await.unwrap();
    replicas.until_leader().await;
    replicas.seal("elected").await;
    replicas.until_converged("with the permission").await;
    let told = |replica: &super::replicas::Replica| {
        replica.controller.log().matches("works as without --leader-elect").count()
    };
    assert!(replicas.all.iter().all(|replica| told(replica) == 1), "each says it once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_watch_the_lease_a_handover_takes_a_missed_renewal_and_that_is_told_once() {
    let mut replicas = Replicas::without_right_to_watch(2).await;
    let leader = replicas.until_leader().await;
    let next = 1 - leader;
    let missing = "the permission to watch Lease";
    replicas.all[next].until_logged(missing).await;
    replicas.all[leader].signal("TERM");
    assert_eq!(replicas.until_leader_beside(&[leader]).await, next);
    assert_eq!(replicas.all[next].controller.log().matches(missing).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_flag_no_lease_is_read_or_written_and_its_other_flags_cause_a_warning() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    cluster.apply(&leader_election_manifests_in(installation.namespace()).unwrap()).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    let through = proxy.flag();
    let flags =
        ["--leader-elect-lease-duration=5s", "--leader-elect-resource-name=x", "--key-size=2048", &through];
    let mut controller = installation.start(Edition::Ours, &flags).await.unwrap();
    for flag in ["--leader-elect-lease-duration", "--leader-elect-resource-name"] {
        assert!(controller.log().contains(&format!("{flag} has no effect without --leader-elect")), "{flag}");
    }
    assert_eq!(metric(&controller, "leader ").await, Some(1));
    assert_eq!(metric(&controller, "leader_terms_total ").await, Some(1));
    assert!(controller.stop().await.unwrap().success());
    assert!(proxy.asked().len() > 5);
    assert!(proxy.asked().iter().all(|asked| !is_about_lease(&asked.path)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_another_program_is_reported_and_taken_only_when_that_no_longer_renews_it() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let namespace = installation.namespace();
    cluster.apply(&leader_election_manifests_in(namespace).unwrap()).await.unwrap();
    let leases: kube::Api<Lease> = kube::Api::namespaced(cluster.client(), namespace);
    let theirs = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME},
        "spec": {"holderIdentity": "scheduler_1b4e28ba-2fa1-11d2-883f-0016d3cca427", "leaseDurationSeconds": 8}
    });
    leases.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    let flags = ["--leader-elect", "--leader-elect-lease-duration=5s", "--key-size=2048"];
    let controller = ControllerProcess::spawn(&installation, Edition::Ours, &flags).await.unwrap();
    until_logged(&controller, "give one of the two another Lease with --leader-elect-resource-name").await;
    until_logged(&controller, "this replica leads").await;
    let lease = leases.get(NAME).await.unwrap().spec.unwrap();
    assert_eq!((lease.lease_duration_seconds, lease.lease_transitions), (Some(5), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_name_elects_a_second_leader_in_the_same_namespace() {
    let replicas = Replicas::with_default_lease(1).await;
    replicas.until_leader().await;
    let flags = [
        "--leader-elect",
        "--leader-elect-resource-name=other",
        "--leader-elect-lease-duration=5s",
        "--key-size=2048",
    ];
    let other = ControllerProcess::spawn(&replicas.installation, Edition::Ours, &flags).await.unwrap();
    // Its role names the first Lease only.
    until_logged(&other, "the permission to use Lease").await;
    assert!(other.log().contains("/other is missing"), "{}", other.log());
    let rights = leader_election_manifests_in(replicas.namespace()).unwrap();
    let rights = json!(rights).to_string().replace("sealed-secrets-leader-election", "other");
    let rights = rights.replace(&json!([NAME]).to_string(), &json!(["other"]).to_string());
    replicas.cluster.apply(&serde_json::from_str::<Vec<_>>(&rights).unwrap()).await.unwrap();
    until_logged(&other, "/other as ").await;
    assert_eq!(replicas.leaders().await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_a_key_waits_for_an_impossible_lease_unready_and_makes_its_key_when_it_leads() {
    let cluster = Cluster::shared().await.unwrap();
    let installation = cluster.install_namespaced(&[]).await.unwrap();
    let namespace = installation.namespace();
    cluster.apply(&leader_election_manifests_in(namespace).unwrap()).await.unwrap();
    let leases: kube::Api<Lease> = kube::Api::namespaced(cluster.client(), namespace);
    let odd = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME},
        "spec": {
            "holderIdentity": "pod_00000000", "leaseDurationSeconds": i32::MAX, "leaseTransitions": i32::MAX,
            "renewTime": "2999-01-01T00:00:00.000000Z"
        }
    });
    leases.create(&PostParams::default(), &serde_json::from_value(odd).unwrap()).await.unwrap();
    let proxy = FaultProxy::start(&installation).await.unwrap();
    let through = proxy.flag();
    let flags = ["--leader-elect", "--leader-elect-lease-duration=5s", "--key-size=2048", &through];
    let controller = ControllerProcess::spawn(&installation, Edition::Ours, &flags).await.unwrap();
    until_logged(&controller, "waited for no longer than 10 minutes").await;
    let told = controller.log().matches("waited for no longer than 10 minutes").count();
    // The test must prove the absence of a key and of a claim.
    tokio::time::sleep(LEASE * 2).await;
    // Without a key there is no certificate, which is an error of the server as with the original.
    for (path, expected) in [("/readyz", 503), ("/v1/cert.pem", 500), ("/healthz", 200)] {
        assert_eq!(controller.get(path).await.unwrap().status, expected, "{path}");
    }
    let writes = proxy.asked().into_iter().filter(|asked| asked.method != Method::GET).count();
    assert_eq!((writes, told), (0, 1));
    leases.delete(NAME, &DeleteParams::default()).await.unwrap();
    let is_ready = async || (controller.get("/readyz").await.ok()?.status == 200).then_some(());
    until("it leads and has a key", PATIENCE, is_ready).await.unwrap();
}
