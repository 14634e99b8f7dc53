//! Files, stdin and stdout: everything is read at once, and written at once or not at all.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sealed_secrets_core::manifest::{Document, documents};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::{escape, platform};

/// What was read, and what to call it in messages.
pub(crate) struct Input {
    /// The file's path, or `standard input`.
    pub(crate) name: String,
    /// Its content; may hold plaintext.
    pub(crate) text: Zeroizing<String>,
}

impl Input {
    /// Reads the file, or stdin where there is none; on a terminal says what it waits for.
    pub(crate) fn read(file: Option<&str>) -> Result<Self, Error> {
        match file {
            Some(path) => {
                let failed = |cause| Error::SecretFile { path: path.to_owned(), cause };
                Self::from_bytes(path, fs::read(path).map_err(failed)?)
            }
            None => Self::from_bytes("standard input", read_stdin("json/yaml k8s resource")?),
        }
    }

    /// Reads the file, or stdin where it is `-`.
    pub(crate) fn read_source(path: &str) -> Result<Self, Error> {
        if path == "-" { Self::read(None) } else { Self::read_target(path) }
    }

    /// Reads a file that is to be edited.
    pub(crate) fn read_target(path: &str) -> Result<Self, Error> {
        Self::from_bytes(path, read_file(path)?)
    }

    fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let name = name.to_owned();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text: Zeroizing::new(text) }),
            Err(error) => {
                let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
                Err(Error::NotUtf8 { name, line: good.filter(|byte| **byte == b'\n').count() + 1 })
            }
        }
    }

    /// Its documents.
    pub(crate) fn documents(&self) -> Result<Vec<Document>, Error> {
        documents(&self.text).map_err(|cause| Error::Manifest(self.name.clone(), cause))
    }
}

/// Reads a file whole.
pub(crate) fn read_file(path: &str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|cause| Error::File { operation: "open", path: path.to_owned(), cause })
}

/// Reads stdin whole; on a terminal says what it waits for.
pub(crate) fn read_stdin(wanted: &str) -> Result<Vec<u8>, Error> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        tell(&format!("(tty detected: expecting {wanted} in stdin)"));
    }
    let mut bytes = Vec::new();
    let failed = |cause| Error::File { operation: "read", path: "stdin".to_owned(), cause };
    stdin.lock().read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Says one line on stderr, escaped. Where nobody can hear it any more the work goes on.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape::line(line));
}

/// Writes to the file, or to stdout where there is none.
pub(crate) fn write(file: Option<&str>, bytes: &[u8]) -> Result<(), Error> {
    if let Some(path) = file {
        return replace(path, bytes, Mode::OfTheOldFile);
    }
    let mut stdout = io::stdout().lock();
    let failed = |cause| Error::File { operation: "write", path: "stdout".to_owned(), cause };
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(failed)
}

/// Writes plaintext to the file, which then only its owner may read, or to stdout where there is none.
pub(crate) fn write_plaintext(file: Option<&str>, bytes: &[u8]) -> Result<(), Error> {
    match file {
        Some(path) => replace(path, bytes, Mode::OwnerOnly),
        None => write(None, bytes),
    }
}

/// The mode of a file that replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// That of the other.
    OfTheOldFile,
    /// 0600, as a new file has it.
    OwnerOnly,
}

/// Replaces a file as a whole: readers see the old content or the new, also after a crash. Owner, where the system lets us,
/// and mode stay, unless `mode` says otherwise; a new file is readable by its owner only. A symbolic link keeps pointing at the file that is replaced, or
/// made where it leads.
pub(crate) fn replace(path: &str, bytes: &[u8], mode: Mode) -> Result<(), Error> {
    let failed = |operation| move |cause| Error::File { operation, path: path.to_owned(), cause };
    let target = target_of(Path::new(path)).map_err(failed("open"))?;
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return fs::write(&target, bytes).map_err(failed("write"));
    }
    if before.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(failed("open")(io::ErrorKind::IsADirectory.into()));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = NamedTempFile::with_prefix_in(".kubeseal-", folder).map_err(failed("open"))?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(failed("write"))?;
    if let Some(before) = before {
        platform::copy_owner(&before, new.path());
        if mode == Mode::OfTheOldFile {
            new.as_file().set_permissions(before.permissions()).map_err(failed("chmod"))?;
        }
    }
    new.persist(&target).map_err(|error| failed("rename")(error.error))?;
    Ok(())
}

/// Where a path leads, links followed, also to where nothing is yet.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(next) => target_of(&path.parent().unwrap_or(path).join(next)),
            Err(_) => Ok(path.to_owned()),
        },
        found => found,
    }
}

/// Replaces a file that was read and edited, unless somebody else changed it meanwhile.
pub(crate) fn replace_edited(before: &Input, text: &str) -> Result<(), Error> {
    if read_file(&before.name)? != before.text.as_bytes() {
        return Err(Error::Changed(before.name.clone()));
    }
    replace(&before.name, text.as_bytes(), Mode::OfTheOldFile)
}
