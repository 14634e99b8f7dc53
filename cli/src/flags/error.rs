//! Errors of the flag grammar.

use thiserror::Error;

/// The command line does not follow the grammar; pflag's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// `-h` without being told to: not an error, help is wanted.
    #[error("help requested")]
    Help,
    /// No such flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// No such letter.
    #[error("unknown shorthand flag: '{letter}' in -{word}")]
    UnknownLetter {
        /// The letter.
        letter: char,
        /// The word it stands in.
        word: String,
    },
    /// `--=x`, `---x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The last word wants a value.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// A value that the flag does not take.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {cause}")]
    Value {
        /// The value.
        value: String,
        /// The flag as the help shows it.
        flag: String,
        /// Why.
        cause: String,
    },
}
