//! What can go wrong, told so that a person knows what to do.

use std::io;
use std::path::PathBuf;

use sealed_secrets_core::crypto::CertificateError;
use sealed_secrets_core::manifest::{ManifestError, ReadError, UnknownFormat};
use sealed_secrets_core::seal::SealError;
use thiserror::Error;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Every failure of `kubeseal`. The sentences that scripts match on are upstream's.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("Could not read file specified with --secret-file: {path}: {cause}", path = .0.display(), cause = .1)]
    SecretFile(PathBuf, io::Error),
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error("no secrets found. Ensure the input is valid and UTF-8 encoded")]
    NoSecrets,
    #[error("{0}: not UTF-8 text; save it as UTF-8")]
    NotText(String),
    #[error("{0}: {1}")]
    Manifest(String, ManifestError),
    #[error("{0}: {1}")]
    Read(String, ReadError),
    #[error(
        "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used"
    )]
    EmptyData,
    #[error("missing metadata.name in input Secret")]
    NoName,
    #[error("namespace mismatch: input secret is in namespace {0:?} but {1:?} was specified")]
    NamespaceMismatch(String, String),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    #[error("cannot write {path}: {cause}", path = .0.display(), cause = .1)]
    Write(PathBuf, io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error("cannot read the certificate {0}: {1}")]
    CertificateFile(String, String),
    #[error("{0}: {1}")]
    Certificate(String, CertificateError),
    #[error("failed to encrypt using an expired certificate on {0}")]
    Expired(String),
    #[error("cannot use the kubeconfig: {0}")]
    Kubeconfig(String),
    #[error(
        "cannot get sealed secret service: {0}.\nPlease, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller"
    )]
    Service(String),
    #[error(
        "cannot fetch certificate: {0}.\nPlease, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller"
    )]
    Fetch(String),
}
