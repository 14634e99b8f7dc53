//! The grammar of subcommands: it applies from the word on that is one.

use clap::{CommandFactory as _, Parser};

use super::{cert, keys};
use crate::error::Error;
use crate::escape;
use crate::flags::CommandLine;

/// The words after `kubeseal`.
#[derive(Debug, Parser)]
#[command(name = "kubeseal", disable_help_subcommand = true)]
pub(crate) enum Grammar {
    /// See, rotate, back up and revoke the sealing keys of a cluster
    #[command(subcommand, after_help = KEYS_EXAMPLES)]
    Keys(keys::Verb),
    /// The public certificate that seals: fetch it, look at it
    #[command(subcommand, after_help = CERT_EXAMPLES)]
    Cert(cert::Verb),
}

const KEYS_EXAMPLES: &str = "\
Examples:
  kubeseal keys list                               what each key does, and how many items still need it
  kubeseal keys rotate --wait                      a new key, which then seals
  kubeseal keys backup -o sealing-keys.yaml        all private keys, to a file that only you can read
  kubeseal keys restore sealing-keys.yaml          put back what the cluster does not have
  kubeseal keys revoke NAME                        somebody else may have the key
  kubeseal keys retire NAME                        the key is not needed any more";

const CERT_EXAMPLES: &str = "\
Examples:
  kubeseal cert fetch -w cluster.pem               keep the certificate for --cert
  kubeseal cert show                               how long is the cluster's certificate valid?";

/// Runs what the words say.
///
/// # Errors
/// [`Error::Usage`] when they do not follow the grammar; else whatever the verb says.
pub(super) fn run(words: Vec<String>) -> Result<(), Error> {
    let grammar = |words: &[String]| {
        Grammar::try_parse_from(std::iter::once("kubeseal").chain(words.iter().map(String::as_str)))
    };
    match parsed(&verb_first(words), grammar)? {
        Grammar::Keys(verb) => keys::run(&verb),
        Grammar::Cert(verb) => cert::run(&verb),
    }
}

/// What `parse` makes of the words. Its errors quote them, so these are about the words as they may be shown.
///
/// # Errors
/// When the words do not follow the grammar.
pub(super) fn parsed<T>(
    words: &[String],
    parse: impl Fn(&[String]) -> Result<T, clap::Error>,
) -> Result<T, clap::Error> {
    parse(words).map_err(|error| {
        let shown: Vec<String> = words.iter().map(|word| escape::line(word)).collect();
        parse(&shown).err().unwrap_or(error)
    })
}

/// The words with flags between the noun and its verb moved behind the verb.
fn verb_first(words: Vec<String>) -> Vec<String> {
    let verbs = Grammar::command();
    let verbs = words.first().and_then(|noun| verbs.find_subcommand(noun)).into_iter();
    let verbs: Vec<&str> =
        verbs.flat_map(|noun| noun.get_subcommands().map(clap::Command::get_name)).collect();
    match CommandLine::parse(words.iter().skip(1).cloned(), &verbs) {
        Ok(line) if !line.subcommand.is_empty() => {
            words.into_iter().take(1).chain(line.subcommand_words()).collect()
        }
        _ => words,
    }
}
