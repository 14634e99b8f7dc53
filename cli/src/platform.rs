//! The one door to what differs between systems.

use std::fs::Metadata;
use std::path::Path;

/// Gives a new file the owner of the one that it replaces, where the system lets us.
#[cfg(unix)]
pub(crate) fn copy_owner(before: &Metadata, path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    // Only root may give files away; a group that we belong to is kept in any case.
    if chown(path, Some(before.uid()), Some(before.gid())).is_err() {
        let _ = chown(path, None, Some(before.gid()));
    }
}

/// Nothing to do: files belong to who makes them.
#[cfg(not(unix))]
pub(crate) fn copy_owner(_before: &Metadata, _path: &Path) {}
