//! Arguments that nothing understands, and what was meant by them.

use std::path::Path;

use clap::error::{ContextKind, ContextValue};

use crate::flags::{CommandLine, FLAGS, Kind, Surplus};
use crate::help;

/// The sentence about the first argument that is neither a flag, its value nor a subcommand; none where all are understood.
/// A lone `-` is standard input, which is read anyway.
pub(crate) fn complaint(line: &CommandLine) -> Option<String> {
    let reads_stdin = !line.flags.was_given("secret-file");
    let mut surplus = line.surplus.iter();
    surplus.find(|surplus| !(surplus.word == "-" && reads_stdin)).map(|surplus| meant(line, surplus))
}

fn meant(line: &CommandLine, surplus: &Surplus) -> String {
    let word = &surplus.word;
    if word == "-" {
        return "- is standard input, but -f names a file; leave one of them out".to_owned();
    }
    if is_like_a_file(word) {
        return meant_file(line, surplus);
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
    if let Some(similar) = similar_subcommand(word) {
        return format!("unknown subcommand {word:?}: did you mean {similar}?");
    }
    format!(
        "unexpected argument {word:?}: kubeseal reads standard input, or the file of -f; --help shows all flags and subcommands"
    )
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

fn similar_subcommand(word: &str) -> Option<String> {
    let error = help::command().try_get_matches_from(["kubeseal", word]).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<String> {
        let words = line.split_whitespace().map(str::to_owned);
        complaint(&CommandLine::parse(words, &["keys"]).unwrap())
    }

    #[test]
    fn every_surplus_word_is_answered_with_what_was_meant() {
        let answers = [
            ("-f one.yaml two.yaml -w x", "-f takes one file, and \"two.yaml\" is one more"),
            ("-f one.yaml -w x two.yaml", "-f takes one file, and \"two.yaml\" is one more"),
            ("--cert c one.yaml", "did you mean -f one.yaml, or < one.yaml?"),
            ("--recovery-private-key a.key b.key", "put commas between several files"),
            ("kyes list", "unknown subcommand \"kyes\": did you mean keys?"),
            ("crt", "did you mean cert?"),
            ("fetch-cert", "did you mean --fetch-cert?"),
            ("\u{2013}-format=yaml", "did you mean --format=yaml?"),
            ("--raw no", "--raw takes no value, or --raw=true or =false"),
            ("-f one.yaml -", "- is standard input, but -f names a file"),
            ("words", "unexpected argument \"words\": kubeseal reads standard input, or the file of -f"),
            ("-- --bogus", "unexpected argument \"--bogus\""),
        ];
        for (line, answer) in answers {
            let said = said(line).unwrap_or_default();
            assert!(said.contains(answer), "{line}: {said}");
        }
    }

    #[test]
    fn a_lone_dash_is_standard_input() {
        assert_eq!((said("-"), said("--cert c -"), said("--cert c --")), (None, None, None));
    }
}
