//! The folder in memory in which the text is edited.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::private_folder::PrivateFolder;
use crate::{io, platform};

const SHARED_MEMORY: &str = "/dev/shm";

/// Creates a private folder: in `given`, else on a file system in memory.
///
/// # Errors
/// When there is no such file system, or the system refuses.
pub(super) fn create_folder(given: Option<&str>) -> Result<PrivateFolder, Error> {
    if let Some(parent) = given {
        if !platform::is_in_memory(Path::new(parent)) {
            io::warn(&format!(
                "--tmpdir {parent}: this may be on a disk, which can keep the values that you type"
            ));
        }
        return PrivateFolder::create_in(Path::new(parent));
    }
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let candidates = runtime.into_iter().chain([PathBuf::from(SHARED_MEMORY)]);
    for parent in candidates.filter(|parent| platform::is_in_memory(parent)) {
        if let Ok(folder) = PrivateFolder::create_in(&parent) {
            return Ok(folder);
        }
    }
    Err(Error::Editor(
        "neither $XDG_RUNTIME_DIR nor /dev/shm is a file system in memory, and values must not get onto a disk; make one, and name \
         a folder on it with --tmpdir DIR"
            .to_owned(),
    ))
}
