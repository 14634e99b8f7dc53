//! kubeseal as a person or a script runs it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Error, IoContext, Result};
use crate::installation::Edition;

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a program that succeeded.
    ///
    /// # Errors
    /// [`Error::Program`] with standard error when it did not.
    pub fn ok(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Program(format!("{}: {}", self.status, self.stderr)))
    }
}

/// A kubeseal to run: whose, and against which cluster.
#[derive(Debug, Clone)]
pub struct Kubeseal {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Kubeseal {
    /// kubeseal of `edition`, knowing no cluster.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not built.
    pub fn of(edition: Edition) -> Result<Self> {
        Ok(Self { program: edition.kubeseal()?, kubeconfig: None })
    }

    /// The same, with a kubeconfig in its environment.
    #[must_use]
    pub fn with_kubeconfig(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..self }
    }

    /// Runs it with `arguments` and `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; a failure of its own is in the [`Output`].
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Every flag of kubeseal has a variable; those of the developer are not meant.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SEALED_SECRETS_"))
        {
            command.env_remove(name);
        }
        match &self.kubeconfig {
            Some(kubeconfig) => command.env("KUBECONFIG", kubeconfig),
            None => command.env_remove("KUBECONFIG"),
        };
        let mut child = command.spawn().when(|| format!("start {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program may end without reading its input.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().when(|| "read the output of kubeseal".into())?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
