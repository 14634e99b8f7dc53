//! Measurements of the controller, one after the other on one control plane.

mod api;
mod bare;
mod first_sync;
mod keys;
mod latency;
mod many_keys;
mod process;
mod program;
mod quiet_namespace;
mod reencrypt;
mod restart;
mod rows;
mod takeover;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{
    Cluster, ControlPlane, Installation, Reach, Result, leader_election_manifests_in,
};

use self::api::View;
use self::program::{AS_SHIPPED, LIFTED, OURS};
pub(super) use self::rows::SMALL;
use self::workload::Workload;
use crate::bench::table::{Row, Table};

const NAMESPACE: &str = "kube-system";

/// Objects of the measurements that take one object at a time, or repeat for each key.
const FEW: usize = 200;
const LATENCIES: usize = 200;

/// Duration of the measurement of the original with its default flags.
const WINDOW: Duration = Duration::from_mins(1);

/// The control plane and the programs of all measurements.
struct Ground {
    client: Client,
    installation: Installation,
    view: View,
    namespace: String,
    quiet_namespace: String,
    certificate: String,
    /// The sealing key, PEM.
    private_key: Vec<u8>,
}

/// Measures `objects` SealedSecrets; `quick` leaves out measurements that take minutes. With many objects, only the first sync,
/// its memory and takeovers are measured.
///
/// # Errors
/// When a measurement fails.
pub(super) async fn measure(programs: &ControlPlanePrograms, objects: usize, quick: bool) -> Result<Table> {
    let plane = ControlPlane::start(programs).await?;
    let cluster = Cluster::at(plane.access()).await?;
    let ground = Ground::prepare(&cluster).await?;
    let mut table = Table::default();
    println!("Measuring with {objects} SealedSecrets:");
    let all = ground.workload("object", objects)?;
    if objects > SMALL {
        first_syncs(&ground, &all, &mut table).await?;
        takeovers(&ground, &all, &mut table).await?;
        return Ok(table);
    }
    syncs_and_restarts(&ground, &all, quick, &mut table).await?;
    let few = ground.workload("few", objects.min(FEW))?;
    if !quick {
        table.add_all(quiet_namespace(&ground).await?);
        table.add(reencrypt(&ground, cluster.kubeconfig()).await?);
    }
    takeovers(&ground, &all, &mut table).await?;
    let keys = if quick { 6 } else { 60 };
    let many = many_keys::measure(OURS, &ground.client, &ground.installation, &few, keys).await?;
    table.add(rows::many_keys(keys, &many));
    Ok(table)
}

/// First sync, handover and crash of three replicas.
async fn takeovers(ground: &Ground, all: &Workload, table: &mut Table) -> Result<()> {
    let further = ground.workload("takeover", 2)?;
    let replicas = takeover::measure(&ground.installation, all, &further).await?;
    table.add_all(rows::takeover(all.len(), &replicas));
    Ok(())
}

/// First syncs of our controller, then of the original on the same objects.
async fn first_syncs(ground: &Ground, all: &Workload, table: &mut Table) -> Result<()> {
    let (ours, running) = first_sync::measure(OURS, &ground.installation, all).await?;
    running.stop().await?;
    let (original, running) = first_sync::measure(LIFTED, &ground.installation, all).await?;
    running.stop().await?;
    table.add_all(rows::first_sync(all.len(), &ours, &original));
    table.add(rows::memory(all.len(), &ours, &original));
    Ok(())
}

/// First syncs and restarts; each controller is restarted on the objects that it has just processed.
async fn syncs_and_restarts(ground: &Ground, all: &Workload, quick: bool, table: &mut Table) -> Result<()> {
    let installation = &ground.installation;
    let bare = bare::decryption(&ground.private_key)?;
    let (ours, running) = first_sync::measure(OURS, installation, all).await?;
    let others = ground.workload("latency", LATENCIES)?;
    let our_latency = latency::measure(&others).await?;
    running.idle_cpu().await?;
    let repairs = latency::measure_repairs(&others).await?;
    running.idle_cpu().await?;
    running.stop().await?;
    let our_restart = restart::measure(OURS, installation, all).await?;
    let bare = bare.min(bare::decryption(&ground.private_key)?);

    let (original, running) = first_sync::measure(LIFTED, installation, all).await?;
    let original_latency = latency::measure(&ground.workload("latency", LATENCIES)?).await?;
    running.idle_cpu().await?;
    running.stop().await?;
    let original_restart = restart::measure(LIFTED, installation, all).await?;

    table.add_all(rows::first_sync(all.len(), &ours, &original));
    if !quick {
        let rate = first_sync::rate(AS_SHIPPED, installation, all, WINDOW).await?;
        table.add(rows::as_shipped(all.len(), &ours, rate));
    }
    table.add_all(rows::against_bare(all.len(), &ours, bare));
    table.add_all(rows::restart(&our_restart, &original_restart));
    table.add(rows::memory(all.len(), &ours, &original));
    table.add_all(rows::latency(&our_latency, &original_latency));
    table.add_all(rows::repairs(&repairs));
    Ok(())
}

async fn quiet_namespace(ground: &Ground) -> Result<Vec<Row>> {
    let Ground { client, installation, certificate, .. } = ground;
    let queued = Workload::repeat(&ground.view, &ground.namespace, certificate, quiet_namespace::QUEUED)?;
    let quiet = View::new(client.clone(), &ground.quiet_namespace);
    let small = Workload::repeat(&quiet, &ground.quiet_namespace, certificate, (1, 1))?;
    let bare = bare::decryption(&ground.private_key)?;
    let ours = quiet_namespace::measure(OURS, installation, &queued, &small).await?;
    let original = quiet_namespace::measure(LIFTED, installation, &queued, &small).await?;
    Ok(rows::quiet_namespace(quiet_namespace::QUEUED, ours, original, bare))
}

async fn reencrypt(ground: &Ground, kubeconfig: PathBuf) -> Result<Row> {
    let Ground { client, installation, certificate, private_key, .. } = ground;
    let bare = bare::decryption(private_key)?;
    let took = reencrypt::measure(client, installation, kubeconfig, certificate).await?;
    Ok(rows::reencrypt(reencrypt::ALL_ITEMS, took, bare))
}

impl Ground {
    /// Installs the controller and lets it create its key.
    async fn prepare(cluster: &Cluster) -> Result<Self> {
        let installation = cluster.install(NAMESPACE, Reach::WholeCluster).await?;
        cluster.apply(&leader_election_manifests_in(NAMESPACE)?).await?;
        let namespace = cluster.namespace("bench").await?;
        let quiet_namespace = cluster.namespace("quiet").await?;
        let running = OURS.start(&installation).await?;
        running.ready().await?;
        let certificate = running.controller.certificate().await?;
        running.stop().await?;
        let client = cluster.client();
        let private_key = keys::private_key(&client, installation.namespace()).await?;
        let view = View::new(client.clone(), &namespace);
        Ok(Self { client, installation, view, namespace, quiet_namespace, certificate, private_key })
    }

    fn workload(&self, prefix: &str, count: usize) -> Result<Workload> {
        Workload::seal(&self.view, &self.namespace, &self.certificate, prefix, count)
    }
}
