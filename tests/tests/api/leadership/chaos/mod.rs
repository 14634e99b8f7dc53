//! Faults at random, while objects, Secrets and permissions change and keys rotate, with everything that is recorded meanwhile.
//!
//! A run takes a minute at least, with the shortest Lease; `HARNESS_CHAOS=60` makes it an hour, with a Lease of the default duration.

mod fault;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::http_request;
use serde_json::{Value, json};

use super::history::{History, Lateness, Life};
use super::record::Record;
use super::replicas::{DEFAULT_LEASE, LEASE, NAME, Replica, Replicas};
use crate::support::PATIENCE;
use fault::{Hurt, change_lease};

/// The variable with the minutes that a run takes.
const MINUTES: &str = "HARNESS_CHAOS";
/// Rounds of the shortest run. Each takes a second, and longer on a busy machine.
const FEWEST_ROUNDS: u64 = 60;
const NAMES: u32 = 8;
/// Ends of the paths of the two lists that the keystore makes.
const KEY_LISTS: [&str; 2] = [
    "/secrets?&labelSelector=sealedsecrets.bitnami.com%2Fsealed-secrets-key",
    "/secrets?&fieldSelector=metadata.name%3Dsealed-secrets-key",
];
/// Seconds between two faults, and between two requests for a key.
const FAULT_EVERY: u64 = 5;
const KEY_EVERY: u64 = 30;
/// Longest fault, in seconds: longer than a term lasts without a renewal.
const MAX_FAULT: u64 = 15;
/// Replicas with a fault at the same time.
const MAX_HURT: usize = 2;
/// Time after the last fault within which everything is as it should be.
const CONVERGENCE: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_millis(100);
/// A probe that takes no longer than this is not late.
const PROMPT: Duration = Duration::from_millis(20);

fn minutes() -> u64 {
    std::env::var(MINUTES).ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(1)
}

/// A replica during the run.
#[derive(Default)]
struct Health {
    /// The present fault, and the second of its end.
    hurt: Option<(Hurt, u64)>,
    /// The moment at which its last fault ended; `None` while it has one.
    healthy_since: Option<Instant>,
    life: Life,
}

struct Chaos {
    replicas: Replicas,
    health: Vec<Health>,
    history: History,
    random: StdRng,
    begun: Instant,
    lateness: Arc<Mutex<Lateness>>,
    /// The binding of the permission to SealedSecrets and Secrets, while it is taken away.
    taken_right: Option<RoleBinding>,
    /// Objects whose Secret was changed by hand since their own last change: a second repair waits longer.
    repaired: Vec<String>,
    opened: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_back_and_all_converges_whatever_befalls_three_replicas() {
    let is_long = minutes() > 1;
    let replicas = if is_long { Replicas::with_default_lease(3).await } else { Replicas::start(3).await };
    let lease = if is_long { DEFAULT_LEASE } else { LEASE };
    let record = Record::begin(&replicas);
    let mut chaos = Chaos::begin(replicas);
    let end = Instant::now() + Duration::from_secs(60 * minutes());
    let mut second = 0;
    while Instant::now() < end || second < FEWEST_ROUNDS {
        chaos.second(second).await;
        second += 1;
    }
    chaos.heal().await;
    chaos.assert_converged().await;
    chaos.replicas.assert_keys().await;
    chaos.harvest_all();
    record.assert_in_order(chaos.history.failed_events());
    assert!(record.tokens() > 1);
    chaos.history.assert_written_by_holders(lease);
    chaos.history.assert_taken_when_expired(lease);
    let lateness = chaos.lateness.lock().unwrap();
    chaos.history.assert_always_led(lease + Duration::from_secs(2), &lateness);
    println!("{} certificates were verified by other replicas", chaos.opened);
    assert!(chaos.opened > 5);
}

impl Chaos {
    fn begin(replicas: Replicas) -> Self {
        let now = Instant::now();
        let health = || Health { healthy_since: Some(now), ..Health::default() };
        let seed = rand::random();
        println!("seed {seed}");
        let lateness = Arc::default();
        tokio::spawn(probe(replicas.lease(), Arc::clone(&lateness)));
        Self {
            health: replicas.all.iter().map(|_| health()).collect(),
            history: History::default(),
            random: StdRng::seed_from_u64(seed),
            begun: now,
            lateness,
            taken_right: None,
            repaired: Vec::new(),
            opened: 0,
            replicas,
        }
    }

    fn tell(&self, what: &str) {
        println!("{:>7.1} s: {what}", self.begun.elapsed().as_secs_f64());
    }

