//! One file per verb.

mod cert;
mod completion;
mod fetch_cert;
mod grammar;
mod keys;
mod man;
mod merge_into;
mod output;
mod raw;
mod re_encrypt;
mod recovery_unseal;
mod seal;
mod validate;

pub(crate) use grammar::Grammar;
pub(crate) use keys::KeysError;

use crate::error::Error;
use crate::flags::Flags;
use crate::{help, io};

/// The words that begin a subcommand.
pub(crate) const SUBCOMMANDS: [&str; 4] = ["keys", "cert", "completion", "man"];

/// Runs the subcommand that the first word names.
///
/// # Errors
/// [`Error::Usage`] when the words do not follow the grammar; else whatever the verb says.
pub(crate) fn run_subcommand(words: Vec<String>) -> Result<(), Error> {
    match words.first().map(String::as_str) {
        Some("completion") => completion::run(&words),
        Some("man") => man::run(words.into_iter().skip(1)),
        _ => grammar::run(words),
    }
}

/// Runs what the flags ask for; sealing where they ask for nothing else.
///
/// # Errors
/// Whatever the verb's own function says.
pub(crate) fn run(flags: &Flags, program: &str) -> Result<(), Error> {
    if flags.is_on("version") {
        return io::write(None, format!("kubeseal version: v{}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    }
    if flags.is_on("help") {
        return io::write(None, help::text(program).as_bytes());
    }
    if flags.is_on("rotate") {
        io::tell("Flag --rotate has been deprecated, please use --re-encrypt instead");
    }
    if !flags.texts("from-file").is_empty() && !flags.is_on("raw") {
        return Err(Error::FromFileWithoutRaw);
    }
    if flags.is_on_command_line("recovery-private-key") && !flags.is_on("recovery-unseal") {
        return Err(Error::KeyWithoutRecovery);
    }
    if flags.is_on("validate") {
        validate::run(flags)
    } else if flags.is_on("re-encrypt") || flags.is_on("rotate") {
        re_encrypt::run(flags)
    } else if flags.is_on("recovery-unseal") {
        recovery_unseal::run(flags)
    } else if flags.is_on("fetch-cert") {
        fetch_cert::run(flags)
    } else if flags.text("merge-into").is_some() {
        merge_into::run(flags)
    } else if flags.is_on("raw") {
        raw::run(flags)
    } else {
        seal::run(flags)
    }
}
