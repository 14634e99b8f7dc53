//! The settings of a clone: the programs that show differences and merge.

use super::clone::{self, git};
use crate::error::Error;
use crate::git::{self, failed};
use crate::io;
use crate::project::display_path;

const TEXTCONV: &str = "git textconv";
const MERGE: &str = "git merge %O %A %B %L %P";

/// A setting, and the words after the program in its value.
const SETTINGS: [(&str, &str); 2] = [("diff.kubeseal.textconv", TEXTCONV), ("merge.kubeseal.driver", MERGE)];

/// Returns a command of the shell that does what Git does by itself if there is no such program: without, `git diff` would fail, and a
/// conflict would have no markers.
fn value_of(program: &str, words: &str) -> String {
    if words == TEXTCONV {
        return format!(
            "f() {{ if command -v {program} >/dev/null; then {program} {TEXTCONV} \"$1\"; else cat \"$1\"; fi; }}; f"
        );
    }
    // Git replaces what follows a percent sign.
    let program = program.replace('%', "%%");
    format!(
        "if command -v {program} >/dev/null; then {program} {MERGE}; else git merge-file --marker-size=%L -L ours -L base -L theirs %A %O %B; fi"
    )
}

/// Writes the settings. `program` is a word of the shell.
///
/// # Errors
/// When Git cannot write them.
pub(super) fn install(program: &str) -> Result<(), Error> {
    let file = display_path(&clone::path("config")?);
    for (name, words) in SETTINGS {
        git(&["config", "--local", "--replace-all", name, &value_of(program, words)])?;
        io::log(&format!("{file}: {name} runs {program} {words}"));
    }
    Ok(())
}

/// Removes the settings that this program wrote. Returns false if there are none.
///
/// # Errors
/// When Git cannot write them.
pub(super) fn uninstall() -> Result<bool, Error> {
    let file = display_path(&clone::path("config")?);
    let mut is_changed = false;
    for (name, words) in SETTINGS {
        if value(name)?.is_some_and(|value| value.contains(&format!(" {words}"))) {
            git(&["config", "--local", "--unset-all", name])?;
            io::log(&format!("{file}: {name} removed"));
            is_changed = true;
        }
    }
    Ok(is_changed)
}

/// The value of a setting of this clone.
fn value(name: &str) -> Result<Option<String>, Error> {
    let output = git::run(&["config", "--local", "--get", name])?;
    match output.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
        Some(1) => Ok(None),
        _ => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}