    /// Runs one second of faults and changes.
    async fn second(&mut self, second: u64) {
        let end = Instant::now() + Duration::from_secs(1);
        self.assert_none_has_ended();
        self.recover_all(|until| until <= second).await;
        if second.is_multiple_of(FAULT_EVERY) {
            self.befall(second).await;
        }
        if second % KEY_EVERY == KEY_EVERY / 2 {
            self.replicas.request_key().await;
            self.replicas.seal_random(&format!("token-{second}")).await;
        }
        self.change().await;
        self.verify_everywhere().await;
        tokio::time::sleep_until(end.into()).await;
    }

    /// Asserts that no process has ended that was not told to.
    fn assert_none_has_ended(&mut self) {
        for (index, health) in self.health.iter().enumerate() {
            let is_told = health.hurt.is_some_and(|(hurt, _)| hurt.ends_process());
            let replica = &mut self.replicas.all[index];
            let ended = replica.controller.process().exited().unwrap();
            assert!(is_told || ended.is_none(), "{index} {ended:?}: {}", replica.controller.log());
        }
    }

    /// Lets a fault befall one replica that has none, or the Lease.
    async fn befall(&mut self, second: u64) {
        let healthy: Vec<_> =
            (0..self.health.len()).filter(|index| self.health[*index].hurt.is_none()).collect();
        let is_full = self.health.len() - healthy.len() >= MAX_HURT;
        if is_full || self.random.random_range(0..4) == 0 {
            let begun = Instant::now();
            let how = change_lease(&self.replicas.lease(), &mut self.random).await;
            self.history.edits.push((begun, Instant::now()));
            return self.tell(&format!("the Lease is {how}"));
        }
        let index = healthy[self.random.random_range(0..healthy.len())];
        let hurt = Hurt::any(&mut self.random);
        let until = second + self.random.random_range(FAULT_EVERY..=MAX_FAULT);
        hurt.befall(&mut self.replicas.all[index]);
        let health = &mut self.health[index];
        health.hurt = Some((hurt, until));
        let begun = health.healthy_since.take();
        health.life.healthy.extend(begun.map(|begun| (begun, Instant::now())));
        self.tell(&format!("{index} is {hurt:?} for {} s", until - second));
    }

    /// Ends the faults that are over, and starts processes again.
    async fn recover_all(&mut self, is_over: impl Fn(u64) -> bool) {
        for index in 0..self.health.len() {
            let Some((hurt, _)) = self.health[index].hurt.filter(|(_, until)| is_over(*until)) else {
                continue;
            };
            if hurt.ends_process() {
                // After SIGTERM it serves for some time.
                if self.replicas.all[index].controller.process().exited().unwrap().is_none() {
                    continue;
                }
                self.harvest(index);
                self.replicas.spawn_again(index).await;
            } else {
                hurt.recover(&mut self.replicas.all[index]);
            }
            self.health[index].hurt = None;
            self.health[index].healthy_since = Some(Instant::now());
            self.tell(&format!("{index} is well again"));
        }
    }

    /// Changes a SealedSecret, a Secret, or the permissions of the replicas.
    async fn change(&mut self) {
        self.give_right_back().await;
        let name = format!("db-{}", self.random.random_range(0..NAMES));
        match self.random.random_range(0..10) {
            0 => self.take_right().await,
            1 | 2 if !self.repaired.contains(&name) => {
                let secrets = self.replicas.secrets();
                // It may not be there yet.
                if self.random.random_bool(0.5) {
                    let _ = secrets.delete(&name, &DeleteParams::default()).await;
                } else {
                    let edit = Patch::Merge(json!({"stringData": {"password": "edited"}}));
                    let _ = secrets.patch(&name, &PatchParams::default(), &edit).await;
                }
                self.repaired.push(name);
            }
            _ => {
                self.replicas.seal(&name).await;
                self.repaired.retain(|repaired| *repaired != name);
            }
        }
    }

    fn bindings(&self) -> Api<RoleBinding> {
        Api::namespaced(self.replicas.cluster.client(), self.replicas.namespace())
    }

    async fn take_right(&mut self) {
        let bindings = self.bindings();
        let all = bindings.list(&ListParams::default()).await.unwrap();
        let binding = all.into_iter().find(|binding| binding.role_ref.kind == "ClusterRole").unwrap();
        bindings.delete(&binding.name_any(), &DeleteParams::default()).await.unwrap();
        self.taken_right = Some(binding);
        self.tell("the permission to Secrets is taken away");
    }

    async fn give_right_back(&mut self) {
        let Some(mut binding) = self.taken_right.take() else { return };
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        self.bindings().create(&PostParams::default(), &binding).await.unwrap();
        self.tell("the permission to Secrets is given back");
    }

