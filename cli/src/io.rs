//! Files, stdin and stdout: everything is read at once, and written at once or not at all.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use sealed_secrets_core::manifest::{Document, documents};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::{escape, interrupt, platform};

/// Text that was read, with its origin.
pub(crate) struct Input {
    /// The file's path, or `standard input`.
    pub(crate) name: String,
    /// Its content; may hold plaintext.
    pub(crate) text: Zeroizing<String>,
}

impl Input {
    /// Reads the file, or stdin without one; on a terminal prints a line that asks for the input.
    pub(crate) fn read(file: Option<&str>) -> Result<Self, Error> {
        match file {
            Some(path) => {
                let failed = |cause| Error::SecretFile { path: path.to_owned(), cause };
                Self::from_bytes(path, fs::read(path).map_err(failed)?)
            }
            None => Self::from_bytes("standard input", read_stdin("json/yaml k8s resource")?),
        }
    }

    /// Reads the file, or stdin for `-`.
    pub(crate) fn read_source(path: &str) -> Result<Self, Error> {
        if path == "-" { Self::read(None) } else { Self::read_target(path) }
    }

    /// Reads a file in order to edit it.
    pub(crate) fn read_target(path: &str) -> Result<Self, Error> {
        Self::from_bytes(path, read_file(path)?)
    }

    fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Error> {
        let name = name.to_owned();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text: Zeroizing::new(text) }),
            Err(error) => Err(Error::NotUtf8 { name, line: line_of_error(&error) }),
        }
    }

    /// Parses the documents.
    pub(crate) fn documents(&self) -> Result<Vec<Document>, Error> {
        documents(&self.text).map_err(|cause| Error::Manifest(self.name.clone(), cause))
    }
}

/// True if `TERM` names no terminal that understands escape sequences. Windows does not set it.
pub(crate) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").map_or(cfg!(unix), |term| term.is_empty() || term == "dumb")
}

/// The line of the first byte that is not UTF-8, from 1.
fn line_of_error(error: &FromUtf8Error) -> usize {
    let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
    good.filter(|byte| **byte == b'\n').count() + 1
}

/// Reads a whole file.
pub(crate) fn read_file(path: &str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|cause| Error::File { operation: "open", path: path.to_owned(), cause })
}

/// Largest file that is read as a value or because a repository names it, in bytes: there are files without an end, also behind
/// symbolic links.
pub(crate) const MAX_FILE_SIZE: u64 = 8 << 20;

/// Reads a value, or a file that a repository may name.
///
/// # Errors
/// When it cannot be read or has more than [`MAX_FILE_SIZE`] bytes.
pub(crate) fn read_named(path: &str) -> Result<Vec<u8>, Error> {
    let bytes = read_beginning(path)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE_SIZE) {
        return Ok(bytes);
    }
    Err(Error::File { operation: "read", path: path.to_owned(), cause: io::ErrorKind::FileTooLarge.into() })
}

/// Reads a file up to one byte more than [`MAX_FILE_SIZE`].
pub(crate) fn read_beginning(path: &str) -> Result<Vec<u8>, Error> {
    let failed = |operation| move |cause| Error::File { operation, path: path.to_owned(), cause };
    let file = fs::File::open(path).map_err(failed("open"))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(failed("open"))?;
    Ok(bytes)
}

/// Reads a file that a repository has or names, and not the user, who may name a pipe.
///
/// # Errors
/// When it is no regular file, cannot be read or has more than [`MAX_FILE_SIZE`] bytes.
pub(crate) fn read_found(path: &str) -> Result<Vec<u8>, Error> {
    expect_regular(path)?;
    read_named(path)
}

