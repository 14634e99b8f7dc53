//! The proof that an image depends on its sources only.

use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::make;
use crate::files::{cannot, read, write};

/// Builds the sources of this folder in another one, from nothing, and compares the digests.
///
/// # Errors
/// [`Error::Invalid`] with both digests when they differ.
pub(crate) async fn compare(digest: &str) -> Result<()> {
    let folder = tempfile::tempdir_in(super::program::target_folder()).map_err(cannot("create a folder"))?;
    copy_sources(folder.path()).await?;
    let second = make(folder.path(), &folder.path().join("target")).await?.digest;
    if second == digest {
        return Ok(());
    }
    Err(Error::Invalid(format!("the digests differ: first {digest}, second {second}")))
}

/// Every file that Git knows, or would add, as it is now.
async fn copy_sources(folder: &Path) -> Result<()> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(workspace::root()).output().await;
    let output = output.map_err(cannot("start git"))?;
    if !output.status.success() {
        return Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    for name in String::from_utf8_lossy(&output.stdout).split_terminator('\0') {
        let original = workspace::root().join(name);
        // What was deleted and not committed is in the list, too.
        if original.is_file() {
            write(&folder.join(name), read(&original)?)?;
        }
    }
    Ok(())
}
