//! Words of files that complete a command line: keys of items, and clusters of the project file.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{ArgAction, Command};
use sealed_secrets_core::manifest::Manifest;
use sealed_secrets_core::names::refused_key;

use super::command;
use crate::io;
use crate::workflow::{Destinations, STDIN};

/// Returns the words that complete the last of these, which follow the name of the program. A file that cannot be read has none. Only
/// words of letters, digits, `-`, `_`, `.` and `/` are returned, which no shell evaluates.
pub(super) fn candidates(words: &[String]) -> Vec<String> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let line = Line::of(before);
    // bash splits words at the equals sign.
    let (before, current) = match before {
        [rest @ .., sign] if sign == "=" => (rest, current.as_str()),
        _ if current == "=" => (before, ""),
        _ => (before, current.as_str()),
    };
    let (flag, lead, current) = match current.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
        Some((flag, value)) => (Some(flag.to_owned()), format!("{flag}="), value),
        None => (before.last().cloned(), String::new(), current),
    };
    let found = match flag.as_deref() {
        Some("--for") => line.clusters(),
        Some("--item") => line.keys(),
        _ if line.takes_key() && !current.starts_with('-') => line.keys(),
        _ => BTreeSet::new(),
    };
    let fits = |word: &String| word.starts_with(current) && word.chars().all(is_plain);
    found.into_iter().filter(fits).map(|word| format!("{lead}{word}")).collect()
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_./".contains(character)
}

/// The words before the one that is completed.
#[derive(Default)]
struct Line {
    verb: Option<String>,
    files: Vec<String>,
    /// True if the next word is the value of a flag.
    awaits_value: bool,
}

impl Line {
    fn of(words: &[String]) -> Self {
        let root = command();
        let (mut line, mut found) = (Self::default(), root.clone());
        for word in words {
            if line.awaits_value {
                line.awaits_value = false;
            } else if word.starts_with('-') && word != STDIN {
                line.awaits_value = takes_value(&found, word) || takes_value(&root, word);
            } else if let Some(verb) = found.find_subcommand(word).cloned() {
                line.verb.get_or_insert_with(|| word.clone());
                found = verb;
            } else {
                line.files.push(word.clone());
            }
        }
        line
    }

    /// True where the KEY of `set` and `unset` may be.
    fn takes_key(&self) -> bool {
        let is_verb = matches!(self.verb.as_deref(), Some("set" | "unset"));
        is_verb && !self.files.is_empty() && !self.awaits_value
    }

    fn keys(&self) -> BTreeSet<String> {
        let texts = self.files.iter().filter_map(|file| io::read_found(file).ok());
        let manifests = texts.filter_map(|bytes| Manifest::parse(str::from_utf8(&bytes).ok()?).ok());
        let keys = manifests.flat_map(|manifest| {
            let items = manifest.sealed_secrets().into_iter().flat_map(|object| object.items());
            items.filter(|item| !item.is_templated).map(|item| item.key).collect::<Vec<_>>()
        });
        keys.filter(|key| refused_key(key).is_none()).collect()
    }

    /// The clusters of the project that the first file belongs to, or the current folder.
    fn clusters(&self) -> BTreeSet<String> {
        let file = self.files.first().map_or("file.yaml", String::as_str);
        let destination = Destinations::default().of(Path::new(file), None);
        let project = destination.ok().and_then(|destination| destination.project().cloned());
        project.map(|project| project.cluster_names().map(str::to_owned).collect()).unwrap_or_default()
    }
}

/// True if the next word is the value of this flag.
fn takes_value(command: &Command, word: &str) -> bool {
    if word.contains('=') {
        return false;
    }
    let is_meant = |argument: &&clap::Arg| match word.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument
            .get_short()
            .is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str())),
    };
    command.get_arguments().find(is_meant).is_some_and(|argument| {
        matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
            && !argument.is_require_equals_set()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> (Option<String>, Vec<String>, bool) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let line = Line::of(&words);
        (line.verb, line.files, line.awaits_value)
    }

    #[test]
    fn files_are_the_words_that_are_neither_verbs_nor_values_of_flags() {
        let of = |verb: &str, files: &[&str], awaits| {
            (Some(verb.to_owned()), files.iter().map(|&file| file.to_owned()).collect::<Vec<_>>(), awaits)
        };
        assert_eq!(line("set a.yaml -n shop b.yaml"), of("set", &["a.yaml", "b.yaml"], false));
        assert_eq!(line("-n shop set --cert c.pem a.yaml --generate"), of("set", &["a.yaml"], false));
        assert_eq!(line("set --cert=c.pem a.yaml --for"), of("set", &["a.yaml"], true));
        assert_eq!(line("create generic db --prompt"), of("create", &["db"], true));
        assert_eq!(line("unset - "), of("unset", &["-"], false));
        assert_eq!(line(""), (None, Vec::new(), false));
    }
}
