//! The files of this repository, for the tests that read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{IoContext, Result};
use crate::output::Output;
use crate::workspace;

/// The paths from the root of the files that Git tracks or would add: those of these patterns, or all without one.
///
/// # Errors
/// When Git cannot be started or fails.
pub fn known_files(patterns: &[&str]) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Output::of(git.args(listing).args(patterns).current_dir(workspace::root()), "")?.ok()?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

/// The files with this extension at or below a path, in the order of their paths.
///
/// # Errors
/// When a folder cannot be read.
pub fn files_below(path: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let is_wanted = path.extension().is_some_and(|own| own == extension);
        return Ok(is_wanted.then(|| path.to_owned()).into_iter().collect());
    }
    let reading = || format!("read {}", path.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(path).when(reading)? {
        found.extend(files_below(&entry.when(reading)?.path(), extension)?);
    }
    found.sort();
    Ok(found)
}

/// The texts of the Rust sources below a folder of the repository, by their paths from the root.
///
/// # Errors
/// When a folder or a source cannot be read.
pub fn sources(folder: &str) -> Result<BTreeMap<PathBuf, String>> {
    let root = workspace::root();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).when(|| format!("read {}", path.display()))?;
        Ok((path.strip_prefix(&root).unwrap_or(&path).to_owned(), text))
    };
    files_below(&root.join(folder), "rs")?.into_iter().map(read).collect()
}

/// The part of a source before its unit tests.
#[must_use]
pub fn shipped(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}
