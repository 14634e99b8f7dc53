//! Which cluster and controller a subcommand speaks to: the flags of the flag grammar, with their variables.

use std::env;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::flags::{CommandLine, FLAGS, Flag, Flags, Group};
use crate::help;

/// The flags of this kind that were given, or set by `SEALED_SECRETS_` variables.
#[derive(Debug)]
pub(crate) struct Connection {
    /// In the form that the rest of the program reads.
    pub(crate) flags: Flags,
}

fn taken() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| matches!(flag.group, Group::Controller | Group::Kubectl))
}

/// The short help shows what most people need.
fn argument(flag: &Flag) -> Arg {
    let is_common = flag.group == Group::Controller || matches!(flag.name, "kubeconfig" | "context");
    help::argument(flag).hide_short_help(!is_common)
}

impl Args for Connection {
    fn augment_args(command: Command) -> Command {
        command.args(taken().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Connection {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = taken().filter(|flag| matches.value_source(flag.name) == Some(ValueSource::CommandLine));
        let words = given.flat_map(|flag| words(flag, matches));
        let CommandLine { mut flags, .. } = CommandLine::parse(words, &[]).map_err(|error| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n"))
        })?;
        let of_connection = |variable: &str| {
            let name = variable.trim_start_matches("SEALED_SECRETS_").to_lowercase().replace('_', "-");
            taken().any(|flag| flag.name == name)
        };
        for ignored in flags.fill_from(|name| env::var(name).ok().filter(|_| of_connection(name))) {
            crate::io::tell(&format!("warning: {ignored}"));
        }
        Ok(Self { flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag as the flag grammar writes it.
fn words(flag: &Flag, matches: &ArgMatches) -> Vec<String> {
    if flag.kind.is_bool() {
        return vec![format!("--{}", flag.name)];
    }
    let values = matches.get_many::<String>(flag.name).into_iter().flatten();
    values.map(|value| format!("--{}={value}", flag.name)).collect()
}
