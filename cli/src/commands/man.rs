//! `man`: the manual page in roff.

use crate::error::Error;
use crate::{help, io};

/// Prints the page of the program, or of the subcommand that the words name.
///
/// # Errors
/// When there is no such subcommand, or stdout cannot be written.
pub(super) fn run(path: impl Iterator<Item = String>) -> Result<(), Error> {
    let mut command = help::command();
    command.build();
    for word in path {
        let found = command.find_subcommand(&word).cloned();
        command = found.ok_or(Error::NoManualPage(word))?;
    }
    let mut page = Vec::new();
    let failed = |cause| Error::File { operation: "write", path: "manual page".to_owned(), cause };
    clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
    io::write(None, &page)
}
