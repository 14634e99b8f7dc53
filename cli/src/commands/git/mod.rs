//! `git`: settings of a clone, and the programs that Git runs.

mod attributes;
mod clone;
mod hook;
mod install;
mod merge;
mod settings;
mod textconv;

use clap::Subcommand;

use crate::error::Error;

/// A verb of `git`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Install(install::Install),
    Uninstall(install::Uninstall),
    Textconv(textconv::Textconv),
    Merge(merge::Merge),
}

/// Runs the verb.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::Install(install) => install.run(),
        Verb::Uninstall(_) => install::Uninstall::run(),
        Verb::Textconv(textconv) => textconv.run(),
        Verb::Merge(merge) => merge.run(),
    }
}
