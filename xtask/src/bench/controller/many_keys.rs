//! Decryption of items that were sealed with the oldest of many keys, compared with a single key.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use sealed_secrets_tests::{Installation, Result, until};
use serde_json::json;

use super::program::{Program, Running};
use super::workload::Workload;
use super::{first_sync, keys};

const IN_FLIGHT: usize = 16;
const TIMEOUT: Duration = Duration::from_mins(5);

/// Processor time to decrypt every object of the workload once more.
pub(super) struct ManyKeys {
    pub(super) with_one: Duration,
    pub(super) with_many: Duration,
}

/// Measures with the existing key, then with `count` keys, of which it is the oldest.
///
/// # Errors
/// When an object is not decrypted.
pub(super) async fn measure(
    program: Program,
    client: &Client,
    installation: &Installation,
    workload: &Workload,
    count: usize,
) -> Result<ManyKeys> {
    let (_, running) = first_sync::measure(program, installation, workload).await?;
    let with_one = reopen(&running, workload, "one").await?;
    keys::add(client, installation.namespace(), count.saturating_sub(1)).await?;
    // A new key ring causes a full resync; only the steady state after it is measured.
    running.idle_cpu().await?;
    reopen(&running, workload, "learn").await?;
    let with_many = reopen(&running, workload, "many").await?;
    running.stop().await?;
    keys::remove(client, installation.namespace()).await?;
    Ok(ManyKeys { with_one, with_many })
}

/// Changes the template of every object, and waits until all Secrets have the new form.
async fn reopen(running: &Running, workload: &Workload, label: &str) -> Result<Duration> {
    let before = running.idle_cpu().await?;
    let api = workload.view().sealed_secrets();
    let change = Patch::Merge(json!({"spec": {"template": {"metadata": {"labels": {"bench": label}}}}}));
    let parameters = PatchParams::default();
    let changed = stream::iter(workload.objects()).map(|object| {
        let (api, change, parameters, name) = (&api, &change, &parameters, object.name_any());
        async move { api.patch(&name, parameters, change).await }
    });
    changed.buffer_unordered(IN_FLIGHT).try_for_each(async |_| Ok(())).await?;
    let all = async || workload.view().count_synced().await.ok().filter(|count| *count == workload.len());
    until("all objects are decrypted again", TIMEOUT, all).await?;
    Ok(running.idle_cpu().await?.saturating_sub(before))
}
