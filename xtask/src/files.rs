//! Functions that read and write files, with errors that name the operation.

use std::fs;
use std::io;
use std::path::Path;

use sealed_secrets_tests::{Error, Result};

/// Names the operation in its error: `cannot {action}: …`.
pub(crate) fn cannot(action: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let action = action.into();
    |source| Error::Io { action, source }
}

/// The content of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(cannot(format!("read {}", path.display())))
}

/// The content of a text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(cannot(format!("read {}", path.display())))
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(cannot(format!("create {}", folder.display())))?;
    }
    fs::write(path, content).map_err(cannot(format!("write {}", path.display())))
}
