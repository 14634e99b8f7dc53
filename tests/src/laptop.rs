//! A user's laptop: a folder, a kubeconfig, and kubectl, kubeseal and git on the PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, IoContext, Result};
use crate::output::Output;

/// The variable that names the folder in which tests leave transcripts for a page.
pub const TRANSCRIPTS: &str = "HARNESS_TRANSCRIPT";

/// A shell environment in which commands are run as a user types them.
pub struct Laptop {
    folder: PathBuf,
    kubeconfig: PathBuf,
    path: OsString,
}

impl Laptop {
    /// Creates a laptop that finds `programs` before other programs of the same names.
    ///
    /// # Errors
    /// When a path cannot be part of `PATH`.
    pub fn with(folder: &Path, kubeconfig: &Path, programs: &[&Path]) -> Result<Self> {
        let first = programs.iter().filter_map(|program| program.parent()).map(Path::to_owned);
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(first.chain(std::env::split_paths(&inherited)));
        let path = path.map_err(|error| Error::Invalid(format!("PATH: {error}")))?;
        Ok(Self { folder: folder.to_owned(), kubeconfig: kubeconfig.to_owned(), path })
    }

    /// The working directory of commands.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Changes the working directory, relative to the current one, as `cd` does.
    pub fn enter(&mut self, folder: &str) {
        self.folder.push(folder);
    }

    /// Runs a command line as a user would type it, and returns its standard output.
    ///
    /// # Errors
    /// [`Error::Program`] with the line and its standard error when it fails.
    pub fn shell(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Program(format!("`{line}` failed ({}): {}", output.status, output.stderr.trim())))
    }

    /// Succeeds if the line fails and prints `no`, the API server's answer about a permission that is not granted.
    ///
    /// # Errors
    /// [`Error::Program`] with its output otherwise.
    pub fn refuses(&self, line: &str) -> Result<()> {
        let output = self.run(line)?;
        if !output.status.success() && output.stdout.trim() == "no" {
            return Ok(());
        }
        Err(Error::Program(format!("`{line}` answers {:?} instead of no", output.stdout.trim())))
    }

    /// The standard output of a line, as bytes.
    ///
    /// # Errors
    /// [`Error::Program`] when it fails.
    pub fn bytes(&self, line: &str) -> Result<Vec<u8>> {
        let output = self.finish(line)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Error::Program(format!("`{line}` failed")))
        }
    }

    /// Runs a line to its end, whatever its exit code.
    ///
    /// # Errors
    /// When no shell can be started.
    pub fn run(&self, line: &str) -> Result<Output> {
        let output = self.finish(line)?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn finish(&self, line: &str) -> Result<std::process::Output> {
        Command::new("sh")
            .args(["-e", "-c", line])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            // The user's own Git settings (signing, hooks) must not have an effect.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null())
            .output()
            .when(|| "start sh".into())
    }
}
