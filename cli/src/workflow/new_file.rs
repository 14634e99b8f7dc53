//! Files of `-w`.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, FileProblem};
use crate::platform;

/// Checks before any work that a file can be written.
///
/// # Errors
/// When the file exists, unless it is to be replaced and can be, or its folder does not exist.
pub(crate) fn expect_free(file: &str, is_replaced: bool) -> Result<(), Error> {
    let Ok(metadata) = std::fs::symlink_metadata(file) else { return expect_folder(file) };
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

fn expect_folder(file: &str) -> Result<(), Error> {
    let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_missing = folder.is_some_and(|folder| {
        std::fs::metadata(folder).is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
    });
    if is_missing { Err(FileProblem::NoFolder.of(file)) } else { Ok(()) }
}
