//! The first sync: a controller starts on objects that no controller has processed.

use std::time::{Duration, Instant};

use sealed_secrets_tests::{Error, Installation, Result};

use super::api::Requests;
use super::program::{Program, Running};
use super::workload::Workload;

const PAUSE: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_mins(15);
const NO_MORE: Duration = Duration::from_secs(10);

/// The result of a first sync.
pub(super) struct FirstSync {
    /// From the start of the process until all Secrets exist.
    pub(super) secrets: Duration,
    /// Until all events and status are written too.
    pub(super) everything: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_memory: u64,
    pub(super) requests: Requests,
}

/// Creates the workload anew and starts the program on it. The program still runs afterwards.
///
/// # Errors
/// When it does not come to its end.
pub(super) async fn measure(
    program: Program,
    installation: &Installation,
    workload: &Workload,
) -> Result<(FirstSync, Running)> {
    workload.create_anew().await?;
    let (view, count) = (workload.view(), workload.len());
    let before = view.requests().await?;
    let running = program.start(installation).await?;
    let secrets = until(&running, async || Ok(view.count_secrets().await? >= count)).await?;
    until_reported(&running, workload).await?;
    let everything = until(&running, async || Ok(view.count_synced().await? >= count)).await?;
    let cpu = running.idle_cpu().await?;
    let requests = view.requests().await? - before;
    let peak_memory = running.peak_memory()?;
    Ok((FirstSync { secrets, everything, cpu, peak_memory, requests }, running))
}

/// Waits for the events: counting them is cheap, reading the status is not. If events are lost, as may happen with many objects,
/// the wait ends when no more arrive.
async fn until_reported(running: &Running, workload: &Workload) -> Result<()> {
    let (mut most, mut since) = (0, Instant::now());
    let are_reported = async || {
        let events = workload.view().count_events().await?;
        if events > most {
            (most, since) = (events, Instant::now());
        }
        Ok(events >= workload.len() || since.elapsed() > NO_MORE)
    };
    until(running, are_reported).await.map(drop)
}

/// The rate of a program that is too slow for a full sync: Secrets per second from its start.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn rate(
    program: Program,
    installation: &Installation,
    workload: &Workload,
    window: Duration,
) -> Result<f64> {
    workload.create_anew().await?;
    let running = program.start(installation).await?;
    tokio::time::sleep(window).await;
    let made = workload.view().count_secrets().await?;
    let rate = f64::from(u32::try_from(made).unwrap_or(u32::MAX)) / running.since.elapsed().as_secs_f64();
    running.stop().await?;
    Ok(rate)
}

async fn until(running: &Running, mut reached: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    while running.since.elapsed() < TIMEOUT {
        if reached().await? {
            return Ok(running.since.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let log = running.controller.log();
    let end: Vec<_> = log.lines().rev().take(5).collect();
    Err(Error::Program(format!(
        "the first sync did not end; the controller's last lines, latest first:\n{}",
        end.join("\n")
    )))
}
