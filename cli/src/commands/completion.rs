//! `completion` prints a completion script for a shell.

use clap_complete::Shell;

use super::command;
use super::grammar::parsed;
use crate::error::Error;
use crate::io;

/// # Errors
/// When the words after `completion` are not one of bash, zsh and fish, or stdout cannot be written.
pub(super) fn run(words: &[String]) -> Result<(), Error> {
    let completion = command::completion().bin_name("kubeseal completion");
    let matches = parsed(words, |words| completion.clone().try_get_matches_from(words))?;
    let shell = match matches.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "kubeseal", &mut script);
    io::write(None, &script)
}
