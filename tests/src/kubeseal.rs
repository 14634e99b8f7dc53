//! kubeseal as a user or a script runs it.

use std::path::PathBuf;
use std::process::Command;

use crate::error::Result;
use crate::installation::Edition;
use crate::output::Output;

/// A kubeseal program with the environment to run it in.
#[derive(Debug, Clone)]
pub struct Kubeseal {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
    folder: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Kubeseal {
    /// kubeseal of `edition`, without a cluster.
    ///
    /// # Errors
    /// [`crate::Error::Missing`] when it was not built.
    pub fn of(edition: Edition) -> Result<Self> {
        Ok(Self { program: edition.kubeseal()?, kubeconfig: None, folder: None, variables: Vec::new() })
    }

    /// Sets the kubeconfig in its environment.
    #[must_use]
    pub fn with_kubeconfig(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..self }
    }

    /// Sets the working directory.
    #[must_use]
    pub fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// Adds a variable to its environment.
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
        Output::of(&mut self.command(arguments), input)
    }

    /// The environment has only the settings of the test, not the developer's variables, kubeconfig or cluster.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
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
