//! `git textconv` shows a file as differences show it.

use clap::Args;
use sealed_secrets_core::manifest::with_summaries;

use crate::error::Error;
use crate::io;

/// Print a file with summaries of its ciphertexts, for git diff
#[derive(Debug, Args)]
#[command(
    long_about = "Print a file with each ciphertext as <sealed 32 B 1f0c9a2e71b0>: the length of the value, and a hash of the ciphertext. All else is\n\
                  printed as it is, also a file that is not a manifest. Git runs this for git diff, log -p and show after `kubeseal git install`."
)]
pub(crate) struct Textconv {
    /// The file
    #[arg(value_name = "FILE", allow_hyphen_values = true, value_hint = clap::ValueHint::FilePath)]
    file: String,
}

impl Textconv {
    /// Prints the file with a summary of each item in place of its ciphertext.
    ///
    /// # Errors
    /// When the file cannot be read, or stdout cannot be written.
    pub(super) fn run(&self) -> Result<(), Error> {
        let bytes = io::read_file(&self.file)?;
        match str::from_utf8(&bytes) {
            Ok(text) => io::write(None, with_summaries(text).as_bytes()),
            Err(_) => io::write(None, &bytes),
        }
    }
}
