//! `completion`: a script that completes flags in a shell.

use clap_complete::Shell;

use crate::commands::grammar::parsed;
use crate::error::Error;
use crate::{help, io};

/// # Errors
/// When the words after `completion` are not one of bash, zsh and fish, or stdout cannot be written.
pub(super) fn run(words: &[String]) -> Result<(), Error> {
    let command = help::completion().bin_name("kubeseal completion");
    let matches = parsed(words, |words| command.clone().try_get_matches_from(words))?;
    let shell = match matches.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "kubeseal", &mut script);
    io::write(None, &script)
}
