//! A program that runs in the background of a test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::error::{Error, IoContext, Result};
use crate::poll::until;

const TAIL_LINES: usize = 30;

/// A running program whose output goes to a file. It is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` with both outputs in the file `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).when(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().when(|| format!("write {}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.when(|| format!("start {name} ({})", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// The process number, inside the namespace.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the program has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The exit status, if the program has ended.
    ///
    /// # Errors
    /// When the operating system does not return it.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().when(|| format!("ask for the state of {}", self.name))
    }

    /// Waits until `check` returns `Some`, the program ends, or `patience` elapses.
    ///
    /// # Errors
    /// [`Error::Program`] with the tail of the program's output.
    pub async fn ready<T>(
        &mut self,
        patience: Duration,
        mut check: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = std::time::Instant::now() + patience;
        loop {
            if let Some(status) = self.exited()? {
                return Err(self.failure(&format!("ended while starting ({status})")));
            }
            if let Some(answer) = check().await {
                return Ok(answer);
            }
            if std::time::Instant::now() >= deadline {
                return Err(self.failure(&format!("was not ready within {} s", patience.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends the signal `name`, such as `TERM` or `USR1`.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        send_signal(name, self.id())
    }

    /// Sends SIGTERM and waits until the program ends.
    ///
    /// # Errors
    /// [`Error::Deadline`] when it does not end within `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let what = format!("{} ends after SIGTERM", self.name);
        until(&what, patience, || std::future::ready(self.exited().transpose())).await?
    }

    /// Kills the program.
    pub fn kill(&mut self) {
        // Both fail only if the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn failure(&self, problem: &str) -> Error {
        Error::Program(format!(
            "{} {problem}; the end of {}:\n{}",
            self.name,
            self.log.display(),
            tail(&self.log())
        ))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal, by its name without SIG.
pub(crate) fn send_signal(name: &str, process: u32) -> Result<()> {
    let status =
        Command::new("kill").args([format!("-{name}"), process.to_string()]).stderr(Stdio::null()).status();
    match status.when(|| "start kill".into())? {
        status if status.success() => Ok(()),
        _ => Err(Error::Program(format!("process {process} is gone: SIG{name} not sent"))),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> (tempfile::TempDir, Daemon) {
        let folder = tempfile::tempdir().unwrap();
        let daemon =
            Daemon::start("sh", Command::new("sh").args(["-c", script]), &folder.path().join("log")).unwrap();
        (folder, daemon)
    }

    #[tokio::test]
    async fn a_program_that_ends_early_is_reported_with_its_last_words() {
        let (_folder, mut daemon) = shell("echo no such flag >&2; exit 3");
        let error = daemon.ready(PATIENCE, async || None::<()>).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such flag"), "{error}");
    }

    #[tokio::test]
    async fn a_program_is_stopped_with_sigterm() {
        let (_folder, mut daemon) = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        until("ready", PATIENCE, || std::future::ready((!daemon.log().is_empty()).then_some(())))
            .await
            .unwrap();
        assert_eq!(daemon.stop(PATIENCE).await.unwrap().code(), Some(7));
    }

    #[test]
    fn a_dropped_program_is_gone() {
        let (_folder, daemon) = shell("exec sleep 1000");
        let id = daemon.id();
        send_signal("0", id).unwrap();
        drop(daemon);
        assert!(send_signal("0", id).is_err());
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let text = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(tail(&text).lines().next(), Some("70"));
        assert_eq!(tail("one\n"), "one");
    }
}
