//! The programs that are measured.

use std::time::{Duration, Instant};

use sealed_secrets_tests::{ControllerProcess, Edition, Installation, Result, until};

use super::process;

/// A controller and its flags.
#[derive(Clone, Copy)]
pub(super) struct Program {
    edition: Edition,
    flags: &'static [&'static str],
}

pub(super) const OURS: Program = Program { edition: Edition::Ours, flags: &[] };
pub(super) const ELECTED: Program = Program { edition: Edition::Ours, flags: &["--leader-elect"] };
pub(super) const AS_SHIPPED: Program = Program { edition: Edition::Upstream, flags: &[] };
pub(super) const LIFTED: Program =
    Program { edition: Edition::Upstream, flags: &["--kubeclient-qps=-1", "--kubeclient-burst=-1"] };

/// A running program, with the time of its start.
pub(super) struct Running {
    pub(super) controller: ControllerProcess,
    pub(super) since: Instant,
    process: u32,
}

impl Program {
    /// Starts the program without waiting for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) async fn start(self, installation: &Installation) -> Result<Running> {
        let mut controller = ControllerProcess::spawn(installation, self.edition, self.flags).await?;
        let process = controller.process().id();
        Ok(Running { controller, since: Instant::now(), process })
    }
}

impl Running {
    /// Waits until the program serves its certificate, and returns how long that took.
    ///
    /// # Errors
    /// When it never does.
    pub(super) async fn ready(&self) -> Result<Duration> {
        let serves =
            async || self.controller.get("/v1/cert.pem").await.ok().filter(|answer| answer.status == 200);
        until("the certificate is served", Duration::from_mins(2), serves).await?;
        Ok(self.since.elapsed())
    }

    /// Processor time from its start until it is idle.
    ///
    /// # Errors
    /// When it never becomes idle.
    pub(super) async fn idle_cpu(&self) -> Result<Duration> {
        process::until_idle(self.process).await
    }

    /// The peak memory of the program, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn peak_memory(&self) -> Result<u64> {
        process::peak_memory(self.process)
    }

    /// The number of decryption attempts by its metrics.
    ///
    /// # Errors
    /// When it does not respond.
    pub(super) async fn attempts(&self) -> Result<f64> {
        let metrics = self.controller.metrics().await?;
        let name = "sealed_secrets_controller_unseal_requests_total ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(f64::NAN))
    }

    /// Stops the program.
    ///
    /// # Errors
    /// When it does not end.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.controller.stop().await.map(drop)
    }
}
