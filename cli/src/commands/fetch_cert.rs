//! `--fetch-cert` prints the certificate, expired or not.

use std::io::IsTerminal as _;

use crate::error::Error;
use crate::options::FetchCertOptions;
use crate::session::Session;
use crate::{certificate, escape, io};

/// Prints the certificate, or writes it to the file of the output.
///
/// # Errors
/// When there is no certificate.
pub(super) fn run(options: &FetchCertOptions, session: &Session) -> Result<(), Error> {
    let bytes = certificate::bytes(&options.certificate, session)?;
    let file = options.output.as_deref();
    // The bytes are untrusted, and a terminal would interpret control characters.
    if file.is_none() && std::io::stdout().is_terminal() {
        return io::write(None, escape::lines(&String::from_utf8_lossy(&bytes)).as_bytes());
    }
    io::write(file, &bytes)
}
