//! `completion`: a script that completes flags in a shell.

use clap_complete::Shell;

use crate::error::Error;
use crate::{help, io};

/// # Errors
/// When the shell is not one of bash, zsh and fish.
pub(super) fn run(shell: Option<&str>) -> Result<(), Error> {
    let shell = match shell {
        Some("bash") => Shell::Bash,
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => return Err(Error::Shell),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "kubeseal", &mut script);
    io::write(None, &script)
}
