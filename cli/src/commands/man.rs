//! `man`: the manual page in roff.

use crate::error::Error;
use crate::{help, io};

/// # Errors
/// When stdout cannot be written.
pub(super) fn run() -> Result<(), Error> {
    let mut page = Vec::new();
    let failed = |cause| Error::File { operation: "write", path: "manual page".to_owned(), cause };
    clap_mangen::Man::new(help::command()).render(&mut page).map_err(failed)?;
    io::write(None, &page)
}
