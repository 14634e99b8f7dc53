//! The pre-commit hook of a clone.

use std::fs;
use std::path::{Path, PathBuf};

use super::clone;
use crate::error::Error;
use crate::project::display_path;
use crate::{io, platform};

const HOOK: &str = "pre-commit";
/// The second line of a hook that this program wrote.
const MARK: &str = "# Installed by `kubeseal git install`, removed by `kubeseal git uninstall`.";

/// Writes the hook, which runs `kubeseal lint --staged`. `program` is a word of the shell.
///
/// # Errors
/// When another hook is installed, or it cannot be written.
pub(super) fn install(program: &str) -> Result<(), Error> {
    let hook = path()?;
    let line = format!("{program} lint --staged");
    if io::read_if_found(&display_path(&hook))?.is_some_and(|text| !is_own(&text)) {
        return Err(Error::Git(format!(
            "{}: another hook is already installed and was not changed; add this line to it: {line} || exit 1",
            display_path(&hook)
        )));
    }
    let failed = |cause| Error::File { operation: "write", path: display_path(&hook), cause };
    fs::create_dir_all(hook.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let text = format!("#!/bin/sh\n{MARK}\nexec {line}\n");
    io::replace_public(&hook.display().to_string(), text.as_bytes())?;
    platform::make_executable(&hook).map_err(failed)?;
    io::log(&format!("{}: runs {line}", display_path(&hook)));
    Ok(())
}

/// Removes the hook if this program wrote it. Returns false if there is none.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn uninstall() -> Result<bool, Error> {
    let hook = path()?;
    if !io::read_if_found(&display_path(&hook))?.is_some_and(|text| is_own(&text)) {
        return Ok(false);
    }
    let failed = |cause| Error::File { operation: "remove", path: display_path(&hook), cause };
    fs::remove_file(&hook).map_err(failed)?;
    io::log(&format!("{}: removed", display_path(&hook)));
    Ok(true)
}

fn path() -> Result<PathBuf, Error> {
    Ok(clone::path("hooks")?.join(HOOK))
}

fn is_own(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).lines().nth(1) == Some(MARK)
}
