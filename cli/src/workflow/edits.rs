//! Edits of files in place: prepared for all files before the first is written, and repeated if a file has changed.

use zeroize::Zeroizing;

use super::values::STDIN;
use crate::error::{Error, FileProblem};
use crate::io;

/// Attempts at a file that others change all the time.
pub(crate) const ATTEMPTS: usize = 100;

/// A file and its new content, with the report.
pub(crate) struct Edited {
    pub(crate) before: Zeroizing<String>,
    pub(crate) after: String,
    /// The report, without the path; one line for each object.
    pub(crate) report: String,
}

/// Prepares the edits of all files, then writes them. A file that has changed meanwhile is prepared again. `-` is written to stdout;
/// if that fails, the files are written all the same.
///
/// # Errors
/// When a file cannot be edited or written. Unless that is found while writing, no file is changed.
pub(crate) fn write_edited(
    files: &[String],
    prepare: impl Fn(&str) -> Result<Edited, Error>,
) -> Result<(), Error> {
    let prepared: Vec<Edited> = files.iter().map(|file| prepare(file)).collect::<Result<_, _>>()?;
    let mut stdout = Ok(());
    for (file, edited) in files.iter().zip(prepared) {
        match write_prepared(file, edited, &prepare) {
            Err(error) if file == STDIN => stdout = Err(error),
            written => written?,
        }
    }
    stdout
}

/// Writes a file that is prepared; if it has changed meanwhile, it is prepared and written again.
///
/// # Errors
/// When the file cannot be prepared or written.
pub(crate) fn write_prepared(
    file: &str,
    mut edited: Edited,
    mut prepare: impl FnMut(&str) -> Result<Edited, Error>,
) -> Result<(), Error> {
    if file == STDIN {
        io::write(None, edited.after.as_bytes())?;
        io::log(&format!("{file}{}", edited.report));
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        if io::replace_if_unchanged(file, &edited.before, &edited.after)? {
            edited.report.lines().for_each(|line| io::log(&format!("{file}{line}")));
            return Ok(());
        }
        edited = prepare(file)?;
    }
    Err(FileProblem::Restless.of(file))
}
