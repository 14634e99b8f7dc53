//! Errors of edits.

use thiserror::Error;

use super::split::ManifestError;

/// The text cannot be edited. Contains paths and lines, never values.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EditError {
    /// The text cannot be parsed.
    #[error("{0}")]
    Unreadable(#[from] ManifestError),
    /// The object does not exist.
    #[error("there is no object number {0}")]
    NoObject(usize),
    /// The node is used more than once, or has an anchor or a tag.
    #[error("line {line}: {path} is an alias, or has an anchor or tag; write it out first")]
    Shared {
        /// Keys joined by dots.
        path: String,
        /// Line of the whole text, from 1.
        line: usize,
    },
    /// The path leads to a node of another kind.
    #[error("line {line}: {path} does not have the form that kubeseal writes")]
    Unexpected {
        /// Keys joined by dots.
        path: String,
        /// Line of the whole text, from 1.
        line: usize,
    },
    /// The edited text would not have the expected content.
    #[error("the file is written in a way that cannot be edited safely; nothing was changed")]
    Unsafe,
}
