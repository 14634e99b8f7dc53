//! `--fetch-cert`: print the certificate, expired or not.

use std::io::IsTerminal as _;

use crate::commands::output;
use crate::error::Error;
use crate::flags::Flags;
use crate::{certificate, escape, io};

/// # Errors
/// When there is no certificate to be had.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let bytes = certificate::bytes(flags)?;
    let file = output::file(flags);
    // Whatever serves them, they are not for a terminal to act upon.
    if file.is_none() && std::io::stdout().is_terminal() {
        return io::write(None, escape::lines(&String::from_utf8_lossy(&bytes)).as_bytes());
    }
    io::write(file, &bytes)
}
