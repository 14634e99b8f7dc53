//! Errors of a turn.

use thiserror::Error;

use crate::api::{client, refusal};

/// The reason why a turn failed; the next turn retries. No variant contains key material.
#[derive(Debug, Error)]
pub(crate) enum KeystoreError {
    #[error("key Secrets in namespace {namespace}: {}", client::describe(cause))]
    Api { namespace: String, cause: kube::Error },
    /// A write of a key Secret was refused. The message has no words of the answer: they may quote the private key.
    #[error("key Secret {namespace}/{name} cannot be written: {}", refusal::of_key_secret(cause, name))]
    Write { namespace: String, name: String, cause: kube::Error },
    #[error("cannot determine the API server's time: {}", client::describe(.0))]
    Clock(kube::Error),
    #[error("the task that reads key Secrets ended early")]
    ReadTaskEnded,
    #[error("cannot generate a key: {0}")]
    GenerationFailed(String),
    #[error(
        "no free name for a new key Secret among {0} candidates; delete unusable Secrets whose names begin with the key prefix"
    )]
    NoFreeName(u32),
    #[error(
        "key Secret {successor} has the name of the successor of {newest} but is not newer, so no new key is generated; label one of the two retired to have one generated"
    )]
    NotNewer { successor: String, newest: String },
    #[error(
        "the API server reports that the name of the new key Secret is taken, but no list contains that Secret"
    )]
    NotShown,
}
