//! The commands: one file per verb.

mod candidates;
mod cert;
mod command;
mod completion;
mod create;
mod edit;
mod fetch_cert;
mod git;
mod grammar;
mod inspect;
mod keys;
mod lint;
mod man;
mod merge_into;
mod outcome;
mod raw;
mod re_encrypt;
mod recovery_unseal;
mod reencrypt;
mod seal;
mod seal_paths;
mod set;
mod status;
mod tips;
mod unseal_files;
mod unset;
mod validate;
mod verify;

pub(crate) use command::command;
use outcome::Outcome;

use crate::error::Error;
use crate::options::Command;
use crate::session::Session;
use crate::{help, io};

/// The names of the subcommands.
pub(crate) const SUBCOMMANDS: [&str; 16] = [
    "create",
    "seal",
    "set",
    "unset",
    "edit",
    "inspect",
    "lint",
    "verify",
    "reencrypt",
    "status",
    "unseal",
    "git",
    "keys",
    "cert",
    "completion",
    "man",
];

/// Runs the subcommand that the first word names.
///
/// # Errors
/// [`Error::Subcommand`] when the grammar refuses the words; else the error of the verb.
fn run_subcommand(words: &[String]) -> Result<Outcome, Error> {
    match words.first().map(String::as_str) {
        Some("completion") => completion::run(words)?,
        Some("man") if words.iter().any(|word| word == "--help" || word == "-h") => man::help()?,
        Some("man") => man::run(words.iter().skip(1))?,
        _ => return grammar::run(words),
    }
    Ok(Outcome::Success)
}

/// Runs the command.
///
/// # Errors
/// The error of the verb.
pub(crate) fn run(command: &Command, session: &Session, program: &str) -> Result<Outcome, Error> {
    if let Command::Subcommand(words) = command {
        return run_subcommand(words);
    }
    run_flags(command, session, program).map(|()| Outcome::Success)
}

/// Runs a command of the flag grammar.
fn run_flags(command: &Command, session: &Session, program: &str) -> Result<(), Error> {
    match command {
        Command::Help => io::write(None, help::text(program).as_bytes()),
        Command::Version => {
            io::write(None, format!("kubeseal version: v{}\n", env!("CARGO_PKG_VERSION")).as_bytes())
        }
        Command::Subcommand(_) => Ok(()),
        Command::Validate(options) => validate::run(options, session),
        Command::ReEncrypt(options) => re_encrypt::run(options, session),
        Command::RecoveryUnseal(options) => recovery_unseal::run(options),
        Command::FetchCert(options) => fetch_cert::run(options, session),
        Command::MergeInto(options) => merge_into::run(options, session),
        Command::Raw(options) => raw::run(options, session),
        Command::Seal(options) => seal::run(options, session),
    }
}
