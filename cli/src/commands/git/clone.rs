//! The clone that the current folder belongs to.

use std::path::PathBuf;

use crate::error::Error;
use crate::git::{failed, output};

/// Runs Git in the current folder and returns its output without the final line break.
///
/// # Errors
/// When Git is not installed or fails, with its own words.
pub(super) fn git(arguments: &[&str]) -> Result<String, Error> {
    let text = String::from_utf8(output(arguments)?).map_err(|_| failed("git: the output is not UTF-8"))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Expects the current folder to be in a work tree.
///
/// # Errors
/// When it is not.
pub(super) fn expect_work_tree() -> Result<(), Error> {
    match git(&["rev-parse", "--is-inside-work-tree"])?.as_str() {
        "true" => Ok(()),
        _ => Err(failed("not inside a Git work tree")),
    }
}

/// The path of a file of the clone, as `core.hooksPath` and linked work trees have it.
///
/// # Errors
/// When Git fails.
pub(super) fn path(name: &str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(git(&["rev-parse", "--git-path", name])?);
    Ok(std::path::absolute(&path).unwrap_or(path))
}
