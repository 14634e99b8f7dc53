//! The folder with the keys, data and logs of one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::error::{Error, IoContext, Result};

/// The variable that names the run folder for a program inside the isolation.
pub(crate) const VARIABLE: &str = "HARNESS_RUN";

/// The name of etcd's data folders, which are large and not needed after the run.
pub(crate) const ETCD_DATA: &str = "etcd-data";

/// The folder of a run, created outside of the isolation and removed when dropped.
#[derive(Debug)]
pub struct RunFolder(TempDir);

impl RunFolder {
    /// Creates the folder in the system's temporary folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sealed-secrets-").tempdir();
        Ok(Self(folder.when(|| "create a folder for temporary files".into())?))
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Keeps the logs for the analysis of a failure, and removes etcd's data.
    #[must_use]
    pub fn keep_logs(self) -> PathBuf {
        let folder = self.0.keep();
        for part in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // If this fails, the data stay; the original failure is more important.
            let _ = fs::remove_dir_all(part.path().join(ETCD_DATA));
        }
        folder
    }
}

/// Creates a folder for one part of this run, such as a control plane or a controller.
pub(crate) fn part(name: &str) -> Result<PathBuf> {
    static PARTS: AtomicU32 = AtomicU32::new(0);
    let run = std::env::var_os(VARIABLE).map(PathBuf::from).ok_or_else(|| {
        Error::Invalid(
            "not inside a run: use `cargo xtask test`, or `cargo xtask cluster` and its shell".into(),
        )
    })?;
    let number = PARTS.fetch_add(1, Ordering::Relaxed);
    let folder = run.join(format!("{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).when(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
