//! A controller starts again, and nothing has changed.

use std::time::Duration;

use sealed_secrets_tests::{Installation, Result};

use super::program::Program;
use super::workload::Workload;

/// What a restart took.
pub(super) struct Restart {
    /// Until the certificate is served.
    pub(super) ready: Duration,
    /// Until it rests.
    pub(super) cpu: Duration,
    /// Objects that it tried to open.
    pub(super) attempts: f64,
    /// Requests that change something.
    pub(super) writes: f64,
}

/// Starts `program` on a workload that it has opened before.
///
/// # Errors
/// When it does not come to rest.
pub(super) async fn measure(
    program: Program,
    installation: &Installation,
    workload: &Workload,
) -> Result<Restart> {
    super::process::until_quiet().await?;
    let before = workload.view().requests().await?;
    let running = program.start(installation).await?;
    let ready = running.ready().await?;
    let cpu = running.idle_cpu().await?;
    let attempts = running.attempts().await?;
    let writes = (workload.view().requests().await? - before).writes;
    running.stop().await?;
    Ok(Restart { ready, cpu, attempts, writes })
}
