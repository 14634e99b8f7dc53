//! The user's cache folder, with programs that were built or downloaded once, shared by all clones.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, IoContext, Result};
use crate::hex::hex;

const PROJECT: &str = "sealed-secrets-rs";

/// A cache folder whose name contains a digest of everything that its content depends on.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder for `name`, whose content is determined by `inputs` and the platform. Other inputs have another folder.
    pub(crate) fn keyed(name: &str, inputs: &[&[u8]]) -> Result<Self> {
        let folder = user_cache()?.join(PROJECT).join(format!("{name}-{}", key(inputs)));
        fs::create_dir_all(&folder).when(|| format!("create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// A cache in an existing folder.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The path of the program `name`, which may not exist yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns true if the program `name` exists. It is complete then.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Locks the folder against other runs that would fill it, until the guard is dropped or the process ends.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.folder.join(".lock");
        let lock = File::create(&path).when(|| format!("create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another run that fills {}", self.folder.display());
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { action: format!("lock {}", path.display()), source });
            }
        }
        lock.lock().when(|| format!("lock {}", path.display()))?;
        Ok(lock)
    }

    /// A temporary folder beside the finished programs, removed when dropped.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        tempfile::tempdir_in(&self.folder).when(|| format!("create a folder in {}", self.folder.display()))
    }

    /// Moves the finished program into place atomically.
    pub(crate) fn publish(&self, finished: &Path, name: &str) -> Result<()> {
        fs::rename(finished, self.path(name)).when(|| format!("move {} into the cache", finished.display()))
    }
}

/// A folder in the user's cache for builds that all clones share, with its lock: other processes wait until it is dropped.
///
/// # Errors
/// When it cannot be created or locked.
pub fn shared_build(name: &str) -> Result<(PathBuf, File)> {
    let cache = Cache::keyed(name, &[])?;
    let lock = cache.lock()?;
    Ok((cache.folder, lock))
}

/// The cache folder of this user, by the platform's convention.
fn user_cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let home = std::env::home_dir()
        .ok_or_else(|| Error::Invalid("no home folder: set HOME or XDG_CACHE_HOME".into()))?;
    Ok(home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }))
}

/// A digest of platform and inputs; each length is hashed, too, so that ("ab", "c") and ("a", "bc") differ.
fn key(inputs: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for input in inputs {
        digest.update(input.len().to_be_bytes());
        digest.update(input);
    }
    let digest = hex(&digest.finalize());
    format!("{}-{}-{digest:.12}", std::env::consts::OS, std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_every_input() {
        let keys = [key(&[b"ab", b"c"]), key(&[b"a", b"bc"]), key(&[b"ab", b"d"]), key(&[b"ab"])];
        for (place, one) in keys.iter().enumerate() {
            assert!(!keys[place + 1..].contains(one), "{one} twice");
        }
    }

    #[test]
    fn the_key_stays_for_the_same_inputs() {
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
    }

    #[test]
    fn a_program_is_there_only_after_it_was_published() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::at(home.path());
        let scratch = cache.scratch().unwrap();
        let half = scratch.path().join("etcd");
        fs::write(&half, "program").unwrap();
        assert!(!cache.has("etcd"));
        cache.publish(&half, "etcd").unwrap();
        assert!(cache.has("etcd"));
        assert!(!half.exists());
    }
}
