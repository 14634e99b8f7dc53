//! Functions that differ between operating systems.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::Duration;

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

/// Processor time that this thread has used, if the system reports it.
#[cfg(unix)]
pub(crate) fn processor_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
}

/// Returns `None`: the system does not report it.
#[cfg(not(unix))]
pub(crate) fn processor_time() -> Option<Duration> {
    None
}

/// True if a file that chooses certificates belongs to this user, to root, or to the owner of the folder that it is for.
#[cfg(unix)]
pub(crate) fn is_trusted(file: &Path, folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = file.metadata()?.uid();
    Ok(owner == 0 || owner == rustix::process::geteuid().as_raw() || owner == folder.metadata()?.uid())
}

/// True: files of others cannot be told from one's own.
#[cfg(not(unix))]
pub(crate) fn is_trusted(_file: &Path, _folder: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The name of a kind of files that are no regular ones.
#[cfg(unix)]
pub(crate) fn kind_of(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_dir() => "folder",
        _ if kind.is_fifo() => "named pipe",
        _ if kind.is_socket() => "socket",
        _ if kind.is_block_device() || kind.is_char_device() => "device",
        _ => "special file",
    }
}

/// The name of a kind of files that are no regular ones.
#[cfg(not(unix))]
pub(crate) fn kind_of(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "folder" } else { "special file" }
}

/// Gives a new file that holds no secret mode 0666 without the umask, instead of 0600.
#[cfg(unix)]
pub(crate) fn make_public(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

/// Does nothing: the folder decides.
#[cfg(not(unix))]
pub(crate) fn make_public(_builder: &mut tempfile::Builder<'_, '_>) {}

/// Gives a new folder mode 0700.
#[cfg(unix)]
pub(crate) fn make_private(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o700));
}

/// Does nothing: the folder around it decides.
#[cfg(not(unix))]
pub(crate) fn make_private(_builder: &mut tempfile::Builder<'_, '_>) {}

/// Creates or empties a file; a new one gets mode 0600.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// True if a folder is known to be on a file system in memory.
#[cfg(target_os = "linux")]
pub(crate) fn is_in_memory(folder: &Path) -> bool {
    const TMPFS: i128 = 0x0102_1994;
    const RAMFS: i128 = 0x8584_58f6;
    rustix::fs::statfs(folder).is_ok_and(|system| [TMPFS, RAMFS].contains(&i128::from(system.f_type)))
}

/// False: such file systems cannot be told from others.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_in_memory(_folder: &Path) -> bool {
    false
}

/// Lets those who may read a file run it, too.
#[cfg(unix)]
pub(crate) fn make_executable(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode | ((mode & 0o444) >> 2)))
}

/// Does nothing: every file can be run.
#[cfg(not(unix))]
pub(crate) fn make_executable(_file: &Path) -> io::Result<()> {
    Ok(())
}

/// Waits for the advisory lock on a folder, which the returned file holds.
#[cfg(unix)]
pub(crate) fn lock_folder(folder: &Path) -> io::Result<Option<File>> {
    let opened = File::open(folder)?;
    opened.lock()?;
    Ok(Some(opened))
}

/// Returns `None`: the system has no locks on folders.
#[cfg(not(unix))]
pub(crate) fn lock_folder(_folder: &Path) -> io::Result<Option<File>> {
    Ok(None)
}