    /// The replicas that are ready and have no fault, nor a list of the keys that a fault has silenced: until its timeout no
    /// other list is made.
    async fn reachable(&self) -> Vec<usize> {
        let mut reachable = Vec::new();
        for (index, replica) in self.replicas.all.iter().enumerate() {
            let asked = replica.proxy.asked();
            let is_answered = |list: &&str| {
                let last = asked.iter().rfind(|asked| asked.path.ends_with(*list));
                last.is_some_and(|last| last.answered.is_some_and(|(_, status)| status == 200))
            };
            let is_ready =
                async || replica.controller.get("/readyz").await.is_ok_and(|answer| answer.status == 200);
            let is_healthy = self.health[index].hurt.is_none() && KEY_LISTS.iter().all(is_answered);
            if is_healthy && is_ready().await {
                reachable.push(index);
            }
        }
        reachable
    }

    /// Seals with the certificate of one replica, and asserts that every replica opens it that can be reached.
    async fn verify_everywhere(&mut self) {
        let reachable = self.reachable().await;
        if reachable.len() < 2 {
            return;
        }
        let from = reachable[self.random.random_range(0..reachable.len())];
        let certificate = self.replicas.all[from].controller.certificate().await.unwrap();
        let sealed = sealed_for(&certificate, self.replicas.namespace()).to_string();
        for index in reachable {
            let address = self.replicas.all[index].controller.address().to_string();
            let asked = Instant::now();
            let answer = http_request(&address, "POST", "/v1/verify", &sealed).await.unwrap();
            let late = self.lateness.lock().unwrap().between(asked, Instant::now());
            // 503: it cannot list the keys, and says so.
            assert!(
                matches!(answer.status, 200 | 503) || late > Duration::from_secs(1),
                "{index} does not open what is sealed for {from}: {}",
                answer.status
            );
            self.opened += usize::from(index != from && answer.status == 200);
        }
    }

    /// Ends all faults.
    async fn heal(&mut self) {
        self.give_right_back().await;
        let well = async |chaos: &mut Self| {
            chaos.recover_all(|_| true).await;
            chaos.health.iter().all(|health| health.hurt.is_none())
        };
        let deadline = Instant::now() + PATIENCE;
        while !well(self).await {
            assert!(Instant::now() < deadline, "a replica does not end after SIGTERM");
            tokio::time::sleep(PROBE).await;
        }
        self.tell("all faults have ended");
    }

    /// Asserts that everything is as it should be in time, and that then nothing is written but the Lease.
    async fn assert_converged(&mut self) {
        let begun = Instant::now();
        self.replicas.until_leader().await;
        self.replicas.until_converged("after all faults").await;
        self.replicas.until_same_certificate(None).await;
        let (took, late) = (begun.elapsed(), self.lateness.lock().unwrap().between(begun, Instant::now()));
        self.tell(&format!("all has converged after {took:?}, of which this machine was {late:?} late"));
        assert!(took <= CONVERGENCE + late, "{took:?}");
        let before = self.replicas.until_settled().await;
        let quiet = Instant::now();
        tokio::time::sleep(if minutes() > 1 { Duration::from_mins(1) } else { LEASE * 2 }).await;
        // The API server deletes events after an hour.
        let after = self.replicas.versions().await;
        let new: Vec<_> = after.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
        assert!(new.is_empty(), "written in a quiet time: {new:?}");
        self.replicas.all.iter().for_each(|replica| replica.assert_quiet_since(quiet));
        self.assert_none_has_ended();
        self.replicas.assert_one_secret_each().await;
    }

    /// Keeps the requests of a process that has ended, each of whose writes must be conditional.
    fn harvest(&mut self, index: usize) {
        let replica: &Replica = &self.replicas.all[index];
        replica.assert_conditional();
        let health = &mut self.health[index];
        let mut life = std::mem::take(&mut health.life);
        life.healthy.extend(health.healthy_since.take().map(|since| (since, Instant::now())));
        for asked in &replica.proxy.asked() {
            life.note(asked);
        }
        self.history.lives.push(life);
    }

    fn harvest_all(&mut self) {
        for index in 0..self.health.len() {
            self.harvest(index);
        }
    }
}

/// A SealedSecret that the holder of this certificate's key opens.
fn sealed_for(certificate: &str, namespace: &str) -> Value {
    let certificate = SealingCertificate::from_pem(certificate.as_bytes()).unwrap();
    let label = Label::new(Scope::Strict, namespace, "verified");
    let item = seal_value(&mut rand::rng(), certificate.public_key(), &label, b"value").unwrap();
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": "verified", "namespace": namespace},
        "spec": {"encryptedData": {"password": item}}
    })
}

/// Measures all the time how much this machine is behind: a timer and a request.
async fn probe(leases: Api<k8s_openapi::api::coordination::v1::Lease>, lateness: Arc<Mutex<Lateness>>) {
    loop {
        lateness.lock().unwrap().expect(Instant::now() + PROBE + PROMPT);
        tokio::time::sleep(PROBE).await;
        let _ = leases.get_opt(NAME).await;
        lateness.lock().unwrap().arrived(Instant::now());
    }
}
