//! Errors that end the controller.

use thiserror::Error;

use crate::args::ListenAddress;

/// The reason why the controller cannot start or continue.
#[derive(Debug, Error)]
pub enum StartError {
    /// The connection to the API server is not configured.
    #[error("no cluster is configured: {0}. Run in a Pod with a service account, or set --kubeconfig")]
    Configuration(String),
    /// The listen address cannot be used.
    #[error("cannot listen on {address}: {cause}. Choose another address with --{flag}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The flag of the address.
        flag: &'static str,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// The asynchronous runtime cannot start.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    /// A task that runs for the whole life of the process has ended.
    #[error("{0} stopped; the controller cannot go on without it")]
    Stopped(&'static str),
}
