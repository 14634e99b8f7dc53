//! The flags of the table as arguments of clap.

use clap::builder::ValueHint;
use clap::{Arg, ArgAction, ArgMatches};

use super::Flag;

/// Describes a flag for clap.
pub(crate) fn argument(flag: &Flag) -> Arg {
    let argument = Arg::new(flag.name).long(flag.name).help(flag.help).help_heading(flag.group.heading());
    let argument = match flag.short {
        Some(letter) => argument.short(letter),
        None => argument,
    };
    if flag.kind.is_bool() {
        return argument.action(ArgAction::SetTrue);
    }
    let hint = if flag.value.contains("FILE") { ValueHint::FilePath } else { ValueHint::Unknown };
    let argument = argument.action(ArgAction::Append).value_name(flag.value).value_hint(hint);
    match flag.name {
        "format" => argument.value_parser(["json", "yaml"]),
        "scope" => argument.value_parser(["strict", "namespace-wide", "cluster-wide"]),
        _ => argument,
    }
}

/// Writes a matched flag in the flag grammar.
pub(crate) fn words(flag: &Flag, matches: &ArgMatches) -> Vec<String> {
    if flag.kind.is_bool() {
        return vec![format!("--{}", flag.name)];
    }
    let values = matches.get_many::<String>(flag.name).into_iter().flatten();
    values.map(|value| format!("--{}={value}", flag.name)).collect()
}
