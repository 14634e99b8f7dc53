//! Input, output and files.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Reads the file, or standard input; returns what to call it in messages, and its text.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub(crate) fn read_input(file: Option<&Path>) -> Result<(String, String)> {
    let (name, bytes) = match file {
        Some(path) => {
            let bytes = fs::read(path).map_err(|cause| Error::SecretFile(path.to_owned(), cause))?;
            (path.display().to_string(), bytes)
        }
        None => ("standard input".to_owned(), read_standard_input()?),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(_) => Err(Error::NotText(name)),
    }
}

fn read_standard_input() -> Result<Vec<u8>> {
    if io::stdin().is_terminal() {
        tell("(tty detected: expecting a Secret as YAML or JSON on standard input; end it with ctrl-D)");
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(Error::Input)?;
    Ok(bytes)
}

/// Writes the text to the file, which is replaced as a whole or not at all, or to standard output.
///
/// # Errors
/// When it cannot be written; an existing file is then as it was.
pub(crate) fn write_output(file: Option<&Path>, text: &str) -> Result<()> {
    match file {
        Some(path) => replace(path, text).map_err(|cause| Error::Write(path.to_owned(), cause)),
        None => print(text),
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    fs::set_permissions(file.path(), permissions(path)?)?;
    file.persist(path)?;
    Ok(())
}

/// Those of the file that is replaced, else what any new file of this user gets.
fn permissions(path: &Path) -> io::Result<fs::Permissions> {
    if let Ok(present) = fs::metadata(path) {
        return Ok(present.permissions());
    }
    // A SealedSecret is public: the umask decides, as for any file that a shell redirects to.
    let made = fs::File::create(path)?;
    let permissions = made.metadata()?.permissions();
    fs::remove_file(path)?;
    Ok(permissions)
}

/// Writes to standard output; a reader that went away is no failure of ours.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(cause) => Err(Error::Output(cause)),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard error, where possible.
pub(crate) fn tell(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}
