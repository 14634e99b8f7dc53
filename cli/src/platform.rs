//! Functions that differ between operating systems.

use std::fs::Metadata;
use std::path::Path;

/// Copies owner and group of the replaced file to the new one, as far as the system permits.
#[cfg(unix)]
pub(crate) fn copy_owner(before: &Metadata, path: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    // Only root may change the owner; every user may set a group that they belong to.
    if chown(path, Some(before.uid()), Some(before.gid())).is_err() {
        let _ = chown(path, None, Some(before.gid()));
    }
}

/// Does nothing: a file belongs to the user who creates it.
#[cfg(not(unix))]
pub(crate) fn copy_owner(_before: &Metadata, _path: &Path) {}
