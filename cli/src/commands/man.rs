//! `man`: the manual page in roff.

use super::command;
use super::command::man;
use crate::error::Error;
use crate::io;

/// Prints the page of the program, or of the subcommand that `path` names.
///
/// # Errors
/// When there is no such subcommand, or stdout cannot be written.
pub(super) fn run<'a>(path: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut command = command();
    command.build();
    for word in path {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or(Error::NoManualPage(word.clone()))?;
    }
    let mut page = Vec::new();
    let failed = |cause| Error::Internal { operation: "write manual page", cause };
    clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
    io::write(None, &page)
}

/// Prints the help of `man` itself.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn help() -> Result<(), Error> {
    io::write(None, man().bin_name("kubeseal man").render_help().to_string().as_bytes())
}
