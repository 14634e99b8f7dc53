//! Programs that users run together with ours: helm, kubectl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::{IoContext, Result};
use crate::output::Output;
use crate::programs::{self, ControlPlanePrograms};

/// A program with a home folder of its own, so that the developer's settings have no effect.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

impl Tool {
    /// Helm, without a cluster.
    ///
    /// # Errors
    /// [`crate::Error::Missing`] when it was never built and cannot be.
    pub fn helm() -> Result<Self> {
        Self::new(programs::helm()?)
    }

    /// kubectl, without a cluster.
    ///
    /// # Errors
    /// As [`Self::helm`].
    pub fn kubectl() -> Result<Self> {
        Self::new(ControlPlanePrograms::prepare()?.kubectl)
    }

    fn new(program: PathBuf) -> Result<Self> {
        let home = tempfile::tempdir().when(|| "create a home folder".into())?;
        Ok(Self { program, home, kubeconfig: None })
    }

    /// Sets the kubeconfig.
    #[must_use]
    pub fn on(self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: Some(kubeconfig.to_owned()), ..self }
    }

    /// Runs it to its end with `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; a failure of its own is in the [`Output`].
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output> {
        Output::of(&mut self.command(arguments), input)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .current_dir(crate::workspace::root());
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
    }
}
