//! The commands: one file per verb.

mod cert;
mod command;
mod completion;
mod fetch_cert;
mod grammar;
mod keys;
mod man;
mod merge_into;
mod raw;
mod re_encrypt;
mod recovery_unseal;
mod seal;
mod validate;

pub(crate) use command::command;

use crate::error::Error;
use crate::options::Command;
use crate::session::Session;
use crate::{help, io};

/// The names of the subcommands.
pub(crate) const SUBCOMMANDS: [&str; 4] = ["keys", "cert", "completion", "man"];

/// Runs the subcommand that the first word names.
///
/// # Errors
/// [`Error::Subcommand`] when the grammar refuses the words; else the error of the verb.
fn run_subcommand(words: &[String]) -> Result<(), Error> {
    match words.first().map(String::as_str) {
        Some("completion") => completion::run(words),
        Some("man") => man::run(words.iter().skip(1)),
        _ => grammar::run(words),
    }
}

/// Runs the command.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(command: &Command, session: &Session, program: &str) -> Result<(), Error> {
    match command {
        Command::Help => io::write(None, help::text(program).as_bytes()),
        Command::Version => {
            io::write(None, format!("kubeseal version: v{}\n", env!("CARGO_PKG_VERSION")).as_bytes())
        }
        Command::Subcommand(words) => run_subcommand(words),
        Command::Validate(options) => validate::run(options, session),
        Command::ReEncrypt(options) => re_encrypt::run(options, session),
        Command::RecoveryUnseal(options) => recovery_unseal::run(options),
        Command::FetchCert(options) => fetch_cert::run(options, session),
        Command::MergeInto(options) => merge_into::run(options, session),
        Command::Raw(options) => raw::run(options, session),
        Command::Seal(options) => seal::run(options, session),
    }
}
