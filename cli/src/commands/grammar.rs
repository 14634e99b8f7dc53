//! The grammar of the subcommands.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser};

use super::outcome::Outcome;
use super::{
    cert, create, edit, git, inspect, keys, lint, reencrypt, seal_paths, set, status, tips, unseal_files,
    unset, verify,
};
use crate::error::Error;
use crate::escape;
use crate::flags::CommandLine;

/// The words after `kubeseal`.
#[derive(Debug, Parser)]
#[command(name = "kubeseal", disable_help_subcommand = true)]
pub(crate) enum Grammar {
    /// Write a new SealedSecret, from prompts, files or random values
    #[command(subcommand)]
    Create(Box<create::Verb>),
    Seal(Box<seal_paths::SealPaths>),
    Set(Box<set::Set>),
    Unset(unset::Unset),
    Edit(Box<edit::Edit>),
    Inspect(inspect::Inspect),
    Lint(lint::Lint),
    Verify(Box<verify::Verify>),
    Reencrypt(Box<reencrypt::Reencrypt>),
    Status(Box<status::Status>),
    Unseal(Box<unseal_files::UnsealFiles>),
    /// Show, merge and check SealedSecrets item by item in a clone
    #[command(subcommand)]
    Git(git::Verb),
    /// List, rotate, back up and revoke the sealing keys of a cluster
    #[command(subcommand, after_help = KEYS_EXAMPLES)]
    Keys(keys::Verb),
    /// Fetch or show the public certificate that seals
    #[command(subcommand, after_help = CERT_EXAMPLES)]
    Cert(cert::Verb),
}

const KEYS_EXAMPLES: &str = "\
Examples:
  kubeseal keys list                               the phase of each key, and the items that need it
  kubeseal keys rotate --wait                      request a new key, which then seals
  kubeseal keys backup -o sealing-keys.yaml        save all private keys to a file that only you can read
  kubeseal keys restore sealing-keys.yaml          restore the keys that the cluster does not have
  kubeseal keys revoke NAME                        the key may have leaked
  kubeseal keys retire NAME                        the key is no longer needed";

const CERT_EXAMPLES: &str = "\
Examples:
  kubeseal cert fetch -w cluster.pem               keep the certificate for --cert
  kubeseal cert show                               how long is the cluster's certificate valid?";

/// Parses and runs a subcommand.
///
/// # Errors
/// [`Error::Subcommand`] when the grammar refuses the words; else the error of the verb.
pub(super) fn run(words: &[String]) -> Result<Outcome, Error> {
    let grammar = |words: &[String]| {
        Grammar::try_parse_from(std::iter::once("kubeseal").chain(words.iter().map(String::as_str)))
    };
    let with_hint = |error| match words.first().map(String::as_str) {
        Some("set") => set::with_hint(error),
        Some("create") => create::with_hint(error, words),
        _ => error,
    };
    let refused = |error| without_word(with_hint(tips::with_tip(error, words)), words);
    run_verb(&parsed(&verb_first(words), grammar).map_err(refused)?).map_err(Error::with_address)
}

/// Runs a verb.
///
/// # Errors
/// The error of the verb.
fn run_verb(grammar: &Grammar) -> Result<Outcome, Error> {
    match grammar {
        Grammar::Create(verb) => create::run(verb),
        Grammar::Seal(seal) => seal.run(),
        Grammar::Set(set) => set.run(),
        Grammar::Unset(unset) => unset.run(),
        Grammar::Edit(edit) => edit.run(),
        Grammar::Inspect(inspect) => inspect.run(),
        Grammar::Status(status) => return status.run(),
        Grammar::Unseal(unseal) => unseal.run(),
        Grammar::Lint(lint) => return lint.run(),
        Grammar::Verify(verify) => return verify.run(),
        Grammar::Reencrypt(reencrypt) => return reencrypt.run(),
        Grammar::Git(verb) => git::run(verb),
        Grammar::Keys(verb) => keys::run(verb),
        Grammar::Cert(verb) => cert::run(verb),
    }?;
    Ok(Outcome::Success)
}

/// Refuses a word too many without quoting it: it may be a value. An unknown flag is quoted.
fn without_word(error: clap::Error, words: &[String]) -> Error {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word))
            if error.kind() == ErrorKind::UnknownArgument && !word.starts_with('-') =>
        {
            let verb = words.first().map_or("", String::as_str);
            let further = if words.iter().take(2).eq(["cert", "show"]) {
                "; for the certificate in a file use --cert FILE"
            } else {
                ""
            };
            Error::Argument(format!(
                "there is an argument too many, which is not shown, since it may be a value; kubeseal {verb} --help shows the arguments{further}"
            ))
        }
        _ => error.into(),
    }
}

/// Parses the words. Errors of clap quote them, so a failed parse is repeated with the escaped words.
///
/// # Errors
/// When the grammar refuses the words.
pub(super) fn parsed<T>(
    words: &[String],
    parse: impl Fn(&[String]) -> Result<T, clap::Error>,
) -> Result<T, clap::Error> {
    parse(words).map_err(|error| {
        let escaped: Vec<String> = words.iter().map(|word| escape::line(word)).collect();
        parse(&escaped).err().unwrap_or(error)
    })
}

/// Moves flags between noun and verb behind the verb.
fn verb_first(words: &[String]) -> Vec<String> {
    let verbs = Grammar::command();
    let verbs = words.first().and_then(|noun| verbs.find_subcommand(noun)).into_iter();
    let verbs: Vec<&str> =
        verbs.flat_map(|noun| noun.get_subcommands().map(clap::Command::get_name)).collect();
    match CommandLine::parse(words.iter().skip(1).cloned(), &verbs) {
        Ok(line) if !line.subcommand.is_empty() => {
            words.iter().take(1).cloned().chain(line.subcommand_words()).collect()
        }
        _ => words.to_vec(),
    }
}
