//! A folder for this user only, which is removed with everything in it, also after a signal, unless it is kept.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;
use crate::{interrupt, platform};

/// A folder of mode 0700.
pub(crate) struct PrivateFolder {
    path: PathBuf,
    is_kept: bool,
}

impl PrivateFolder {
    /// Creates a folder in `parent`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn create_in(parent: &Path) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("kubeseal-");
        platform::make_private(&mut builder);
        let create = || builder.tempdir_in(parent).map(tempfile::TempDir::keep);
        let path = interrupt::create_folder(create).map_err(failed("create a folder in", parent))?;
        Ok(Self { path, is_kept: false })
    }

    /// Writes a file of mode 0600, or replaces its content.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let written = platform::create_private(&path).and_then(|mut file| file.write_all(bytes));
        written.map_err(failed("write", &path))?;
        Ok(path)
    }

    /// Leaves the folder where it is, also after a signal.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        interrupt::keep_folder(&self.path);
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it does not exist, or the system refuses.
    pub(crate) fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let path = self.path.join(name);
        fs::read(&path).map(Zeroizing::new).map_err(failed("open", &path))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            interrupt::remove_folder(&self.path);
        }
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |cause| Error::File { operation, path, cause }
}
