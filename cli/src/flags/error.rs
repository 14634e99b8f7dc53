//! Errors of the flag grammar.

use thiserror::Error;

/// A command line that the grammar refuses, in pflag's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// `-h`, which asks for the help.
    #[error("help requested")]
    Help,
    /// An unknown flag.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// An unknown letter.
    #[error("unknown shorthand flag: '{letter}' in -{word}")]
    UnknownLetter { letter: char, word: String },
    /// `--=x`, `---x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// A last flag without its value.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// A value that the flag does not accept.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {cause}")]
    Value {
        value: String,
        /// The flag as the help shows it.
        flag: String,
        cause: String,
    },
}
