//! Errors of the test harness.

use std::io;

/// The reason why the harness could not provide something that a run needs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// The operation with its path: "read /x/y".
        action: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A program was not found and cannot be obtained; the text says what to install.
    #[error("{0}")]
    Missing(String),
    /// A program that was started ended or failed; the text ends with the tail of its output.
    #[error("{0}")]
    Program(String),
    /// A condition was not met in time.
    #[error("{what}: not within {seconds} s")]
    Deadline {
        /// The state that was waited for.
        what: String,
        /// The time limit.
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

/// Adds the name of the operation to an input or output error.
pub(crate) trait IoContext<T> {
    /// Converts the error to an [`Error`] that names the operation.
    fn when(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn when(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { action: action(), source })
    }
}
