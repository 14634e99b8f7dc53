//! Each fault of the leader, with two and with three replicas, while objects arrive and change, keys rotate, and random
//! templates render.

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Method;
use kube::api::{DeleteParams, Patch, PatchParams};
use sealed_secrets_tests::{Fault, shifted_clock};
use serde_json::json;

use super::history::{History, Life};
use super::record::Record;
use super::replicas::{DEFAULT_LEASE, NAME, Replicas, is_about_lease};

/// Renewals in a minute. One that is late on a busy machine is repeated.
const RENEWALS: std::ops::RangeInclusive<usize> = 10..=15;
/// Seconds by which a clock is off.
const HOUR: &str = "3600";
const HOUR_AGO: &str = "-3600";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Killed,
    Stopped,
    CutOff,
    /// So much that it cannot renew in time.
    Slowed,
    LeaseDeleted,
    LeaseEdited,
    /// The leader is killed, and the clock of the next one is off by so many seconds, that of a third replica by as many in the
    /// other direction.
    ClockOff(&'static str),
}

use Happening::{ClockOff, CutOff, Killed, LeaseDeleted, LeaseEdited, Slowed, Stopped};

impl Happening {
    /// Returns true if another replica leads afterwards.
    fn ends_leadership(self) -> bool {
        !matches!(self, LeaseDeleted | LeaseEdited)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_of_the_leader_of_two_replicas_all_is_as_one_replica_would_have_made_it() {
    let clocks = [ClockOff(HOUR), ClockOff(HOUR_AGO)];
    let others = [Killed, Stopped, CutOff, Slowed, LeaseDeleted, LeaseEdited];
    assert_all_survived(2, others.into_iter().chain(clocks)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_of_the_leader_of_three_replicas_all_is_as_one_replica_would_have_made_it() {
    assert_all_survived(3, [Killed, Stopped, CutOff, Slowed, LeaseDeleted, LeaseEdited, ClockOff(HOUR)])
        .await;
}

/// Runs a case for each happening, side by side, and lets a quiet minute follow for all of them.
async fn assert_all_survived(count: usize, happenings: impl IntoIterator<Item = Happening>) {
    let cases = join_all(happenings.into_iter().map(|happening| Case::run(count, happening))).await;
    let settled = join_all(cases.iter().map(|case| case.replicas.until_settled())).await;
    let quiet = Instant::now();
    // The test must prove the absence of writes.
    tokio::time::sleep(Duration::from_mins(1)).await;
    for (mut case, before) in cases.into_iter().zip(settled) {
        println!("{count} replicas, {:?}", case.happening);
        assert_eq!(case.replicas.versions().await, before, "a quiet minute");
        case.assert_quiet_since(quiet);
        case.assert_in_order().await;
    }
}

struct Case {
    happening: Happening,
    replicas: Replicas,
    record: Record,
    history: History,
}

impl Case {
    async fn run(count: usize, happening: Happening) -> Self {
        let replicas = Replicas::with_default_lease(count).await;
        let record = Record::begin(&replicas);
        let mut case = Self { happening, replicas, record, history: History::default() };
        let leader = case.replicas.until_leader().await;
        let others: Vec<_> = (1..count).map(|distance| (leader + distance) % count).collect();
        if let ClockOff(seconds) = happening {
            let opposite = if seconds == HOUR { HOUR_AGO } else { HOUR };
            for (index, seconds) in others.iter().zip([seconds, opposite]) {
                case.replicas.start_with_clock(*index, seconds).await;
            }
        }
        case.work("before").await;
        case.befall(leader).await;
        case.work("during").await;
        if happening.ends_leadership() {
            case.replicas.until_leader_beside(&[leader]).await;
        }
        case.replicas.until_converged(&format!("after {happening:?}")).await;
        case.recover(leader, &others).await;
        case.work("after").await;
        case.replicas.until_leader().await;
        case.replicas.until_converged(&format!("after the end of {happening:?}")).await;
        case.replicas.until_requested_key().await;
        case.replicas.until_same_certificate(None).await;
        case
    }

    /// Requests a key, and lets objects arrive and change. Nothing waits for them.
    async fn work(&mut self, when: &str) {
        self.replicas.request_key().await;
        self.replicas.seal_random(&format!("token-{when}")).await;
        for name in [&format!("{when}-1"), &format!("{when}-2"), "changed"] {
            self.replicas.seal(name).await;
        }
    }

    async fn befall(&mut self, leader: usize) {
        let replica = &mut self.replicas.all[leader];
        match self.happening {
            Killed | ClockOff(_) => replica.controller.process().kill(),
            Stopped => replica.signal("STOP"),
            CutOff => {
                replica.proxy.fail(|_, _| Some(Fault::Silence));
                replica.proxy.freeze();
            }
            Slowed => replica.proxy.delay(|_| Some(Duration::from_secs(4))),
            LeaseDeleted | LeaseEdited => self.change_lease().await,
        }
    }

    async fn change_lease(&mut self) {
        let (leases, begun) = (self.replicas.lease(), Instant::now());
        if self.happening == LeaseDeleted {
            leases.delete(NAME, &DeleteParams::default()).await.unwrap();
        } else {
            let edit = Patch::Merge(json!({"spec": {"holderIdentity": "somebody"}}));
            leases.patch(NAME, &PatchParams::default(), &edit).await.unwrap();
        }
        self.history.edits.push((begun, Instant::now()));
    }

    async fn recover(&mut self, leader: usize, others: &[usize]) {
        match self.happening {
            Killed => self.start_again(leader).await,
            ClockOff(_) => {
                self.start_again(leader).await;
                // A leader whose clock is off makes no keys, and no other one takes its Lease for that.
                let next = self.replicas.until_leader_beside(&[leader]).await;
                self.replicas.all[next].until_logged("ClockSkew").await;
                assert_eq!(self.replicas.until_leader().await, next);
                for index in others {
                    self.replicas.all[*index].controller.stop().await.unwrap();
                }
                self.replicas.until_leader_beside(others).await;
                for index in others {
                    self.start_again(*index).await;
                }
            }
            Stopped => self.replicas.all[leader].signal("CONT"),
            CutOff => self.replicas.all[leader].proxy.heal(),
            Slowed => self.replicas.all[leader].proxy.delay(|_| None),
            LeaseDeleted | LeaseEdited => {}
        }
    }

    async fn start_again(&mut self, index: usize) {
        self.harvest(index);
        self.replicas.start_again(index).await;
    }

    /// Keeps the requests of a replica, each of whose writes must be conditional.
    fn harvest(&mut self, index: usize) {
        let replica = &self.replicas.all[index];
        replica.assert_conditional();
        self.history.lives.push(Life::of(&replica.proxy.asked()));
    }

    fn assert_quiet_since(&self, moment: Instant) {
        let mut renewals = 0;
        for replica in &self.replicas.all {
            replica.assert_quiet_since(moment);
            let asked = replica.proxy.asked_since(moment);
            let is_renewal = |asked: &&sealed_secrets_tests::Asked| {
                asked.method != Method::GET && is_about_lease(&asked.path)
            };
            renewals += asked.iter().filter(is_renewal).count();
        }
        assert!(RENEWALS.contains(&renewals), "12 renewals: {renewals}");
    }

    async fn assert_in_order(&mut self) {
        (0..self.replicas.all.len()).for_each(|index| self.harvest(index));
        self.record.assert_in_order(self.history.failed_events());
        assert_eq!(self.record.tokens(), 3);
        self.history.assert_written_by_holders(DEFAULT_LEASE);
        self.history.assert_taken_when_expired(DEFAULT_LEASE);
        self.replicas.assert_one_secret_each().await;
        self.replicas.assert_keys().await;
    }
}

impl Replicas {
    /// Replaces a replica by one whose clock is off by so many seconds.
    async fn start_with_clock(&mut self, index: usize, seconds: &str) {
        self.all[index].controller.stop().await.unwrap();
        let clock = shifted_clock::variables(seconds).unwrap();
        self.start_again_with(index, &clock).await;
    }
}
