//! The user's editor.

use std::env;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::error::Error;
use crate::interrupt;

/// Variables that name the editor; the first that is not empty counts.
const VARIABLES: [&str; 3] = ["KUBE_EDITOR", "VISUAL", "EDITOR"];
const DEFAULT: &str = "vi";

/// An editor with its arguments.
pub(super) struct Editor {
    words: Vec<String>,
}

impl Editor {
    /// The editor of the environment. Its words are split as by a shell, but no shell runs.
    ///
    /// # Errors
    /// When the words cannot be split.
    pub(super) fn of_environment() -> Result<Self, Error> {
        let given = VARIABLES
            .iter()
            .find_map(|name| Some((name, env::var(name).ok().filter(|text| !text.trim().is_empty())?)));
        let Some((name, text)) = given else { return Ok(Self { words: vec![DEFAULT.to_owned()] }) };
        match shlex::split(&text).filter(|words| !words.is_empty()) {
            Some(words) => Ok(Self { words }),
            None => Err(Error::Editor(format!("${name}: the quotes in this command do not match: {text}"))),
        }
    }

    /// Edits a file. `name` is its name in messages.
    ///
    /// # Errors
    /// When the editor cannot start, fails, or dies of a signal.
    pub(super) fn edit(&self, file: &Path, name: &str) -> Result<(), Error> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| Error::Editor("there is no editor".to_owned()))?;
        let failed = |reason: String| {
            Error::Editor(format!("{name}: the editor {program}: {reason}; nothing was written"))
        };
        let status = interrupt::run_editor(Command::new(program).args(arguments).arg(file));
        let status = status.map_err(|cause| {
            failed(format!("{}; name another one in KUBE_EDITOR", crate::error::go_message(&cause)))
        })?;
        match status {
            status if status.success() => Ok(()),
            status if is_interrupted(status) => Err(Error::EditorInterrupted(name.to_owned())),
            status => Err(failed(status.to_string())),
        }
    }
}

#[cfg(unix)]
fn is_interrupted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    // Shells pass a SIGINT of their last command on as an exit code.
    status.signal() == Some(2) || status.code() == Some(130)
}

#[cfg(not(unix))]
fn is_interrupted(_status: ExitStatus) -> bool {
    false
}
