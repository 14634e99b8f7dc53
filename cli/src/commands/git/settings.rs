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

/// Writes the settings, and leaves those of others as they are. `program` is a word of the shell.
///
/// # Errors
/// When Git cannot write them. The second result is the error of the command if a setting has the value of somebody else.
pub(super) fn install(program: &str) -> Result<Result<(), Error>, Error> {
    let file = display_path(&clone::path("config")?);
    let mut refused = Ok(());
    for (name, words) in SETTINGS {
        if values(name)?.iter().any(|value| !is_own(value, words)) {
            refused = Err(Error::Git(format!(
                "{file}: {name} already runs another command and was not changed; remove it with `git config --unset-all {name}`, \
                 and run `kubeseal git install` again"
            )));
            continue;
        }
        git(&["config", "--local", "--replace-all", name, &value_of(program, words)])?;
        io::log(&format!("{file}: {name} runs {program} {words}"));
    }
    Ok(refused)
}

/// Removes the settings that this program wrote. Returns false if there are none.
///
/// # Errors
/// When Git cannot write them.
pub(super) fn uninstall() -> Result<bool, Error> {
    let file = display_path(&clone::path("config")?);
    let mut is_changed = false;
    for (name, words) in SETTINGS {
        let values = values(name)?;
        if !values.is_empty() && values.iter().all(|value| is_own(value, words)) {
            git(&["config", "--local", "--unset-all", name])?;
            io::log(&format!("{file}: {name} removed"));
            is_changed = true;
        }
    }
    Ok(is_changed)
}

/// True for a value that this program writes.
fn is_own(value: &str, words: &str) -> bool {
    value.contains(&format!(" {words}"))
}

/// The values of a setting of this clone.
fn values(name: &str) -> Result<Vec<String>, Error> {
    let output = git::run(&["config", "--local", "--null", "--get-all", name])?;
    match output.status.code() {
        Some(0) => {
            let values = String::from_utf8_lossy(&output.stdout);
            Ok(values.split_terminator('\0').map(str::to_owned).collect())
        }
        Some(1) => Ok(Vec::new()),
        _ => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}
