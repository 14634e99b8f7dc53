//! `--fetch-cert`: print the certificate, expired or not.

use crate::commands::output;
use crate::error::Error;
use crate::flags::Flags;
use crate::{certificate, io};

/// # Errors
/// When there is no certificate to be had.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    io::write(output::file(flags), &certificate::bytes(flags)?)
}
