//! `git install` and `git uninstall`.

use std::env;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::{attributes, clone, hook, settings};
use crate::error::Error;
use crate::shell::quoted;
use crate::{interrupt, io};

/// Show, merge and check SealedSecrets item by item in this clone
#[derive(Debug, Args)]
#[command(
    long_about = "Show, merge and check SealedSecrets item by item in this clone. Differences show a ciphertext as <sealed 32 B 1f0c9a2e71b0>, merges\n\
                  take each item on its own, and a pre-commit hook runs `kubeseal lint --staged`. Only this clone changes, and no file that Git\n\
                  tracks. Another hook is left unchanged: then the line that it lacks is printed, and the exit code is 1. So is another command\n\
                  in a setting."
)]
pub(crate) struct Install {
    /// Leave the pre-commit hook out
    #[arg(long)]
    no_hook: bool,
}

/// Remove all that `git install` has written
#[derive(Debug, Args)]
pub(crate) struct Uninstall {}

impl Install {
    /// Installs the settings, the attributes and the hook in this clone.
    ///
    /// # Errors
    /// Outside of a work tree, when another hook or setting is there already, or something cannot be written.
    pub(super) fn run(&self) -> Result<(), Error> {
        clone::expect_work_tree()?;
        interrupt::handle()?;
        let program = program();
        let all_settings = settings::install(&program)?;
        attributes::install()?;
        let hook = if self.no_hook { Ok(()) } else { hook::install(&program) };
        match (all_settings, hook) {
            (Err(settings), Err(hook)) => {
                io::log(&format!("error: {settings}"));
                Err(hook)
            }
            (all_settings, hook) => all_settings.and(hook),
        }
    }
}

impl Uninstall {
    /// Removes the settings, the attributes and the hook from this clone.
    ///
    /// # Errors
    /// Outside of a work tree, or when something cannot be removed.
    pub(super) fn run() -> Result<(), Error> {
        clone::expect_work_tree()?;
        interrupt::handle()?;
        let removed = [settings::uninstall()?, attributes::uninstall()?, hook::uninstall()?];
        if !removed.contains(&true) {
            io::log("kubeseal is not installed in this clone");
        }
        Ok(())
    }
}

/// This program as a word of the shell: its name if PATH leads to it, else its path.
fn program() -> String {
    let own = env::current_exe().and_then(fs::canonicalize).unwrap_or_else(|_| PathBuf::from("kubeseal"));
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths).map(|folder| folder.join("kubeseal")).find(|file| file.is_file());
    let is_found = found.and_then(|file| fs::canonicalize(file).ok()).is_some_and(|file| file == own);
    if is_found { "kubeseal".to_owned() } else { quoted(&own.display().to_string()) }
}
