//! `cert`: the public certificate that seals.

mod fetch;
mod show;

use clap::{Args, Subcommand};

use crate::certificate::Pin;
use crate::error::Error;

/// `--cert-fingerprint`.
#[derive(Debug, Args)]
pub(crate) struct PinFlag {
    /// Refuse any certificate but that of this key
    #[arg(long, value_name = "SHA256:...", env = "SEALED_SECRETS_CERT_FINGERPRINT", hide_env_values = true)]
    cert_fingerprint: Option<String>,
}

impl PinFlag {
    /// # Errors
    /// When it is no fingerprint.
    fn parse(&self) -> Result<Pin, Error> {
        Pin::parse(self.cert_fingerprint.as_deref())
    }
}

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
