//! Leader election: of several replicas one writes, all serve, and another takes over.

mod beside_others;
mod chaos;
mod faults;
mod history;
mod matrix;
mod record;
mod refused;
mod replicas;

use std::time::Duration;

use http::Method;
use sealed_secrets_tests::{Fault, http_request, until};
use serde_json::json;

use crate::support::PATIENCE;
use replicas::{LEASE, Replicas, is_about_lease};

const OBJECTS: usize = 10;
/// The metrics about objects, which only a leader has.
const OF_LEADER: [&str; 3] = ["condition_info{", "unsynced_objects{", "key_items{"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_send_the_requests_of_one_and_all_of_them_serve() {
    let mut replicas = Replicas::with_default_lease(3).await;
    let leader = replicas.until_leader().await;
    for number in 0..OBJECTS {
        replicas.seal(&format!("db-{number}")).await;
    }
    replicas.until_converged("a first sync").await;
    let asked = replicas.all[leader].writes();
    let count = |method: &Method, part: &str| {
        let is_it =
            |asked: &&sealed_secrets_tests::Asked| asked.method == *method && asked.path.contains(part);
        asked.iter().filter(is_it).count()
    };
    assert_eq!(count(&Method::POST, "/secrets"), OBJECTS + 1, "one each, and the key");
    assert_eq!(count(&Method::PUT, "/sealedsecrets/"), OBJECTS);
    let events = replicas.events().await;
    assert!(events.len() == OBJECTS && events.values().all(|count| *count == 1), "{events:?}");
    for (index, replica) in replicas.all.iter().enumerate().filter(|(index, _)| *index != leader) {
        assert_eq!(replica.controller.get("/readyz").await.unwrap().status, 200);
        assert!(replica.controller.certificate().await.unwrap().contains("BEGIN CERTIFICATE"));
        assert!(replica.writes().is_empty(), "{:?}", replica.writes());
        let asked = replica.proxy.asked();
        assert!(
            asked.iter().all(|asked| !asked.path.contains("/bitnami.com/")),
            "{index} watches no objects"
        );
        let about_secrets = asked.iter().map(|asked| &asked.path).filter(|path| path.contains("/secrets"));
        let about_others: Vec<_> = about_secrets.filter(|path| !asks_for_keys(path)).collect();
        assert!(about_others.is_empty(), "{index} looks at other Secrets than keys: {about_others:?}");
        let claims = asked.iter().filter(|asked| asked.method != Method::GET && is_about_lease(&asked.path));
        assert_eq!(claims.count(), 0, "a follower claims nothing");
        let sealed = serde_json::to_string(&replicas.sealed_secrets().get("db-0").await.unwrap()).unwrap();
        let address = replica.controller.address().to_string();
        let rotated = http_request(&address, "POST", "/v1/rotate", &sealed).await.unwrap();
        assert!(rotated.status == 200 && rotated.body.contains("encryptedData"), "{}", rotated.body);
    }
    replicas.seal_undecryptable("lost").await;
    replicas.until_page_has(leader, &OF_LEADER).await;
    for (_, follower) in replicas.all.iter().enumerate().filter(|(index, _)| *index != leader) {
        assert_eq!(follower.shown(&OF_LEADER).await, [""; 0]);
    }
    replicas.until_all_show_the_same_of_keys().await;
}

/// Returns true if a path with query asks for key Secrets alone.
fn asks_for_keys(path: &str) -> bool {
    ["labelSelector=sealedsecrets.bitnami.com%2Fsealed-secrets-key", "fieldSelector=metadata.name%3D"]
        .iter()
        .any(|selector| path.contains(selector))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_asked_to_stop_hands_over_before_it_ends_and_serves_until_then() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    replicas.seal("before").await;
    replicas.until_converged("before").await;
    let next = 1 - leader;
    replicas.all[leader].signal("TERM");
    assert_eq!(replicas.until_leader_beside(&[leader]).await, next);
    let old = &mut replicas.all[leader];
    assert_eq!(old.controller.get("/readyz").await.unwrap().status, 503, "it still runs");
    assert!(old.controller.certificate().await.unwrap().contains("BEGIN CERTIFICATE"));
    assert!(old.controller.process().exited().unwrap().is_none());
    replicas.seal("after").await;
    replicas.until_converged("after").await;
    assert!(replicas.all[leader].controller.stop().await.unwrap().success());
    let renewed = |asked: &sealed_secrets_tests::Asked| asked.body["spec"]["holderIdentity"] == "";
    assert!(replicas.all[leader].proxy.asked().iter().any(renewed), "it has released the Lease");
    let events = replicas.events().await;
    assert_eq!(events.into_iter().collect::<Vec<_>>(), [("after".to_owned(), 1), ("before".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_ends_before_it_is_killed_though_the_api_server_answers_nothing() {
    let mut replicas = Replicas::with_long_lease(1).await;
    let leader = &mut replicas.all[0];
    leader.proxy.fail(|_, _| Some(Fault::Silence));
    let is_silent = async || (leader.proxy.faults() > 0).then_some(());
    until("a request is not answered", PATIENCE, is_silent).await.unwrap();
    // The harness waits as long as Kubernetes does.
    assert!(leader.controller.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_certificate_fetch_fails_while_replicas_are_replaced_one_by_one() {
    let mut replicas = Replicas::with_default_lease(2).await;
    for round in 0..2 {
        let leader = replicas.until_leader().await;
        replicas.all[leader].signal("TERM");
        // Endpoints lag behind: clients go to the old address for some seconds.
        let lag = tokio::time::Instant::now() + Duration::from_secs(4);
        let mut fetched = 0;
        while tokio::time::Instant::now() < lag {
            for replica in &replicas.all {
                let answer = replica.controller.get("/v1/cert.pem").await.unwrap();
                assert_eq!(answer.status, 200, "{round}");
                fetched += 1;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(fetched > 20, "{fetched}");
        replicas.all[leader].controller.stop().await.unwrap();
        replicas.start_again(leader).await;
    }
    let lease = replicas.lease().get(replicas::NAME).await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(2), "one handover for each replica");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signalling_every_replica_for_a_key_makes_one() {
    let mut replicas = Replicas::with_default_lease(3).await;
    let leader = replicas.until_leader().await;
    let holder = replicas.holder().await.unwrap();
    let first = replicas.all[leader].controller.certificate().await.unwrap();
    // A key of the same second would be new enough.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for replica in &mut replicas.all {
        replica.signal("USR1");
    }
    let two = async || (replicas.keys().await.len() == 2).then_some(());
    until("there is a second key", PATIENCE, two).await.unwrap();
    for (_, follower) in replicas.all.iter().enumerate().filter(|(index, _)| *index != leader) {
        follower.until_logged(&format!("this replica does not lead: the leader is {holder}")).await;
    }
    replicas.until_same_certificate(Some(&first)).await;
    // The test must prove the absence of another key.
    tokio::time::sleep(LEASE).await;
    assert_eq!(replicas.keys().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_asked_for_while_nobody_leads_is_made_once_by_the_next_leader() {
    let mut replicas = Replicas::start(3).await;
    let policies = kube::Api::namespaced(replicas.cluster.client(), replicas.namespace());
    crate::key_scene::apply_policy(&policies, "default", &json!({})).await;
    let leader = replicas.until_leader().await;
    replicas.all[leader].controller.process().kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let request = jiff::Timestamp::now().to_string();
    let annotation = json!({"metadata": {"annotations": {crate::key_scene::REQUEST: request}}});
    let patch = kube::api::Patch::Merge(annotation);
    policies.patch("default", &kube::api::PatchParams::default(), &patch).await.unwrap();
    replicas.until_leader_beside(&[leader]).await;
    let two = async || (replicas.keys().await.len() == 2).then_some(());
    until("there is a second key", PATIENCE, two).await.unwrap();
    replicas.start_again(leader).await;
    tokio::time::sleep(LEASE).await;
    assert_eq!(replicas.keys().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_for_one_version_of_its_object_or_has_a_computed_name() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let policies = kube::Api::namespaced(replicas.cluster.client(), replicas.namespace());
    crate::key_scene::apply_policy(&policies, "default", &json!({})).await;
    let leader = replicas.until_leader().await;
    for _ in 0..2 {
        replicas.seal("db").await;
        replicas.until_converged("changed").await;
    }
    let edit = kube::api::Patch::Merge(json!({"stringData": {"password": "edited"}}));
    replicas.secrets().patch("db", &kube::api::PatchParams::default(), &edit).await.unwrap();
    replicas.until_converged("repaired").await;
    let [first] = replicas.keys().await.try_into().unwrap();
    let keys: kube::Api<sealed_secrets_crds::SealingKey> =
        kube::Api::namespaced(replicas.cluster.client(), replicas.namespace());
    let shown = async || keys.get_opt(&first).await.ok()?;
    until("the key is shown", PATIENCE, shown).await.unwrap();
    let compromised = kube::api::Patch::Merge(json!({"spec": {"state": "Compromised"}}));
    keys.patch(&first, &kube::api::PatchParams::default(), &compromised).await.unwrap();
    let asked = async |method: &Method, part: &str| {
        let writes = replicas.all[leader].writes();
        let is_it =
            |asked: &sealed_secrets_tests::Asked| asked.method == *method && asked.path.contains(part);
        writes.iter().any(is_it).then_some(())
    };
    for (method, part) in [
        (Method::PUT, "/secrets/db"),
        (Method::PUT, &format!("/secrets/{first}")),
        (Method::POST, "/secrets"),
        (Method::PUT, "/sealedsecrets/db/status"),
        (Method::POST, "/sealingkeys"),
        (Method::PUT, &format!("/sealingkeys/{first}/status")),
        (Method::PUT, "/sealingkeypolicies/default/status"),
        (Method::POST, "/events"),
    ] {
        until(&format!("{method} of {part}"), PATIENCE, async || asked(&method, part).await).await.unwrap();
    }
    let of_no_secret = json!({
        "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": "of-no-secret"},
        "spec": {"state": "Active"}
    });
    let of_no_secret = serde_json::from_value(of_no_secret).unwrap();
    keys.create(&kube::api::PostParams::default(), &of_no_secret).await.unwrap();
    let deleted = async || asked(&Method::DELETE, "/sealingkeys/of-no-secret").await;
    until("the SealingKey of no Secret is deleted", PATIENCE, deleted).await.unwrap();
    for replica in &replicas.all {
        replica.assert_conditional();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_a_leader_could_not_write_is_written_by_the_next_one_and_once() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    let told = async |replicas: &Replicas| replicas.events_of("KeyGenerated").await;
    let first = async || (told(&replicas).await == 1).then_some(());
    until("the first key is told", PATIENCE, first).await.unwrap();
    // A key of the same second would be new enough.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let is_event = |method: &Method, path: &str| *method == Method::POST && path.contains("/events");
    let fail = move |method: &Method, path: &str| is_event(method, path).then_some(Fault::Silence);
    replicas.all[leader].proxy.fail(fail);
    replicas.all[leader].signal("USR1");
    let two = async || (replicas.keys().await.len() == 2).then_some(());
    until("there is a second key", PATIENCE, two).await.unwrap();
    let tried = async || (replicas.all[leader].proxy.faults() > 0).then_some(());
    until("the leader tries to tell", PATIENCE, tried).await.unwrap();
    replicas.all[leader].controller.process().kill();
    assert_eq!(told(&replicas).await, 1);
    replicas.until_leader_beside(&[leader]).await;
    let second = async || (told(&replicas).await == 2).then_some(());
    until("the next leader tells it", PATIENCE, second).await.unwrap();
    replicas.start_again(leader).await;
    tokio::time::sleep(LEASE).await;
    assert_eq!(told(&replicas).await, 2);
}
