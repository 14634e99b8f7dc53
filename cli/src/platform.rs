//! The one door to what differs between systems.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// Gives a new file the mode and, where the system lets us, the owner of the one that it replaces.
#[cfg(unix)]
pub(crate) fn copy_mode_and_owner(before: &Metadata, file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    // Only root may give files away; a group that we belong to is kept in any case.
    if chown(path, Some(before.uid()), Some(before.gid())).is_err() {
        let _ = chown(path, None, Some(before.gid()));
    }
    file.set_permissions(before.permissions())
}

/// Gives a new file the read-only flag of the one that it replaces.
#[cfg(not(unix))]
pub(crate) fn copy_mode_and_owner(before: &Metadata, file: &File, _path: &Path) -> io::Result<()> {
    file.set_permissions(before.permissions())
}
