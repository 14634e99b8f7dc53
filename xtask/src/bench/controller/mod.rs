//! The controller: every measurement in turn, on one control plane.

mod api;
mod bare;
mod first_sync;
mod keys;
mod latency;
mod many_keys;
mod process;
mod program;
mod restart;
mod rows;
mod workload;

use std::time::Duration;

use kube::Client;
use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{Cluster, ControlPlane, Installation, Reach, Result};

use self::api::View;
use self::program::{AS_SHIPPED, LIFTED, OURS};
pub(super) use self::rows::SMALL;
use self::workload::Workload;
use crate::bench::table::Table;

const NAMESPACE: &str = "kube-system";

/// Objects of the measurements that go one by one, or once per key.
const FEW: usize = 200;
const LATENCIES: usize = 200;

/// How long the original as shipped is watched.
const WINDOW: Duration = Duration::from_mins(1);

/// Everything is measured on this.
struct Ground {
    client: Client,
    installation: Installation,
    view: View,
    namespace: String,
    certificate: String,
    /// The sealing key, PEM.
    private_key: Vec<u8>,
}

/// Measures `objects` SealedSecrets; `quick` leaves out what takes minutes. With many objects, all but the first sync and its
/// memory is left out.
///
/// # Errors
/// When something cannot be measured.
pub(super) async fn measure(programs: &ControlPlanePrograms, objects: usize, quick: bool) -> Result<Table> {
    let plane = ControlPlane::start(programs).await?;
    let cluster = Cluster::at(plane.access()).await?;
    let ground = Ground::prepare(&cluster).await?;
    let mut table = Table::default();
    println!("Measuring with {objects} SealedSecrets:");
    let all = ground.workload("object", objects)?;
    if objects > SMALL {
        first_syncs(&ground, &all, &mut table).await?;
        return Ok(table);
    }
    syncs_and_restarts(&ground, &all, quick, &mut table).await?;
    let few = ground.workload("few", objects.min(FEW))?;
    let keys = if quick { 6 } else { 60 };
    let many = many_keys::measure(OURS, &ground.client, &ground.installation, &few, keys).await?;
    table.add(rows::many_keys(keys, &many));
    Ok(table)
}

/// Ours, then the original on the same objects.
async fn first_syncs(ground: &Ground, all: &Workload, table: &mut Table) -> Result<()> {
    let (ours, running) = first_sync::measure(OURS, &ground.installation, all).await?;
    running.stop().await?;
    let (original, running) = first_sync::measure(LIFTED, &ground.installation, all).await?;
    running.stop().await?;
    table.add_all(rows::first_sync(all.len(), &ours, &original));
    table.add(rows::memory(all.len(), &ours, &original));
    Ok(())
}

/// The same; each is restarted where it has just worked.
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

impl Ground {
    /// Installs the controller and lets it make its key.
    async fn prepare(cluster: &Cluster) -> Result<Self> {
        let installation = cluster.install(NAMESPACE, Reach::WholeCluster).await?;
        let namespace = cluster.namespace("bench").await?;
        let running = OURS.start(&installation).await?;
        running.ready().await?;
        let certificate = running.controller.certificate().await?;
        running.stop().await?;
        let client = cluster.client();
        let private_key = keys::private_key(&client, installation.namespace()).await?;
        let view = View::new(client.clone(), &namespace);
        Ok(Self { client, installation, view, namespace, certificate, private_key })
    }

    fn workload(&self, prefix: &str, count: usize) -> Result<Workload> {
        Workload::seal(&self.view, &self.namespace, &self.certificate, prefix, count)
    }
}
