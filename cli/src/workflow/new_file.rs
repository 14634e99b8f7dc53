//! Files of `-w`.

use crate::error::{Error, FileProblem};
use crate::platform;

/// Checks before any work that a file can be written.
///
/// # Errors
/// When the file exists, unless it is to be replaced and can be.
pub(crate) fn expect_free(file: &str, is_replaced: bool) -> Result<(), Error> {
    let Ok(metadata) = std::fs::symlink_metadata(file) else { return Ok(()) };
    if !is_replaced {
        return Err(FileProblem::Exists.of(file));
    }
    let target = std::fs::metadata(file).unwrap_or(metadata);
    if !target.is_file() && !target.is_symlink() {
        return Err(FileProblem::NotRegular(platform::kind_of(&target)).of(file));
    }
    if target.permissions().readonly() {
        return Err(FileProblem::ReadOnly.of(file));
    }
    Ok(())
}
