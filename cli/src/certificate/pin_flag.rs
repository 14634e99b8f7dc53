//! `--cert-fingerprint` of subcommands.

use clap::Args;

use sealed_secrets_core::crypto::Fingerprint;

use crate::error::Error;
use crate::options;

/// `--cert-fingerprint`.
#[derive(Debug, Args)]
pub(crate) struct PinFlag {
    /// Refuse any certificate but that of this key
    #[arg(long, value_name = "SHA256:...", env = "SEALED_SECRETS_CERT_FINGERPRINT", hide_env_values = true)]
    cert_fingerprint: Option<String>,
}

impl PinFlag {
    /// Parses the fingerprint.
    ///
    /// # Errors
    /// When it is not a fingerprint.
    pub(crate) fn parse(&self) -> Result<Option<Fingerprint>, Error> {
        options::pin(self.cert_fingerprint.as_deref())
    }
}
