//! Unexpected arguments, with a suggestion for each.

use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue};

use super::command_line::Surplus;
use super::{CommandLine, FLAGS, Kind};

/// Words of other tools, and the subcommands that do the same.
const SYNONYMS: [(&[&str], &str); 10] = [
    (&["new", "generic", "secret"], "create"),
    (&["encrypt"], "seal"),
    (&["add", "put", "update", "replace"], "set"),
    (&["delete", "remove", "rm"], "unset"),
    (&["show", "view", "get", "describe", "cat"], "inspect"),
    (&["check", "scan"], "lint"),
    (&["decrypt", "open", "unlock"], "unseal"),
    (&["re-encrypt", "renew"], "reencrypt"),
    (&["validate"], "verify"),
    (&["install", "uninstall", "diff", "merge", "textconv", "hook"], "git install"),
];

/// Describes the first argument that is neither a flag, its value nor a subcommand. A lone `-` is standard input, which is read
/// anyway.
pub(crate) fn complaint(line: &CommandLine, command: fn() -> Command) -> Option<String> {
    let reads_stdin = !line.flags.was_given("secret-file");
    let mut surplus = line.surplus.iter();
    surplus.find(|surplus| !(surplus.word == "-" && reads_stdin)).map(|surplus| meant(line, surplus, command))
}

fn meant(line: &CommandLine, surplus: &Surplus, command: fn() -> Command) -> String {
    let word = &surplus.word;
    if word == "-" {
        return "- is standard input, but -f names a file; leave one of them out".to_owned();
    }
    if is_like_a_file(word) {
        return meant_file(line, surplus);
    }
    if let Some(verb) = meant_verb(word) {
        return verb;
    }
    let bare = word.trim_start_matches(['-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}']);
    let name = bare.split('=').next().unwrap_or_default();
    if FLAGS.iter().any(|flag| flag.name == name) {
        return format!("unexpected argument {word:?}: did you mean --{bare}?");
    }
    if let Some(flag) = surplus.after.filter(|flag| flag.kind.is_bool()) {
        return format!(
            "unexpected argument {word:?}: --{0} takes no value, or --{0}=true or =false",
            flag.name
        );
    }
    if let Some(similar) = similar_subcommand(word, command) {
        return format!("{word:?} is not a subcommand; did you mean \"kubeseal {similar}\"?");
    }
    format!(
        "unexpected argument {word:?}: kubeseal reads standard input, or the file of -f; --help shows all flags and subcommands"
    )
}

/// The suggestion for a word of another tool, or for a flag of this one without its dashes, in place of a subcommand.
fn meant_verb(word: &str) -> Option<String> {
    let not_a_subcommand = format!("{word:?} is not a subcommand; did you mean");
    if word == "rotate" {
        return Some(format!(
            "{not_a_subcommand} \"kubeseal reencrypt\" (files) or \"kubeseal keys rotate\" (a new key)?"
        ));
    }
    let (_, verb) = SYNONYMS.iter().find(|(words, _)| words.contains(&word))?;
    Some(format!("{not_a_subcommand} \"kubeseal {verb}\"?"))
}

/// The suggestion for the first word of a line that is refused for a flag of the subcommand that is meant.
pub(crate) fn mistaken_verb(word: &str, command: fn() -> Command) -> Option<String> {
    let is_flag = word.starts_with('-') || is_like_a_file(word);
    if is_flag {
        return None;
    }
    meant_verb(word).or_else(|| {
        let similar = similar_subcommand(word, command)?;
        Some(format!("{word:?} is not a subcommand; did you mean \"kubeseal {similar}\"?"))
    })
}

fn is_like_a_file(word: &str) -> bool {
    let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json" | "pem" | "crt" | "key")) || Path::new(word).exists()
}

fn meant_file(line: &CommandLine, surplus: &Surplus) -> String {
    let word = &surplus.word;
    if let Some(flag) = surplus.after.filter(|flag| flag.kind == Kind::List) {
        return format!("{word:?} follows the value of --{}; put commas between several files", flag.name);
    }
    if line.flags.was_given("secret-file") {
        return format!(
            "-f takes one file, and {word:?} is one more, as when the shell expands -f *.yaml; run kubeseal for each file"
        );
    }
    format!(
        "{word:?} would not be read, as kubeseal reads standard input: did you mean -f {word}, or < {word}?"
    )
}

fn similar_subcommand(word: &str, command: fn() -> Command) -> Option<String> {
    let error = command().try_get_matches_from(["kubeseal", word]).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(name) => Some(name.clone()),
        // The best one is last.
        ContextValue::Strings(names) => names.last().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: &str) -> Option<String> {
        let words = line.split_whitespace().map(str::to_owned);
        complaint(&CommandLine::parse(words, &["keys"]).unwrap(), crate::commands::command)
    }

    #[test]
    fn every_surplus_word_is_answered_with_a_suggestion() {
        let answers = [
            ("-f one.yaml two.yaml -w x", "-f takes one file, and \"two.yaml\" is one more"),
            ("-f one.yaml -w x two.yaml", "-f takes one file, and \"two.yaml\" is one more"),
            ("--cert c one.yaml", "did you mean -f one.yaml, or < one.yaml?"),
            ("--recovery-private-key a.key b.key", "put commas between several files"),
            ("kyes list", "\"kyes\" is not a subcommand; did you mean \"kubeseal keys\"?"),
            ("crt", "did you mean \"kubeseal cert\"?"),
            ("craete generic db", "did you mean \"kubeseal create\"?"),
            ("delete db.yaml key", "\"delete\" is not a subcommand; did you mean \"kubeseal unset\"?"),
            ("decrypt db.yaml", "did you mean \"kubeseal unseal\"?"),
            ("install", "did you mean \"kubeseal git install\"?"),
            ("re-encrypt .", "\"re-encrypt\" is not a subcommand; did you mean \"kubeseal reencrypt\"?"),
            ("validate db.yaml", "\"validate\" is not a subcommand; did you mean \"kubeseal verify\"?"),
            ("rotate", "\"kubeseal reencrypt\" (files) or \"kubeseal keys rotate\" (a new key)?"),
            ("fetch-cert", "did you mean --fetch-cert?"),
            ("\u{2013}-format=yaml", "did you mean --format=yaml?"),
            ("--raw no", "--raw takes no value, or --raw=true or =false"),
            ("-f one.yaml -", "- is standard input, but -f names a file"),
            ("words", "unexpected argument \"words\": kubeseal reads standard input, or the file of -f"),
            ("-- --bogus", "unexpected argument \"--bogus\""),
        ];
        for (line, expected) in answers {
            let answer = answer(line).unwrap_or_default();
            assert!(answer.contains(expected), "{line}: {answer}");
        }
    }

    #[test]
    fn a_lone_dash_is_standard_input() {
        assert_eq!((answer("-"), answer("--cert c -"), answer("--cert c --")), (None, None, None));
    }
}
