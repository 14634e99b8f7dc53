//! The description of the command line for clap: completions, the man page and suggestions use it.

use clap::{Arg, Command, CommandFactory as _};

use super::grammar::Grammar;
use crate::flags::{FLAGS, argument};
use crate::help::{ENVIRONMENT, EXAMPLES, INTRODUCTION, PROJECT_FILE};

/// The whole command line. It is not parsed by clap, but by [`crate::flags`].
pub(crate) fn command() -> Command {
    Command::new("kubeseal")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Seals Kubernetes Secrets so that they can be kept in Git")
        .long_about(INTRODUCTION)
        .after_long_help(format!(
            "Examples:\n{EXAMPLES}\n\nProject file:\n{PROJECT_FILE}\n\nEnvironment:\n{ENVIRONMENT}"
        ))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(FLAGS.iter().map(argument))
        .subcommands(Grammar::command().get_subcommands().cloned())
        .subcommand(completion())
        .subcommand(man())
}

/// The subcommand `man`.
pub(super) fn man() -> Command {
    Command::new("man")
        .about("Print the manual page, of the program or of a subcommand")
        .arg(Arg::new("subcommand").num_args(0..).help("Words of the subcommand, such as keys list"))
}

/// The subcommand `completion`.
pub(crate) fn completion() -> Command {
    Command::new("completion")
        .about("Print a completion script for the shell")
        .arg(Arg::new("shell").required(true).value_parser(["bash", "zsh", "fish"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_description() {
        command().debug_assert();
    }
}
