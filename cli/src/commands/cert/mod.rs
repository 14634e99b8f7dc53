//! `cert`: the public certificate that seals.

mod fetch;
mod pin;
mod show;

use clap::Subcommand;

use crate::error::Error;

/// What to do with the certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Fetch(fetch::Fetch),
    Show(show::Show),
}

/// # Errors
/// Whatever the verb says.
pub(crate) fn run(verb: &Verb) -> Result<(), Error> {
    match verb {
        Verb::Fetch(fetch) => fetch.run(),
        Verb::Show(show) => show.run(),
    }
}
