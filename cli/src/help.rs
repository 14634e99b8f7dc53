//! The help: grouped, with examples. Also the shape of the command for completions and the man page.

use clap::builder::ValueHint;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::commands::Grammar;
use crate::escape;
use crate::flags::{FLAGS, Flag, Group};

const INTRODUCTION: &str = "\
Seals Kubernetes Secrets so that they can be kept in Git: reads Secrets (YAML or JSON) from
stdin or -f, encrypts each item with the certificate of the cluster's sealed-secrets
controller, and prints SealedSecrets. Only that controller can decrypt them.";

const EXAMPLES: &str =
    "  kubectl create secret generic db --dry-run=client --from-literal=password=x -o yaml \\
    | kubeseal -n shop -w db.yaml                  seal with the certificate of the cluster
  kubeseal --fetch-cert > cluster.pem              keep the certificate
  kubeseal --cert cluster.pem -f secret.yaml -w db.yaml
                                                   seal without access to the cluster
  kubeseal --cert cluster.pem --merge-into db.yaml < more.yaml
                                                   add or replace items of a file, in place
  echo -n x | kubeseal --raw --cert cluster.pem -n shop --name db
                                                   encrypt one value
  kubeseal --validate < db.yaml                    can the controller decrypt it?
  kubeseal --re-encrypt -f db.yaml                 encrypt again with the newest key, in place
  kubeseal --recovery-unseal --recovery-private-key backup.yaml < db.yaml
                                                   decrypt without a cluster, from a backup of the keys";

const SUBCOMMANDS: &str =
    "  kubeseal keys list|rotate|backup|restore|revoke|retire
                                                   see, rotate and save the sealing keys; keys --help says more
  kubeseal cert fetch|show                         the certificate that seals; cert --help says more
  kubeseal completion bash|zsh|fish                print a completion script for the shell
  kubeseal man                                     print the manual page";

const ENVIRONMENT: &str = "\
Every flag but the last group can be set by a variable: SEALED_SECRETS_CONTROLLER_NAME for
--controller-name, and so on. A flag on the command line wins.";

/// The help text with a final newline.
pub(crate) fn text(program: &str) -> String {
    let mut output = format!("Usage of {}:\n\n{INTRODUCTION}\n", escape::line(program));
    for group in Group::ALL {
        output.extend(["\n", group.heading(), ":\n"]);
        for flag in FLAGS.iter().filter(|flag| flag.group == group) {
            output += &line(flag);
        }
    }
    output
        + &format!("\nExamples:\n{EXAMPLES}\n\nSubcommands:\n{SUBCOMMANDS}\n\nEnvironment:\n{ENVIRONMENT}\n")
}

fn line(flag: &Flag) -> String {
    let letter = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let shown = format!("{letter}--{} {}", flag.name, flag.value);
    format!("  {:<42} {}\n", shown.trim_end(), flag.help)
}

/// The command as clap describes it; parsing is done by [`crate::flags`].
pub(crate) fn command() -> Command {
    let man = Command::new("man")
        .about("Print the manual page, of the program or of a subcommand")
        .arg(Arg::new("subcommand").num_args(0..));
    Command::new("kubeseal")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Seals Kubernetes Secrets so that they can be kept in Git")
        .long_about(INTRODUCTION)
        .after_long_help(format!("Examples:\n{EXAMPLES}\n\nEnvironment:\n{ENVIRONMENT}"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(FLAGS.iter().map(argument))
        .subcommands(Grammar::command().get_subcommands().cloned())
        .subcommand(completion())
        .subcommand(man)
}

/// The subcommand `completion`.
pub(crate) fn completion() -> Command {
    Command::new("completion")
        .about("Print a completion script for the shell")
        .arg(Arg::new("shell").required(true).value_parser(["bash", "zsh", "fish"]))
}

/// A flag as clap describes it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_flag_once() {
        let text = text("kubeseal");
        for flag in FLAGS {
            let letter = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
            let beginning = format!("{letter}--{} ", flag.name);
            let lines = text.lines().filter(|line| line.trim_start().starts_with(&beginning));
            assert_eq!(lines.count(), 1, "{}", flag.name);
        }
    }

    #[test]
    fn every_line_of_the_examples_is_indented() {
        assert!(EXAMPLES.lines().chain(SUBCOMMANDS.lines()).all(|line| line.starts_with("  ")));
    }

    #[test]
    fn clap_accepts_the_description() {
        command().debug_assert();
    }
}
