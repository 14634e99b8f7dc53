//! Git, as this program runs it.

use std::process::{Command, Output};

use crate::error::Error;

/// A command of Git that runs no program named by a repository: a folder of a work tree may look like a bare repository, with a
/// configuration of whoever committed it, and programs in it would run for everybody who only checks a file.
pub(crate) fn command() -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "safe.bareRepository=explicit", "-c", "core.fsmonitor=false"]);
    // A missing object is not fetched: the configuration names the program that would do so.
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
    command
}

/// A failure of Git, in its own words.
pub(crate) fn failed(text: &str) -> Error {
    Error::Git(text.trim().to_owned())
}

/// A failure to start Git.
pub(crate) fn not_started(cause: &std::io::Error) -> Error {
    failed(&format!("git: {cause}"))
}

/// Runs Git in the current folder.
///
/// # Errors
/// When Git is not installed.
pub(crate) fn run(arguments: &[&str]) -> Result<Output, Error> {
    command().args(arguments).output().map_err(|cause| not_started(&cause))
}

/// Runs Git in the current folder and returns its output.
///
/// # Errors
/// When Git is not installed or fails, with its own words.
pub(crate) fn output(arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = run(arguments)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed(&String::from_utf8_lossy(&output.stderr)))
    }
}
