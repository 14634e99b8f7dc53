//! The help text: subcommands, then flags in groups, each with examples.

use crate::escape;
use crate::flags::{FLAGS, Flag, Group};

/// The description of the program.
pub(crate) const INTRODUCTION: &str = "\
Seals Kubernetes Secrets so that they can be kept in Git: reads Secrets (YAML or JSON) from
stdin or -f, encrypts each item with the certificate of the cluster's sealed-secrets
controller, and prints SealedSecrets. Only that controller can decrypt them.";

/// Examples of subcommands.
const SUBCOMMAND_EXAMPLES: &str =
    "  kubeseal create generic db -n shop --prompt password -w db.yaml
                                                   ask for a value, and write a new SealedSecret
  kubeseal set db.yaml password                    replace a value; it is asked for, or read from stdin
  kubeseal lint                                    check all files below this folder for plaintext and mistakes
  kubeseal verify .                                does the cluster decrypt them?";

/// The comment behind an item.
const RECEIPTS: &str =
    "  A receipt is the comment `# kubeseal: …` behind an item: it names the key that sealed the item, and the scope,
  namespace and name that it was sealed for. lint, merges and reencrypt use it; decryption does not depend on it.";

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
    "  kubeseal create generic|tls|docker-registry NAME write a new SealedSecret; see create --help
  kubeseal seal PATH…                              turn Secrets of files into SealedSecrets; see seal --help
  kubeseal set FILE… KEY                           add or replace an item of a file, in place; see set --help
  kubeseal unset FILE… KEY                         remove an item of a file, in place
  kubeseal edit FILE                               do the same in $EDITOR
  kubeseal inspect PATH…                           show what files hold, without a key
  kubeseal lint [PATH…]                            check files for plaintext and mistakes, without a cluster
  kubeseal verify PATH…                            do files decrypt? ask the controller, or try a backup of the keys
  kubeseal reencrypt PATH…                         move stale items of files to the newest key, in place
  kubeseal status [NAME…]                          list the SealedSecrets of the cluster that need attention
  kubeseal unseal FILE… --private-key FILE         decrypt with a backup of the sealing keys
  kubeseal git install|uninstall                   show, merge and check SealedSecrets item by item in this clone
  kubeseal keys list|rotate|backup|restore|revoke|retire
                                                   list, rotate and back up the sealing keys; see keys --help
  kubeseal cert fetch|show                         the certificate that seals; see cert --help
  kubeseal completion bash|zsh|fish                print a completion script for the shell
  kubeseal man                                     print the manual page";

/// The description of the project file. The indented lines that begin with four blanks are a whole file.
pub(crate) const PROJECT_FILE: &str = "\
  The file .kubeseal.yaml at the root of a Git repository determines the certificate, and the cluster, namespace and scope
  for which the subcommands seal a file, by its path; the first rule that matches applies. All fields are optional.

    clusters:
      prod:  {certificate: clusters/prod.pem, context: prod-eu, maxAge: 40d}
      stage: {certificate: clusters/stage.pem, context: stage-eu}
    rules:
    - {path: \"**/prod/**\", cluster: prod, namespace: shop, scope: strict}
    - {path: \"**\", cluster: stage}

  A cluster may also have fingerprint, controllerNamespace and controllerName, a rule annotations and labels.";

/// The description of environment variables.
pub(crate) const ENVIRONMENT: &str = "\
Every flag but the last group can be set by a variable: SEALED_SECRETS_CONTROLLER_NAME for
--controller-name, and so on. A flag on the command line wins.";

/// Formats the help, with a final newline.
pub(crate) fn text(program: &str) -> String {
    let mut output = format!(
        "Usage of {}:\n\n{INTRODUCTION}\n\nSubcommands:\n{SUBCOMMANDS}\n\nExamples of subcommands:\n{SUBCOMMAND_EXAMPLES}\n\n\
         Receipts:\n{RECEIPTS}\n\nCompatible with the original, without a subcommand:\n",
        escape::line(program)
    );
    for group in Group::ALL {
        output.extend(["\n", group.heading(), ":\n"]);
        for flag in FLAGS.iter().filter(|flag| flag.group == group) {
            output += &line(flag);
        }
    }
    output
        + &format!(
            "\nExamples:\n{EXAMPLES}\n\nProject file:\n{PROJECT_FILE}\n\nEnvironment:\n{ENVIRONMENT}\n"
        )
}

fn line(flag: &Flag) -> String {
    let letter = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let synopsis = format!("{letter}--{} {}", flag.name, flag.value);
    format!("  {:<42} {}\n", synopsis.trim_end(), flag.help)
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
        let mut lines =
            [EXAMPLES, SUBCOMMAND_EXAMPLES, SUBCOMMANDS, RECEIPTS].iter().flat_map(|text| text.lines());
        assert!(lines.all(|line| line.starts_with("  ")));
    }
}
