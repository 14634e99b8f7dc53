//! Several replicas that elect a leader: their requests, and the time until another one works.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::{DynamicObject, PostParams};
use sealed_secrets_tests::{Error, Installation, Result, until};

use super::latency::time_until;
use super::program::{ELECTED, Running};
use super::workload::Workload;

const REPLICAS: usize = 3;
const TIMEOUT: Duration = Duration::from_mins(5);

/// The results of three replicas.
pub(super) struct Takeover {
    /// Writing requests of the replicas in the first sync.
    pub(super) writes: f64,
    /// The peak memory of the larger follower, in bytes.
    pub(super) follower_memory: u64,
    /// From SIGTERM to the first object that the next leader has decrypted.
    pub(super) handover: Duration,
    /// The same from SIGKILL.
    pub(super) crash: Duration,
}

/// Lets three replicas decrypt a workload, and then replaces the leader twice. `further` has an object for each time.
///
/// # Errors
/// When no replica takes over.
pub(super) async fn measure(
    installation: &Installation,
    workload: &Workload,
    further: &Workload,
) -> Result<Takeover> {
    workload.remove().await?;
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let replica = ELECTED.start(installation).await?;
        replica.ready().await?;
        replicas.push(replica);
    }
    let before = workload.view().requests().await?;
    workload.create().await?;
    let synced = async || (workload.view().count_synced().await.ok()? == workload.len()).then_some(());
    until("every SealedSecret is decrypted", TIMEOUT, synced).await?;
    // The bench has created the objects itself.
    let created = f64::from(u32::try_from(workload.len()).unwrap_or(u32::MAX));
    let writes = (workload.view().requests().await? - before).writes - created;
    let leader = leader(&replicas).await?;
    let followers = replicas.iter().enumerate().filter(|(index, _)| *index != leader);
    let memory = followers.map(|(_, follower)| follower.peak_memory()).collect::<Result<Vec<_>>>()?;
    let follower_memory = memory.into_iter().max().unwrap_or_default();
    let [first, second, ..] = further.objects() else {
        return Err(Error::Invalid("two objects are needed".into()));
    };
    let handover = replace(&mut replicas, "TERM", further, first).await?;
    let crash = replace(&mut replicas, "KILL", further, second).await?;
    for replica in replicas {
        replica.stop().await?;
    }
    Ok(Takeover { writes, follower_memory, handover, crash })
}

/// Waits until one of the replicas leads, and returns its index.
async fn leader(replicas: &[Running]) -> Result<usize> {
    let found = async || {
        for (index, replica) in replicas.iter().enumerate() {
            let page = replica.controller.metrics().await.unwrap_or_default();
            // The line that explains the metric contains the same text.
            if page.lines().any(|line| line == "sealed_secrets_controller_leader 1") {
                return Some(index);
            }
        }
        None
    };
    until("a replica leads", TIMEOUT, found).await
}

/// Ends the leader by this signal, and returns the time until another replica has decrypted a new object.
async fn replace(
    replicas: &mut Vec<Running>,
    signal: &str,
    further: &Workload,
    object: &DynamicObject,
) -> Result<Duration> {
    let mut former = replicas.remove(leader(replicas).await?);
    let begun = Instant::now();
    former.controller.process().signal(signal)?;
    further.view().sealed_secrets().create(&PostParams::default(), object).await?;
    let (secrets, name) = (further.view().secrets(), object.name_any());
    let made = async || Ok(secrets.get_metadata_opt(&name).await?.is_some());
    time_until(&format!("another replica decrypts {name}"), TIMEOUT, made).await?;
    Ok(begun.elapsed())
}
