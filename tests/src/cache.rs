//! The user's cache folder: programs that were built or fetched once, shared by all clones.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, IoContext, Result};
use crate::hex::hex;

const PROJECT: &str = "sealed-secrets-rs";

/// A cache folder whose name tells everything that its content depends on.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder for `name`, whose content is determined by `inputs` and the platform. Other inputs, another folder.
    pub(crate) fn keyed(name: &str, inputs: &[&[u8]]) -> Result<Self> {
        let folder = user_cache()?.join(PROJECT).join(format!("{name}-{}", key(inputs)));
        fs::create_dir_all(&folder).when(|| format!("create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// A cache in a folder that exists.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the program `name` is, or will be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether the program `name` is there, complete.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Keeps other runs from filling the same folder until the guard is dropped (or the process ends).
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

    /// A folder beside the finished programs for work in progress; it vanishes when dropped.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        tempfile::tempdir_in(&self.folder).when(|| format!("create a folder in {}", self.folder.display()))
    }

    /// Moves the finished program into place: from now on it exists, whole.
    pub(crate) fn publish(&self, finished: &Path, name: &str) -> Result<()> {
        fs::rename(finished, self.path(name)).when(|| format!("move {} into the cache", finished.display()))
    }
}

/// A folder in the user's cache for builds that all clones share, and its lock: others wait until that is dropped.
///
/// # Errors
/// When it cannot be made or locked.
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

/// Platform and a digest of the inputs; the length in front keeps ("ab", "c") apart from ("a", "bc").
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
