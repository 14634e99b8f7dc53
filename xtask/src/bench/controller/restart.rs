//! A restart of the controller without any change.

use std::time::Duration;

use sealed_secrets_tests::{Installation, Result};

use super::program::Program;
use super::workload::Workload;

/// The result of a restart.
pub(super) struct Restart {
    /// Time until the certificate is served.
    pub(super) ready: Duration,
    /// Processor time until it is idle.
    pub(super) cpu: Duration,
    /// Decryption attempts.
    pub(super) attempts: f64,
    /// Writing requests.
    pub(super) writes: f64,
}

/// Starts `program` on a workload that it has decrypted before.
///
/// # Errors
/// When it does not become idle.
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
