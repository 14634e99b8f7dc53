//! What can go wrong before a test has begun.

use std::io;

/// Why the harness could not provide what a run needs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, with the path: "read /x/y".
        action: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A program is nowhere and no way is left to get it; the text says what to install.
    #[error("{0}")]
    Missing(String),
    /// A program that was started ended or failed; the text ends with the tail of its output.
    #[error("{0}")]
    Program(String),
    /// Something did not become true in time.
    #[error("{what}: not within {seconds} s")]
    Deadline {
        /// The state that was waited for.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The API server refused a request.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// A file of this repository or a setting is not as expected.
    #[error("{0}")]
    Invalid(String),
}

/// The result of a harness operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Names what was tried when an input or output operation fails.
pub(crate) trait IoContext<T> {
    /// Turns the bare error into one that says what was tried.
    fn when(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn when(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { action: action(), source })
    }
}
