//! The help text: flags in groups, with examples.

use crate::escape;
use crate::flags::{FLAGS, Flag, Group};

/// The description of the program.
pub(crate) const INTRODUCTION: &str = "\
Seals Kubernetes Secrets so that they can be kept in Git: reads Secrets (YAML or JSON) from
stdin or -f, encrypts each item with the certificate of the cluster's sealed-secrets
controller, and prints SealedSecrets. Only that controller can decrypt them.";

/// Examples of common uses.
pub(crate) const EXAMPLES: &str =
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

/// The description of environment variables.
pub(crate) const ENVIRONMENT: &str = "\
Every flag but the last group can be set by a variable: SEALED_SECRETS_CONTROLLER_NAME for
--controller-name, and so on. A flag on the command line wins.";

/// Formats the help, with a final newline.
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
}
