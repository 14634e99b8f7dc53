//! The folder with the keys, data and logs of one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::error::{Error, IoContext, Result};

/// Tells a program inside the isolation where its run folder is.
pub(crate) const VARIABLE: &str = "HARNESS_RUN";

/// The name of etcd's data folders: large, and of no use after the run.
pub(crate) const ETCD_DATA: &str = "etcd-data";

/// The folder of a run, made outside of the isolation and removed when dropped.
#[derive(Debug)]
pub struct RunFolder(TempDir);

impl RunFolder {
    /// Makes the folder in the system's folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sealed-secrets-").tempdir();
        Ok(Self(folder.when(|| "create a folder for temporary files".into())?))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves the logs to the person who looks for the cause of a failure, and removes the bulk.
    #[must_use]
    pub fn keep_logs(self) -> PathBuf {
        let folder = self.0.keep();
        for part in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // What cannot be removed stays: the failure is what matters now.
            let _ = fs::remove_dir_all(part.path().join(ETCD_DATA));
        }
        folder
    }
}

/// Makes a new folder for one part of this run, such as a control plane or a controller.
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
