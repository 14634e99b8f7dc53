//! Faults of the leader and of its Lease: another replica takes over, nothing is lost, and nothing of an old term arrives.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use http::Method;
use kube::api::{DeleteParams, Patch, PatchParams};
use sealed_secrets_tests::{Fault, until};
use serde_json::json;

use super::OF_LEADER;
use super::record::Record;
use super::replicas::{LEASE, NAME, Replicas, is_about_lease, metric};
use crate::support::PATIENCE;

/// Objects that another leader takes over.
const OBJECTS: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_replaced_when_its_lease_has_expired() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    replicas.seal("before").await;
    replicas.until_converged("before").await;
    replicas.all[leader].controller.process().kill();
    replicas.seal("meanwhile").await;
    replicas.seal("before").await;
    assert_eq!(replicas.until_leader_beside(&[leader]).await, 1 - leader);
    replicas.until_converged("after the takeover").await;
    let lease = replicas.lease().get(NAME).await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_decrypts_nothing_again_and_changes_nothing() {
    assert_takeover_changes_nothing(Replicas::with_default_lease(2).await, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_originals_crd_a_takeover_decrypts_all_again_and_changes_nothing() {
    assert_takeover_changes_nothing(Replicas::on_the_originals_crd(2).await, OBJECTS).await;
}

/// Asserts that the next leader decrypts so many objects again.
async fn assert_takeover_changes_nothing(mut replicas: Replicas, decrypted_again: i64) {
    let leader = replicas.until_leader().await;
    for number in 0..OBJECTS {
        replicas.seal(&format!("db-{number}")).await;
    }
    replicas.until_converged("before").await;
    let before = replicas.until_settled().await;
    replicas.all[leader].signal("TERM");
    let next = replicas.until_leader_beside(&[leader]).await;
    let all_again = async || {
        let decrypted = metric(&replicas.all[next].controller, "unseal_requests_total ").await;
        (decrypted == Some(decrypted_again)).then_some(())
    };
    until("the next leader has decrypted what it does not know", PATIENCE, all_again).await.unwrap();
    replicas.seal("later").await;
    replicas.until_converged("later").await;
    assert_eq!(
        metric(&replicas.all[next].controller, "unseal_requests_total ").await,
        Some(decrypted_again + 1)
    );
    let after = replicas.versions().await;
    for (object, version) in before {
        assert_eq!(after.get(&object), Some(&version), "{object}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_and_goes_on_writes_nothing_of_its_old_term() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    for number in 0..20 {
        replicas.seal(&format!("db-{number}")).await;
    }
    let begun = async || (replicas.all[leader].writes().len() > 5).then_some(());
    until("the leader is at work", PATIENCE, begun).await.unwrap();
    replicas.all[leader].signal("STOP");
    for number in 0..20 {
        replicas.seal(&format!("db-{number}")).await;
    }
    replicas.until_leader_beside(&[leader]).await;
    replicas.until_converged("under the new leader").await;
    let (before, contents) = (replicas.all[leader].writes().len(), replicas.until_settled().await);
    replicas.all[leader].signal("CONT");
    let follows =
        async || (metric(&replicas.all[leader].controller, "leader ").await == Some(0)).then_some(());
    until("the old leader follows", PATIENCE, follows).await.unwrap();
    tokio::time::sleep(LEASE).await;
    assert_eq!(
        replicas.all[leader].writes().len(),
        before,
        "{:?}",
        replicas.all[leader].writes().split_off(before)
    );
    assert_eq!(replicas.versions().await, contents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_election_a_replica_that_was_stopped_amid_its_work_puts_nothing_back() {
    let mut replicas = Replicas::without_election(2).await;
    let record = Record::begin(&replicas);
    let seal_all = async |replicas: &mut Replicas| {
        for number in 0..OBJECTS {
            replicas.seal(&format!("db-{number}")).await;
        }
    };
    seal_all(&mut replicas).await;
    replicas.until_converged("the first values").await;
    // One replica alone decrypts the second values, and is stopped while it waits for the first Secrets that it would replace.
    replicas.all[1].signal("STOP");
    let begun = Instant::now();
    replicas.all[0].proxy.delay(|path| path.contains("/secrets/").then_some(Duration::from_secs(2)));
    seal_all(&mut replicas).await;
    let reads = async || {
        let asked = replicas.all[0].proxy.asked_since(begun);
        asked.iter().any(|asked| asked.path.contains("/secrets/db-")).then_some(())
    };
    until("it reads the first of them", PATIENCE, reads).await.unwrap();
    replicas.all[0].signal("STOP");
    replicas.all[1].signal("CONT");
    seal_all(&mut replicas).await;
    replicas.until_converged("the third values").await;
    replicas.all[0].signal("CONT");
    replicas.all[0].proxy.delay(|_| None);
    replicas.seal("after").await;
    let knows =
        async || replicas.all[0].controller.metrics().await.ok()?.contains("name=\"after\"").then_some(());
    until("it has caught up", PATIENCE, knows).await.unwrap();
    // The test must prove the absence of writes of what it had begun.
    tokio::time::sleep(LEASE).await;
    replicas.until_converged("after the pause").await;
    // A request that the pause has outlasted is a failure, after which a success is told again.
    record.assert_in_order(usize::try_from(OBJECTS).unwrap());
    replicas.all.iter().for_each(super::replicas::Replica::assert_conditional);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_ends_its_term_before_another_begins() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    replicas.seal("before").await;
    replicas.seal_undecryptable("lost").await;
    replicas.until_page_has(leader, &OF_LEADER).await;
    replicas.all[leader].proxy.fail(|_, _| Some(Fault::Silence));
    replicas.all[leader].proxy.freeze();
    let seen = RefCell::new(Vec::new());
    let taken = async || {
        let leaders = replicas.leaders().await;
        seen.borrow_mut().push(leaders.clone());
        (leaders == [1 - leader]).then_some(())
    };
    until("the other replica leads", PATIENCE, taken).await.unwrap();
    let seen = seen.into_inner();
    assert!(seen.iter().all(|leaders| leaders.len() <= 1), "{seen:?}");
    assert!(seen.iter().any(Vec::is_empty), "the old term has ended by itself: {seen:?}");
    replicas.all[leader].until_logged("this replica leads no longer: it could not renew Lease").await;
    replicas.seal("under-the-new-leader").await;
    replicas.until_converged("cut off").await;
    let served = replicas.all[leader].controller.certificate().await.unwrap();
    assert!(served.contains("BEGIN CERTIFICATE"), "it still serves");
    replicas.all[leader].proxy.heal();
    let joined = async || (replicas.leaders().await == [1 - leader]).then_some(());
    until("the old leader follows", PATIENCE, joined).await.unwrap();
    replicas.all[leader].until_logged("this replica follows").await;
    replicas.until_page_has(1 - leader, &OF_LEADER).await;
    assert_eq!(
        replicas.all[leader].shown(&OF_LEADER).await,
        [""; 0],
        "it has forgotten the objects of its term"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_api_server_takes_the_lease_from_nobody() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    for replica in &replicas.all {
        replica.proxy.delay(|path| is_about_lease(path).then_some(Duration::from_secs(1)));
    }
    replicas.seal("db").await;
    replicas.until_converged("slow").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(replicas.leaders().await, [leader]);
    assert_eq!(metric(&replicas.all[leader].controller, "leader_terms_total ").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_deleted_or_edited_leaves_one_leader() {
    let mut replicas = Replicas::start(3).await;
    let edits = [
        json!({"spec": {"holderIdentity": "somebody"}}),
        json!({"spec": {"holderIdentity": null}}),
        json!({"spec": {"leaseDurationSeconds": 1, "renewTime": "2001-01-01T00:00:00.000000Z"}}),
        json!({"spec": {"leaseTransitions": i32::MAX, "acquireTime": null}}),
        json!({"spec": null}),
    ];
    for (number, edit) in edits.iter().enumerate() {
        replicas.until_leader().await;
        let patch = Patch::Merge(edit);
        replicas.lease().patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        replicas.seal(&format!("edited-{number}")).await;
        replicas.until_converged(&format!("after {edit}")).await;
        replicas.until_leader().await;
    }
    replicas.lease().delete(NAME, &DeleteParams::default()).await.unwrap();
    let there = async || replicas.holder().await.filter(|holder| !holder.is_empty());
    until("the Lease is there again", PATIENCE, there).await.unwrap();
    replicas.until_leader().await;
    replicas.seal("deleted").await;
    replicas.until_converged("after the deletion").await;
    let events = replicas.events().await;
    assert!(events.values().all(|count| *count == 1), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_the_rate_limit_do_not_keep_a_leader_from_renewing() {
    let slow = vec!["--kubeclient-qps=1", "--kubeclient-burst=1"];
    let mut replicas = Replicas::with(2, slow).await;
    let leader = replicas.until_leader().await;
    for number in 0..6 {
        replicas.seal(&format!("db-{number}")).await;
    }
    // Three requests each, one in a second: a term would end meanwhile.
    replicas.until_converged("all requests have had their turn").await;
    assert_eq!(replicas.leaders().await, [leader]);
    assert_eq!(metric(&replicas.all[leader].controller, "leader_terms_total ").await, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_leader_whose_lease_was_changed_in_between_goes_on_to_lead() {
    let mut replicas = Replicas::with_default_lease(2).await;
    let leader = replicas.until_leader().await;
    // Two requests take longer than one may.
    replicas.all[leader].proxy.delay(|path| is_about_lease(path).then_some(Duration::from_secs(2)));
    for round in 0..3 {
        let note = Patch::Merge(json!({"metadata": {"annotations": {"note": round.to_string()}}}));
        replicas.lease().patch(NAME, &PatchParams::default(), &note).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    replicas.until_leader().await;
    replicas.seal("db").await;
    replicas.until_converged("slow").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_watch_is_silent_reads_the_lease_itself_and_watches_anew() {
    let replicas = Replicas::with_default_lease(2).await;
    let follower = &replicas.all[1 - replicas.until_leader().await];
    follower.until_logged("this replica follows").await;
    let begun = Instant::now();
    follower.proxy.freeze();
    let about_lease = || {
        let asked = follower.proxy.asked_since(begun).into_iter();
        asked.map(|asked| asked.path).filter(|path| is_about_lease(path)).collect::<Vec<_>>()
    };
    let two = async || Some(about_lease()).filter(|asked| asked.len() >= 2);
    let asked = until("the Lease is read and watched", PATIENCE, two).await.unwrap();
    assert!(asked[0].ends_with(NAME), "it is read: {asked:?}");
    assert!(asked[1].contains("leases?"), "it is listed for a new watch: {asked:?}");
}

/// Leaves the creation of Secrets by this replica without an answer, seals `db`, and signals SIGTERM while its Secret is created.
async fn stop_while_it_creates_a_secret(replicas: &mut Replicas, leader: usize) {
    replicas.all[leader].proxy.fail(|method, path| {
        (*method == Method::POST && path.contains("/secrets")).then_some(Fault::Silence)
    });
    replicas.seal("db").await;
    let in_flight = async || (replicas.all[leader].proxy.faults() > 0).then_some(());
    until("the Secret is being created", PATIENCE, in_flight).await.unwrap();
    replicas.all[leader].signal("TERM");
    replicas.all[leader].until_logged("SIGTERM: stopping").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_though_its_work_in_flight_does_not_end() {
    let mut replicas = Replicas::with_long_lease(2).await;
    let leader = replicas.until_leader().await;
    stop_while_it_creates_a_secret(&mut replicas, leader).await;
    let (late, next) = (json!({}), [leader]);
    tokio::join!(replicas.apply("late", "v", &late), replicas.until_leader_beside(&next));
    let old = replicas.all[leader].controller.process().exited().unwrap();
    assert!(old.is_none(), "it releases the Lease before it ends");
    replicas.until_converged("under the next leader").await;
    let told = async || replicas.events().await.get("late").copied();
    assert_eq!(until("late is told", PATIENCE, told).await.unwrap(), 1);
    assert_eq!(replicas.events().await.get("db"), Some(&1));
    let begun = replicas.all[leader].writes();
    let about_late = begun.iter().filter(|asked| asked.body["metadata"]["name"] == "late");
    assert_eq!(about_late.count(), 0, "it begins nothing new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_leader_at_once() {
    let mut replicas = Replicas::with_long_lease(1).await;
    let leader = replicas.until_leader().await;
    stop_while_it_creates_a_secret(&mut replicas, leader).await;
    assert!(replicas.all[leader].controller.stop().await.unwrap().success());
    assert!(replicas.all[leader].controller.log().contains("second signal: stopping at once"));
    assert_ne!(replicas.holder().await.as_deref(), Some(""), "it has waited for nothing");
}