/// As [`read_found`]; `None` if there is no such file.
///
/// # Errors
/// As [`read_found`].
pub(crate) fn read_if_found(path: &str) -> Result<Option<Vec<u8>>, Error> {
    match read_found(path) {
        Err(Error::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Refuses what is no regular file without opening it: opening a named pipe waits for its other end.
///
/// # Errors
/// When it is no regular file, or does not exist.
pub(crate) fn expect_regular(path: &str) -> Result<(), Error> {
    let failed = |cause| Error::File { operation: "open", path: path.to_owned(), cause };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(FileProblem::NotRegular(platform::kind_of(&metadata)).of(path))
}

/// Reads stdin to its end; on a terminal prints a line that asks for the input.
pub(crate) fn read_stdin(wanted: &str) -> Result<Vec<u8>, Error> {
    read_stdin_up_to(u64::MAX, wanted)
}

/// Reads a value from stdin.
///
/// # Errors
/// When it cannot be read or has more than [`MAX_FILE_SIZE`] bytes.
pub(crate) fn read_stdin_value(wanted: &str) -> Result<Vec<u8>, Error> {
    let bytes = read_stdin_up_to(MAX_FILE_SIZE + 1, wanted)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE_SIZE) {
        return Ok(bytes);
    }
    let cause = io::ErrorKind::FileTooLarge.into();
    Err(Error::File { operation: "read", path: "stdin".to_owned(), cause })
}

fn read_stdin_up_to(limit: u64, wanted: &str) -> Result<Vec<u8>, Error> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        log(&format!("(tty detected: expecting {wanted} in stdin)"));
    }
    let mut bytes = Vec::new();
    let failed = |cause| Error::File { operation: "read", path: "stdin".to_owned(), cause };
    stdin.lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Writes a warning to stderr.
pub(crate) fn warn(text: &str) {
    log(&format!("warning: {text}"));
}

/// Writes one line to stderr, escaped. A closed stderr is not a failure.
pub(crate) fn log(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape::line(line));
}

/// Writes to the file, or to stdout without one.
pub(crate) fn write(file: Option<&str>, bytes: &[u8]) -> Result<(), Error> {
    if let Some(path) = file {
        return replace(path, bytes, Mode::OfTheOldFile);
    }
    let mut stdout = io::stdout().lock();
    let failed = |cause| Error::File { operation: "write", path: "stdout".to_owned(), cause };
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(failed)
}

/// Writes plaintext to the file with mode 0600, or to stdout without one.
pub(crate) fn write_plaintext(file: Option<&str>, bytes: &[u8]) -> Result<(), Error> {
    match file {
        Some(path) => write_for_owner(path, bytes),
        None => write(None, bytes),
    }
}

/// Writes to the file with mode 0600.
pub(crate) fn write_for_owner(path: &str, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, Mode::OwnerOnly)
}

/// The mode of a file that replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The mode of the old file.
    OfTheOldFile,
    /// 0600, the mode of a new file.
    OwnerOnly,
}

/// Replaces a file atomically: readers see the old content or the new, also after a crash. The owner stays if the system permits it, and
/// the mode by `mode`; a new file gets mode 0600. A symbolic link stays, and its target is replaced or created.
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
    interrupt::uninterrupted(|| {
        let new = complete(&target, bytes, false, failed)?;
        if let Some(before) = before {
            platform::copy_owner(&before, new.path());
            if mode == Mode::OfTheOldFile {
                new.as_file().set_permissions(before.permissions()).map_err(failed("chmod"))?;
            }
        }
        new.persist(&target).map_err(|error| failed("rename")(error.error))?;
        Ok(())
    })
}

/// Writes a new temporary file next to the target, with mode 0600 unless it holds no secret.
fn complete<F: FnOnce(io::Error) -> Error>(
    target: &Path,
    bytes: &[u8],
    is_public: bool,
    failed: impl Fn(&'static str) -> F,
) -> Result<NamedTempFile, Error> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".kubeseal-");
    if is_public {
        platform::make_public(&mut builder);
    }
    let mut new = builder.tempfile_in(folder_of(target)).map_err(failed("open"))?;
    new.write_all(bytes).and_then(|()| new.as_file().sync_all()).map_err(failed("write"))?;
    Ok(new)
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates a file that holds no secret: its mode is 0666 without the umask.
///
/// # Errors
/// When the file exists, or cannot be written.
pub(crate) fn create(path: &str, bytes: &[u8]) -> Result<(), Error> {
    create_all(&[(path, bytes)])
}

