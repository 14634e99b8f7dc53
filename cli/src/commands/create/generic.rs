//! `create generic`: any keys and values.

use clap::Args;

use super::output::{NewSecret, OutputFlags, expect_no_value};
use super::sources::{Sources, ValueFlags};
use crate::error::Error;

/// Create a SealedSecret from prompts, files, literal values and random ones
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kubeseal create generic db -n shop --prompt password --from-literal user=app -w db.yaml\n  \
    kubeseal create generic db --generate password -w deploy/prod/db.yaml -w deploy/stage/db.yaml\n  \
    kubeseal create generic ca -n shop --from-file ca.crt > ca.yaml")]
pub(crate) struct Generic {
    /// Name of the SealedSecret, and of its Secret
    name: String,
    #[arg(hide = true)]
    surplus: Vec<String>,
    #[command(flatten)]
    values: ValueFlags,
    /// Type of the Secret (default Opaque)
    #[arg(long = "type", value_name = "TYPE")]
    type_: Option<String>,
    #[command(flatten)]
    output: OutputFlags,
}

impl Generic {
    /// Seals the values, and writes the SealedSecrets.
    ///
    /// # Errors
    /// When a value cannot be read or sealed, or a file exists; then nothing is written.
    pub(super) fn run(&self) -> Result<(), Error> {
        expect_no_value(&self.surplus)?;
        let secret = NewSecret { name: &self.name, type_: self.type_.as_deref() };
        self.output.check(&secret)?;
        let sources = Sources::parse(&self.values)?;
        self.output.write(&secret, |_| Ok(()), || sources.read())
    }
}
