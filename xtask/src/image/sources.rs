//! Copies of the sources, for builds in other folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use crate::files::{cannot, read, write};

/// Makes `folder` a copy of every file that Git tracks or would add, in its current state. Unchanged files are not touched, so
/// that Cargo rebuilds only changes; files that are not in the sources are removed.
///
/// # Errors
/// When git cannot list the files, or one cannot be copied.
pub(crate) async fn copy_to(folder: &Path) -> Result<()> {
    let names = names().await?;
    for name in &names {
        let (content, copy) = (read(&workspace::root().join(name))?, folder.join(name));
        if fs::read(&copy).ok().as_ref() != Some(&content) {
            write(&copy, content)?;
        }
    }
    remove_others(folder, folder, &names)
}

/// The paths of the sources, relative to the root of the repository.
async fn names() -> Result<BTreeSet<PathBuf>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(workspace::root()).output().await;
    let output = output.map_err(cannot("start git"))?;
    if !output.status.success() {
        return Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    // The list includes files that are deleted but not committed.
    let files = names.split_terminator('\0').filter(|name| workspace::root().join(name).is_file());
    Ok(files.map(PathBuf::from).collect())
}

fn remove_others(folder: &Path, root: &Path, names: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(cannot("list the copied sources"))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(&path, root, names)?;
        } else if !path.strip_prefix(root).is_ok_and(|name| names.contains(name)) {
            fs::remove_file(&path).map_err(cannot("remove a file that is not in the sources"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_copy_touches_nothing_that_is_the_same_and_removes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        copy_to(folder.path()).await.unwrap();
        let touched = |name: &str| fs::metadata(file(name)).unwrap().modified().unwrap();
        let before = touched("Cargo.toml");
        fs::write(file("core/src/left_over.rs"), "").unwrap();
        fs::write(file("core/src/lib.rs"), "other").unwrap();
        copy_to(folder.path()).await.unwrap();
        assert_eq!(touched("Cargo.toml"), before);
        assert!(!file("core/src/left_over.rs").exists());
        let (copy, original) =
            (read(&file("core/src/lib.rs")), read(&workspace::root().join("core/src/lib.rs")));
        assert_eq!(copy.unwrap(), original.unwrap());
    }
}
