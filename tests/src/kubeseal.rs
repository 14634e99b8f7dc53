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
    folder: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Kubeseal {
    /// kubeseal of `edition`, knowing no cluster.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not built.
    pub fn of(edition: Edition) -> Result<Self> {
        Ok(Self { program: edition.kubeseal()?, kubeconfig: None, folder: None, variables: Vec::new() })
    }

    /// The same, with a kubeconfig in its environment.
    #[must_use]
    pub fn with_kubeconfig(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..self }
    }

    /// The same, working in `folder`.
    #[must_use]
    pub fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// The same, with a variable more in its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it with `arguments` and `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; a failure of its own is in the [`Output`].
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child =
            self.command(arguments).spawn().when(|| format!("start {}", self.program.display()))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Beside the reading, so that neither waits for the other; a program may end without reading its input.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            child.wait_with_output()
        });
        let output = output.when(|| "read the output of kubeseal".into())?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Only what a test says counts, not the developer's variables, kubeconfig or cluster.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent");
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}
