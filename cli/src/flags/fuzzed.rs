//! Body of the fuzz target `flags`.

use super::{CommandLine, FLAGS, Kind, complaint};
use crate::commands::{SUBCOMMANDS, command};
use crate::escape;

/// Parses words, with NUL between them, as a command line. It is refused with a message without control characters, or the words
/// that its subcommand receives have the same meaning.
///
/// # Panics
/// If neither is true.
pub fn flags(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    match CommandLine::parse(text.split('\0').map(str::to_owned), &SUBCOMMANDS) {
        Ok(line) => {
            let escaped = complaint(&line, command).map(|complaint| escape::line(&complaint));
            assert!(!escaped.is_some_and(|escaped| escaped.contains(char::is_control)));
            assert_passed_on(line);
        }
        Err(error) => assert!(!escape::line(&error.to_string()).contains(char::is_control), "{error}"),
    }
}

/// Asserts that each flag before the name of a subcommand has the same values after it. No subcommand takes lists, which would be
/// split again.
fn assert_passed_on(mut line: CommandLine) {
    if FLAGS.iter().any(|flag| flag.kind == Kind::List && line.flags.was_given(flag.name)) {
        return;
    }
    line.subcommand = vec![String::new()];
    let words = line.subcommand_words();
    let again = CommandLine::parse(words.iter().skip(1).cloned(), &[]);
    let again =
        again.map(|again| CommandLine { subcommand: vec![String::new()], ..again }.subcommand_words());
    assert_eq!(again, Ok(words));
}
