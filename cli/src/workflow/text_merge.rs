//! Merges of texts by lines, as Git merges them.

use sealed_secrets_core::manifest::merge::{Markers, TextMerge, ThreeWay};

use crate::error::Error;
use crate::git;
use crate::private_folder::PrivateFolder;

/// Merges texts with `git merge-file`.
///
/// # Errors
/// When Git is not installed or fails.
pub(crate) fn merge_texts(versions: ThreeWay<&str>, marker_size: usize) -> Result<TextMerge, Error> {
    let ThreeWay { base, ours, theirs } = versions;
    let bytes = ThreeWay { base: base.as_bytes(), ours: ours.as_bytes(), theirs: theirs.as_bytes() };
    let (bytes, is_clean) = merge_bytes(bytes, marker_size)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::Git("git: the output is not UTF-8".to_owned()))?;
    Ok(TextMerge { text, is_clean })
}

/// Merges files with `git merge-file`. Returns the result, and true if there is no conflict.
///
/// # Errors
/// When Git is not installed or fails, as it does for files that are not text.
pub(crate) fn merge_bytes(versions: ThreeWay<&[u8]>, marker_size: usize) -> Result<(Vec<u8>, bool), Error> {
    let folder = PrivateFolder::create_in(&std::env::temp_dir())?;
    let ours = folder.write(Markers::OURS, versions.ours)?;
    let base = folder.write(Markers::BASE, versions.base)?;
    let theirs = folder.write(Markers::THEIRS, versions.theirs)?;
    let mut command = git::command();
    command.args(["merge-file", "-p", "--marker-size", &marker_size.to_string()]);
    for label in [Markers::OURS, Markers::BASE, Markers::THEIRS] {
        command.args(["-L", label]);
    }
    command.args([ours, base, theirs]);
    let output = command.output().map_err(|cause| git::not_started(&cause))?;
    match output.status.code() {
        Some(0) => Ok((output.stdout, true)),
        Some(1..=127) if !output.stdout.is_empty() => Ok((output.stdout, false)),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let errors =
                if errors.contains("binary files") { "a version is not text" } else { errors.trim() };
            Err(Error::Git(errors.to_owned()))
        }
    }
}
