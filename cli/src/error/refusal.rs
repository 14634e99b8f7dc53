//! Failed requests to the API server.

use kube::core::Status;
use thiserror::Error;

use super::error_chain;

/// A failed request to the API server.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server does not know the kind: its CRD is not installed.
    #[error("the API server does not know this kind")]
    UnknownKind,
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// The user lacks a permission; the server's words name it.
    #[error("{0}")]
    Forbidden(String),
    /// The object exists, or has changed since it was read.
    #[error("{0}")]
    Conflict(String),
    /// The rest of a list is no longer available; it has to be read anew.
    #[error("{0}")]
    Expired(String),
    /// Any other failure, also a server that cannot be reached.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Other(error_chain(&error)) };
        Self::of_status(status)
    }
}

impl Refusal {
    pub(crate) fn of(code: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let plain = || Status::failure(text.trim(), "").with_code(code);
        Self::of_status(&serde_json::from_slice(body).unwrap_or_else(|_| plain()))
    }

    fn of_status(status: &Status) -> Self {
        let message = status.message.clone();
        match status.code {
            // A path that the server does not have is answered in plain text, a missing object with a Status.
            404 if status.reason == "NotFound" => Self::NotFound(message),
            404 => Self::UnknownKind,
            403 => Self::Forbidden(message),
            409 => Self::Conflict(message),
            410 => Self::Expired(message),
            code => Self::Other(format!("{message} ({code})")),
        }
    }
}
