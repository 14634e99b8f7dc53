//! Replicas that take no part in the election, beside those that do: nothing is lost.
//!
//! By default these are of this version, without the flag. `HARNESS_FORMER` names the program of a version before the election.

use std::time::Duration;

use http::Method;
use sealed_secrets_tests::{Asked, Edition, FaultProxy, until};

use super::record::Record;
use super::replicas::Replicas;
use crate::scene::item;
use crate::support::PATIENCE;

/// Secrets that both have made: ten, and a random one in each of three rounds.
const SECRETS: usize = 13;

/// Returns true for the creation of another Secret than a key.
fn creates_secret(asked: &Asked) -> bool {
    let is_key = asked.body["metadata"]["labels"].to_string().contains("sealed-secrets-key");
    asked.method == Method::POST && asked.path.contains("/secrets") && !is_key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_knows_no_election_beside_two_that_do_doubles_requests_and_loses_nothing() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let record = Record::begin(&replicas);
    let proxy = FaultProxy::start(&replicas.installation).await.unwrap();
    let mut former =
        replicas.installation.start(Edition::Former, &["--key-size=2048", &proxy.flag()]).await.unwrap();
    for round in 0..3 {
        replicas.seal_random(&format!("token-{round}")).await;
        for number in 0..10 {
            replicas.seal(&format!("db-{number}")).await;
        }
        replicas.until_converged(&format!("round {round}")).await;
    }
    former.stop().await.unwrap();
    let creations = |asked: Vec<Asked>| asked.iter().filter(|asked| creates_secret(asked)).count();
    let by_elected: usize = replicas.all.iter().map(|replica| creations(replica.proxy.asked())).sum();
    let by_both = by_elected + creations(proxy.asked());
    assert!((SECRETS..=2 * SECRETS).contains(&by_both), "{by_both} creations of {SECRETS} Secrets");
    replicas.seal("after").await;
    replicas.until_converged("after the swap").await;
    // Back to the former version.
    let mut former = replicas.installation.start(Edition::Former, &["--key-size=2048"]).await.unwrap();
    for replica in &mut replicas.all {
        replica.controller.stop().await.unwrap();
    }
    replicas.seal("back").await;
    replicas.until_converged("after the way back").await;
    former.stop().await.unwrap();
    assert_eq!(replicas.keys().await.len(), 1);
    replicas.assert_one_secret_each().await;
    record.assert_in_order(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_controller_beside_ours_makes_the_same_secrets_and_a_key_that_ours_adopts() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let first = replicas.all[0].controller.certificate().await.unwrap();
    let mut upstream = replicas.installation.start(Edition::Upstream, &["--key-size=2048"]).await.unwrap();
    for number in 0..5 {
        replicas.seal(&format!("db-{number}")).await;
    }
    replicas.until_converged("beside upstream").await;
    // A key of the same second would not be newer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    upstream.process().signal("USR1").unwrap();
    let two = async || (replicas.keys().await.len() == 2).then_some(());
    until("upstream makes a key", PATIENCE, two).await.unwrap();
    replicas.until_same_certificate(Some(&first)).await;
    upstream.stop().await.unwrap();
    let leader = replicas.until_leader().await;
    replicas.seal("db-0").await;
    replicas.until_converged("after the swap").await;
    let kept = async || item(&replicas.secrets().get_opt("db-1").await.ok()??, "password");
    until("what both have made is kept", PATIENCE, kept).await.unwrap();
    assert_eq!(replicas.until_leader().await, leader, "the election goes on beside upstream's");
    assert_eq!(replicas.keys().await.len(), 2, "nobody makes another key");
}
