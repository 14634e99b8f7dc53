//! Latency of a small object of one namespace while another namespace has queued large ones.

use std::time::Duration;

use sealed_secrets_tests::{Installation, Result};

use super::latency::time_until;
use super::program::Program;
use super::workload::Workload;

/// The number of large objects, and the items of each.
pub(super) const QUEUED: (usize, usize) = (60, 200);

/// The longest wait, for a program that decrypts everything else first.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Starts the program, queues the large objects, and returns the time from the creation of the small object until its Secret
/// exists.
///
/// # Errors
/// When its Secret does not appear.
pub(super) async fn measure(
    program: Program,
    installation: &Installation,
    queued: &Workload,
    small: &Workload,
) -> Result<Duration> {
    small.remove().await?;
    queued.remove().await?;
    let running = program.start(installation).await?;
    running.ready().await?;
    running.idle_cpu().await?;
    queued.create().await?;
    small.create().await?;
    let made = async || Ok(small.view().count_secrets().await? >= small.len());
    let took = time_until("the small object becomes a Secret", TIMEOUT, made).await?;
    running.stop().await?;
    queued.remove().await?;
    Ok(took)
}