/// Creates files that hold no secret, all or none: they appear together after all are complete, and no signal ends the program in
/// between. If one cannot be created then, those that are there already are removed.
///
/// # Errors
/// As [`create`], for the first file at fault.
pub(crate) fn create_all(files: &[(&str, &[u8])]) -> Result<(), Error> {
    interrupt::uninterrupted(|| {
        let complete: Vec<_> =
            files.iter().map(|(path, bytes)| NewFile::complete(path, bytes)).collect::<Result<_, _>>()?;
        let mut created = Vec::new();
        for new in complete {
            match new.appear() {
                Ok(target) => created.push(target),
                Err(error) => {
                    // What cannot be removed is complete.
                    for target in &created {
                        let _ = fs::remove_file(target);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    })
}

/// A complete new file that is not at its place yet.
struct NewFile<'p> {
    path: &'p str,
    target: PathBuf,
    file: NamedTempFile,
}

impl<'p> NewFile<'p> {
    fn complete(path: &'p str, bytes: &[u8]) -> Result<Self, Error> {
        let failed = |operation| move |cause| Error::File { operation, path: path.to_owned(), cause };
        let target = target_of(Path::new(path)).map_err(failed("open"))?;
        let file = complete(&target, bytes, true, failed)?;
        Ok(Self { path, target, file })
    }

    /// Brings it to its place, which it returns.
    fn appear(self) -> Result<PathBuf, Error> {
        let Self { path, target, file } = self;
        match file.persist_noclobber(&target) {
            Ok(_) => Ok(target),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(FileProblem::Exists.of(path))
            }
            Err(error) => Err(Error::File { operation: "rename", path: path.to_owned(), cause: error.error }),
        }
    }
}

/// Replaces a file that holds no secret, or creates it with mode 0666 without the umask.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn replace_public(path: &str, bytes: &[u8]) -> Result<(), Error> {
    match create(path, bytes) {
        Err(Error::InFile(error)) if matches!(error.cause, FileProblem::Exists) => {
            replace(path, bytes, Mode::OfTheOldFile)
        }
        done => done,
    }
}

/// Reads a file in order to edit it in place.
///
/// # Errors
/// When it cannot be read, is not a regular file, may not be written, or is not UTF-8.
pub(crate) fn read_editable(path: &str) -> Result<Zeroizing<String>, Error> {
    let failed = |cause| Error::File { operation: "open", path: path.to_owned(), cause };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(FileProblem::Folder.of(path));
    }
    expect_regular(path)?;
    if metadata.permissions().readonly() {
        return Err(FileProblem::ReadOnly.of(path));
    }
    String::from_utf8(fs::read(path).map_err(failed)?)
        .map(Zeroizing::new)
        .map_err(|error| FileProblem::NotUtf8.at(path, line_of_error(&error)))
}

/// Replaces a file if it still has the content `before`. Returns false if it has another. An advisory lock on the folder orders those who
/// do the same.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn replace_if_unchanged(path: &str, before: &str, after: &str) -> Result<bool, Error> {
    let failed = |cause| Error::File { operation: "lock the folder of", path: path.to_owned(), cause };
    let target = target_of(Path::new(path)).map_err(failed)?;
    let _lock = platform::lock_folder(folder_of(&target)).map_err(failed)?;
    if *read_editable(path)? != before {
        return Ok(false);
    }
    replace(path, after.as_bytes(), Mode::OfTheOldFile)?;
    Ok(true)
}

/// The target of a path after all symbolic links, whether or not it exists.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(next) => target_of(&path.parent().unwrap_or(path).join(next)),
            Err(_) => Ok(path.to_owned()),
        },
        found => found,
    }
}

/// Replaces a file that was read and edited, unless it changed in the meantime.
pub(crate) fn replace_edited(before: &Input, text: &str) -> Result<(), Error> {
    if read_file(&before.name)? != before.text.as_bytes() {
        return Err(Error::Changed(before.name.clone()));
    }
    replace(&before.name, text.as_bytes(), Mode::OfTheOldFile)
}
