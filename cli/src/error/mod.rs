//! Errors, in the words that scripts know from upstream.

mod chain;
mod file;
mod keys;
mod kind;
mod located;
mod refusal;

use std::io;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_core::crypto::envelope::SealValueError;
use sealed_secrets_core::crypto::{
    CertificateError, FileContent, Fingerprint, KeyPairError, ParseFingerprintError,
};
use sealed_secrets_core::decryption::DecryptionError;
use sealed_secrets_core::manifest::edit::EditError;
use sealed_secrets_core::manifest::{ManifestError, Position, ReadError, UnknownFormat};
use sealed_secrets_core::seal::SealError;
use sealed_secrets_core::unseal::UnsealError;
use sealed_secrets_crds::{ParseScopeError, Scope};
use thiserror::Error;

pub(crate) use chain::error_chain;
pub(crate) use file::{FileError, FileProblem};
pub(crate) use keys::KeysError;
use kind::Kind;
pub(crate) use refusal::Refusal;

use crate::flags::UsageError;

const SERVICE_FLAGS: &str = "Please, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller";

/// A failure of the command; printed after `error: `. No variant carries plaintext or key material.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The file of `-f` cannot be read.
    #[error("Could not read file specified with --secret-file: open {path}: {}", go_message(.cause))]
    SecretFile { path: String, cause: io::Error },
    /// An error in one object of the input.
    #[error("{input}: {place}, {object}: {cause}")]
    Object { input: String, place: Position, object: String, cause: Box<Error> },
    /// A failed operation on a file or stream.
    #[error("{operation} {path}: {}", go_message(.cause))]
    File {
        /// `open`, `write`, `rename`.
        operation: &'static str,
        path: String,
        cause: io::Error,
    },
    /// Input that is not UTF-8.
    #[error("{name}: line {line}: not UTF-8 text; save it as UTF-8")]
    NotUtf8 {
        name: String,
        /// Line of the first byte at fault, from 1.
        line: usize,
    },
    /// A document that cannot be parsed.
    #[error("{0}: {1}")]
    Manifest(String, ManifestError),
    /// A document of another kind or shape than expected.
    #[error("{0}: {1}")]
    Read(String, ReadError),
    /// Input without Secrets.
    #[error("no secrets found. Ensure the input is valid and UTF-8 encoded")]
    NoSecrets,
    /// Input without SealedSecrets.
    #[error("{0}: no SealedSecret found in the input")]
    NoSealedSecrets(String),
    /// A Secret without items.
    #[error(
        "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used"
    )]
    EmptyData,
    /// A Secret without a name.
    #[error("missing metadata.name in input Secret")]
    NoName,
    /// A Secret of another namespace than `-n`.
    #[error("namespace mismatch: input secret is in namespace {input:?} but {flag:?} was specified")]
    NamespaceMismatch { input: String, flag: String },
    /// `--from-file` alone.
    #[error("--from-file requires --raw")]
    FromFileWithoutRaw,
    /// Several `--from-file`.
    #[error("must provide only one --from-file when encrypting a single item with --raw")]
    SeveralFromFile,
    /// `--raw` without a namespace.
    #[error("must provide the --namespace flag with --raw and --scope {0}")]
    RawNamespace(&'static str),
    /// `--raw` without a name.
    #[error("must provide the --name flag with --raw and --scope strict")]
    RawName,
    /// More or less than one Secret for `--merge-into`.
    #[error("--merge-into takes one Secret, but the input holds {0}")]
    MergeCount(usize),
    /// A target of `--merge-into` that is not one SealedSecret.
    #[error("{path}: --merge-into needs a file with one SealedSecret, but this holds {count}")]
    MergeTarget { path: String, count: usize },
    /// A target without a name.
    #[error("{0}: metadata.name is missing in the SealedSecret to merge into")]
    MergeNoName(String),
    /// Another scope than that of the target, under which the items could not be decrypted.
    #[error("{path} is {scope}, so it cannot hold items of --scope {asked}; leave the flag out")]
    MergeScope { path: String, scope: Scope, asked: Scope },
    /// `-w` with a command that does not write there.
    #[error("--sealed-secret-file cannot be used with {0}")]
    NoOutputFile(&'static str),
    /// An unknown output format.
    #[error("{0}")]
    Format(#[from] UnknownFormat),
    /// An unknown scope.
    #[error("{0}")]
    Scope(#[from] ParseScopeError),
    /// A Secret that cannot be sealed.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// A value that cannot be sealed.
    #[error("{0}")]
    SealValue(#[from] SealValueError),
    /// A file without a certificate.
    #[error("data does not contain any valid RSA or ECDSA certificates: {0} {1}")]
    NoCertificate(String, FileContent),
    /// A certificate that cannot seal.
    #[error("{0}: {1}")]
    Certificate(String, CertificateError),
    /// A value of `--cert-fingerprint` that is not a fingerprint.
    #[error("--cert-fingerprint {0:?}: {1}, as `kubeseal cert show` prints it")]
    Pin(String, ParseFingerprintError),
    /// A certificate that does not match `--cert-fingerprint`.
    #[error(
        "{name} has the fingerprint {found}, but {pinned_by} says {wanted}; kubeseal does not seal with it. If the key was rotated, have the controller's administrator confirm the new fingerprint"
    )]
    OtherFingerprint {
        name: String,
        found: Fingerprint,
        wanted: Fingerprint,
        /// The flag or file with the pin.
        pinned_by: String,
    },
    /// An expired certificate.
    #[error("failed to encrypt using an expired certificate on {0}")]
    ExpiredCertificate(String),
    /// A URL that cannot be fetched.
    #[error("Get {url:?}: {cause}")]
    Url { url: String, cause: String },
    /// A URL that the server answers without success.
    #[error("cannot fetch {url:?}: {status}")]
    UrlStatus { url: String, status: http::StatusCode },
    /// A kubeconfig that cannot be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// An exec plugin that is not installed.
    #[error(
        "getting credentials: exec: executable {name} not found, although the kubeconfig uses it for credentials"
    )]
    MissingPlugin {
        name: String,
        /// The kubeconfig's `installHint`.
        hint: String,
    },
    /// A duration that cannot be parsed.
    #[error(
        "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
    )]
    Timeout,
    /// The controller's Service cannot be read.
    #[error("cannot get sealed secret service: {cause}.")]
    Service {
        cause: String,
        /// `true` if the API server knows no Service of that name.
        is_missing: bool,
        /// The request, if the cause does not name it.
        request: Option<String>,
    },
    /// The controller's certificate cannot be fetched.
    #[error("cannot fetch certificate: {cause}")]
    FetchCertificate {
        cause: String,
        /// The request, if the cause does not name it.
        request: Option<String>,
        hint: Option<String>,
    },
    /// The controller cannot decrypt a SealedSecret.
    #[error("unable to decrypt sealed secret: {0}")]
    CannotDecrypt(String),
    /// Validation without a verdict of the controller.
    #[error("cannot validate sealed secret: {0}")]
    Validate(String),
    /// The controller cannot decrypt a SealedSecret, so it cannot re-encrypt it.
    #[error("unable to rotate secret")]
    CannotRotate,
    /// Re-encryption without new items of the controller.
    #[error("cannot re-encrypt secret: {0}")]
    ReEncrypt(String),
    /// A file without a usable private key.
    #[error("{path}: {cause}")]
    PrivateKey { path: String, cause: KeyPairError },
    /// `--recovery-unseal` alone.
    #[error(
        "no key could decrypt secret, because none is given: name the file of private keys with --recovery-private-key FILE"
    )]
    NoRecoveryKey,
    /// `--recovery-private-key` alone.
    #[error("--recovery-private-key has no effect without --recovery-unseal; add that flag to decrypt")]
    KeyWithoutRecovery,
    /// A key Secret without a key.
    #[error("secret must contain a 'tls.data' key")]
    KeySecret,
    /// A SealedSecret that cannot be decrypted; the hint is the rest of several lines.
    #[error("{}", lines(.0).into_iter().next().unwrap_or_default())]
    Unseal(#[from] UnsealError),
    /// A file that cannot be edited without changing other parts of it.
    #[error("{0}: {1}")]
    Edit(String, EditError),
    /// A file that changed after it was read.
    #[error("{0}: the file changed while it was being edited; nothing was written, try again")]
    Changed(String),
    /// A file that a subcommand cannot use.
    #[error(transparent)]
    InFile(#[from] FileError),
    /// A project file that cannot be used.
    #[error("{file}:{line}: {cause}")]
    Project { file: String, line: usize, cause: String },
    /// A prompt without a terminal.
    #[error("{0}: there is no terminal to ask for the value on; take it from stdin or a file")]
    NoTerminal(String),
    /// An empty answer to a prompt.
    #[error("{0}: the answer is empty; nothing was written")]
    EmptyAnswer(String),
    /// A failure of Git, or a clone that cannot be changed.
    #[error("{0}")]
    Git(String),
    /// An editor that failed.
    #[error("{0}")]
    Editor(String),
    /// An editor that SIGINT ended.
    #[error("{0}: the editor was interrupted; nothing was written")]
    EditorInterrupted(String),
    /// SealedSecrets that cannot be read from the API server.
    #[error("cannot read SealedSecrets from {url}: {cause}")]
    ReadObjects { url: String, cause: String },
    /// A value that cannot be used; names its key or flag, not the value.
    #[error("{0}")]
    Value(String),
    /// A word of the command line that is not UTF-8, or neither a flag, its value nor a subcommand.
    #[error("{0}")]
    Argument(String),
    /// A word that the flag grammar refuses.
    #[error(transparent)]
    Syntax(#[from] UsageError),
    /// A subcommand that its grammar refuses, or a request for its help; clap decides the exit code.
    #[error(transparent)]
    Subcommand(#[from] clap::Error),
    /// The program itself cannot work: no async runtime, no manual page.
    #[error("{operation}: {}", go_message(.cause))]
    Internal { operation: &'static str, cause: io::Error },
    /// A failed command on sealing keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A manual page that does not exist.
    #[error(
        "no manual page for {0:?}; available: man, man keys, man keys list and so on, man cert, man cert fetch, man cert show"
    )]
    NoManualPage(String),
}

impl Error {
    /// The kind of this error.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Argument(_)
            | Self::NoTerminal(_)
            | Self::Project { .. }
            | Self::Syntax(_)
            | Self::Subcommand(_) => Kind::Usage,
            Self::InFile(error) => error.kind(),
            Self::Format(_)
            | Self::FromFileWithoutRaw
            | Self::KeyWithoutRecovery
            | Self::Kubeconfig(_)
            | Self::MissingPlugin { .. }
            | Self::NoManualPage(_)
            | Self::NoOutputFile(_)
            | Self::NoRecoveryKey
            | Self::Pin(..)
            | Self::RawName
            | Self::RawNamespace(_)
            | Self::Scope(_)
            | Self::SeveralFromFile
            | Self::Timeout => Kind::Configuration,
            Self::CannotDecrypt(_)
            | Self::CannotRotate
            | Self::FetchCertificate { .. }
            | Self::ReEncrypt(_)
            | Self::ReadObjects { .. }
            | Self::Service { .. }
            | Self::Validate(_) => Kind::Cluster,
            Self::Internal { .. } => Kind::Internal,
            Self::EditorInterrupted(_) => Kind::Interrupted,
            Self::Object { cause, .. } => cause.kind(),
            Self::Keys(error) => error.kind(),
            _ => Kind::Input,
        }
    }

    /// Lines that say how to go on, each a sentence or a command.
    pub(crate) fn hint(&self) -> Vec<String> {
        match self {
            Self::Service { .. } => vec![SERVICE_FLAGS.to_owned()],
            Self::FetchCertificate { hint, .. } => hint.iter().cloned().collect(),
            Self::MissingPlugin { hint, .. } => hint.lines().map(|line| format!("  {line}")).collect(),
            Self::Unseal(error) => lines(error).into_iter().skip(1).collect(),
            Self::Keys(error) => error.hint(),
            Self::Object { cause, .. } => cause.hint(),
            _ => Vec::new(),
        }
    }

    /// Adds the address to a failed request, which the flag grammar reports in upstream's words.
    pub(crate) fn with_address(self) -> Self {
        match self {
            Self::Service { cause, is_missing, request: Some(request) } => {
                Self::Service { cause: format!("{request}: {cause}"), is_missing, request: None }
            }
            Self::FetchCertificate { cause, request: Some(request), hint } => {
                Self::FetchCertificate { cause: format!("{request}: {cause}"), request: None, hint }
            }
            other => other,
        }
    }

    /// Adds the input, the place in it and the object that the error is about.
    pub(crate) fn at(self, input: &str, place: Position, metadata: &ObjectMeta) -> Self {
        let named = [metadata.namespace.as_deref(), metadata.name.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        let object = if named.is_empty() { "an object without a name".to_owned() } else { named.join("/") };
        Self::Object { input: input.to_owned(), place, object, cause: Box::new(self) }
    }
}

/// The lines of the message; at least one.
fn lines(error: &UnsealError) -> Vec<String> {
    match error {
        UnsealError::Decryption(DecryptionError::Items(items)) => items.lines(),
        other => vec![other.to_string()],
    }
}

/// The message of a system error as Go prints it.
pub(crate) fn go_message(cause: &io::Error) -> String {
    let text = cause.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
