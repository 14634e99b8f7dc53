//! `cert`: the public certificate that seals.

mod fetch;
mod show;

use clap::Subcommand;

use crate::error::Error;

/// A verb of `cert`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Fetch(fetch::Fetch),
    Show(show::Show),
}

/// Runs the verb.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::Fetch(fetch) => fetch.run(),
        Verb::Show(show) => show.run(),
    }
}
