//! The laptop: a folder, a kubeconfig, and kubectl, kubeseal and git on the PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sealed_secrets_tests::{Error, Result};

/// Where a person types.
pub(crate) struct Laptop {
    folder: PathBuf,
    kubeconfig: PathBuf,
    path: OsString,
}

impl Laptop {
    /// A laptop that finds `programs` before anything else of their names.
    pub(crate) fn with(folder: &Path, kubeconfig: &Path, programs: &[&Path]) -> Result<Self> {
        let first = programs.iter().filter_map(|program| program.parent()).map(Path::to_owned);
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(first.chain(std::env::split_paths(&inherited)));
        let path = path.map_err(|error| Error::Invalid(format!("PATH: {error}")))?;
        Ok(Self { folder: folder.to_owned(), kubeconfig: kubeconfig.to_owned(), path })
    }

    /// Runs a line as a person would type it, and returns its standard output.
    pub(crate) fn shell(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::Program(format!("`{line}` failed ({}): {}", output.status, said.trim())))
    }

    /// Succeeds when the line fails and says `no`: a question to the API server whether something is allowed.
    pub(crate) fn refuses(&self, line: &str) -> Result<()> {
        let output = self.run(line)?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() && said.trim() == "no" {
            return Ok(());
        }
        Err(Error::Program(format!("`{line}` answers {:?} instead of no", said.trim())))
    }

    /// The standard output of a line, byte by byte.
    pub(crate) fn bytes(&self, line: &str) -> Result<Vec<u8>> {
        let output = self.run(line)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Error::Program(format!("`{line}` failed")))
        }
    }

    fn run(&self, line: &str) -> Result<Output> {
        Command::new("sh")
            .args(["-e", "-c", line])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            // The person's own Git settings (signing, hooks) are not part of the story.
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Io { action: "start sh".into(), source })
    }
}
