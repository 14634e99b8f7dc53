//! What goes wrong, in the words that scripts know from upstream.

use std::io;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_core::crypto::envelope::SealValueError;
use sealed_secrets_core::crypto::{
    CertificateError, FileContent, Fingerprint, KeyPairError, ParseFingerprintError,
};
use sealed_secrets_core::manifest::edit::EditError;
use sealed_secrets_core::manifest::{ManifestError, Place, ReadError, UnknownFormat};
use sealed_secrets_core::opening::OpeningError;
use sealed_secrets_core::seal::SealError;
use sealed_secrets_core::unseal::UnsealError;
use sealed_secrets_crds::{ParseScopeError, Scope};
use thiserror::Error;

use crate::commands::KeysError;

const SERVICE_FLAGS: &str = "Please, use the flag --controller-name and --controller-namespace to set up the name and namespace of the sealed secrets controller";

/// Why the command fails; printed after `error: `, exit code 1. No variant carries plaintext or key material.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// `-f` names nothing that can be read.
    #[error("Could not read file specified with --secret-file: open {path}: {}", go_words(.cause))]
    SecretFile {
        /// The file.
        path: String,
        /// The system's answer.
        cause: io::Error,
    },
    /// Something is wrong with one object of the input.
    #[error("{input}: {place}, {object}: {cause}")]
    Object {
        /// The input.
        input: String,
        /// Where it begins.
        place: Place,
        /// Namespace and name.
        object: String,
        /// What is wrong.
        cause: Box<Error>,
    },
    /// An operation on a file fails.
    #[error("{operation} {path}: {}", go_words(.cause))]
    File {
        /// `open`, `write`, `rename`.
        operation: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        cause: io::Error,
    },
    /// The input is no text.
    #[error("{name}: line {line}: not UTF-8 text; save it as UTF-8")]
    NotUtf8 {
        /// The input.
        name: String,
        /// Line of the first byte at fault, from 1.
        line: usize,
    },
    /// A document cannot be parsed.
    #[error("{0}: {1}")]
    Manifest(String, ManifestError),
    /// A document holds something else than it should.
    #[error("{0}: {1}")]
    Read(String, ReadError),
    /// Nothing to seal.
    #[error("no secrets found. Ensure the input is valid and UTF-8 encoded")]
    NoSecrets,
    /// Nothing to validate, re-encrypt or decrypt.
    #[error("{0}: no SealedSecret found in the input")]
    NoSealedSecrets(String),
    /// No items.
    #[error(
        "secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used"
    )]
    EmptyData,
    /// No name.
    #[error("missing metadata.name in input Secret")]
    NoName,
    /// `-n` says something else than the Secret.
    #[error("namespace mismatch: input secret is in namespace {input:?} but {flag:?} was specified")]
    NamespaceMismatch {
        /// What the Secret says.
        input: String,
        /// What the flag says.
        flag: String,
    },
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
    /// Several Secrets for one file.
    #[error("--merge-into takes one Secret, but the input holds {0}")]
    MergeCount(usize),
    /// The target is not one SealedSecret.
    #[error("{path}: --merge-into needs a file with one SealedSecret, but this holds {count}")]
    MergeTarget {
        /// The target.
        path: String,
        /// How many it holds.
        count: usize,
    },
    /// The target does not say for which name its items are sealed.
    #[error("{0}: metadata.name is missing in the SealedSecret to merge into")]
    MergeNoName(String),
    /// Items would not open under the target's scope.
    #[error("{path} is {scope}, so it cannot hold items of --scope {asked}; leave the flag out")]
    MergeScope {
        /// The target.
        path: String,
        /// Its scope.
        scope: Scope,
        /// The flag's.
        asked: Scope,
    },
    /// Two actions at once would need two outputs.
    #[error("--sealed-secret-file cannot be used with {0}")]
    NoOutputFile(&'static str),
    /// The word names no format.
    #[error("{0}")]
    Format(#[from] UnknownFormat),
    /// The word names no scope.
    #[error("{0}")]
    Scope(#[from] ParseScopeError),
    /// Sealing fails.
    #[error("{0}")]
    Seal(#[from] SealError),
    /// Sealing one value fails.
    #[error("{0}")]
    SealValue(#[from] SealValueError),
    /// Not a certificate.
    #[error("data does not contain any valid RSA or ECDSA certificates: {0} {1}")]
    NoCertificate(String, FileContent),
    /// A certificate that cannot seal.
    #[error("{0}: {1}")]
    Certificate(String, CertificateError),
    /// `--cert-fingerprint` is none.
    #[error("--cert-fingerprint {0:?}: {1}, as `kubeseal cert show` prints it")]
    Pin(String, ParseFingerprintError),
    /// Another certificate than `--cert-fingerprint` names.
    #[error(
        "{name} has the fingerprint {found}, but --cert-fingerprint says {wanted}; nothing is sealed with it. If the key was rotated, have the new fingerprint confirmed by who runs the controller"
    )]
    OtherFingerprint {
        /// Where the certificate is from.
        name: String,
        /// Its fingerprint.
        found: Fingerprint,
        /// The right one.
        wanted: Fingerprint,
    },
    /// The certificate's time is over.
    #[error("failed to encrypt using an expired certificate on {0}")]
    ExpiredCertificate(String),
    /// The address of a certificate cannot be used.
    #[error("Get {url:?}: {cause}")]
    Url {
        /// The address.
        url: String,
        /// Why.
        cause: String,
    },
    /// The server has no certificate there.
    #[error("cannot fetch {url:?}: {status}")]
    UrlStatus {
        /// The address.
        url: String,
        /// Its answer.
        status: http::StatusCode,
    },
    /// The kubeconfig cannot be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// A command that is to say who the user is is not there.
    #[error("getting credentials: exec: executable {name} not found, which the kubeconfig names to get them")]
    MissingPlugin {
        /// The command.
        name: String,
        /// The kubeconfig's `installHint`.
        hint: String,
    },
    /// `--request-timeout`.
    #[error(
        "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"
    )]
    Timeout,
    /// The controller's Service cannot be found.
    #[error("cannot get sealed secret service: {cause}.")]
    Service {
        /// The API server's words, or why there are none.
        cause: String,
        /// Whether there is no Service of that name.
        is_missing: bool,
    },
    /// The controller's certificate cannot be fetched.
    #[error("cannot fetch certificate: {0}")]
    FetchCertificate(String),
    /// The controller cannot decrypt it.
    #[error("unable to decrypt sealed secret: {0}")]
    CannotDecrypt(String),
    /// The controller gives no verdict.
    #[error("cannot validate sealed secret: {0}")]
    Validate(String),
    /// The controller cannot decrypt it.
    #[error("unable to rotate secret")]
    CannotRotate,
    /// The controller gives no new items.
    #[error("cannot re-encrypt secret: {0}")]
    ReEncrypt(String),
    /// A private-key file.
    #[error("{path}: {cause}")]
    PrivateKey {
        /// The file.
        path: String,
        /// What is wrong.
        cause: KeyPairError,
    },
    /// `--recovery-unseal` alone.
    #[error(
        "no key could decrypt secret, because none is given: say where the private keys are with --recovery-private-key FILE"
    )]
    NoRecoveryKey,
    /// `--recovery-private-key` alone.
    #[error("--recovery-private-key has no effect without --recovery-unseal; add that flag to decrypt")]
    KeyWithoutRecovery,
    /// A key Secret without key.
    #[error("secret must contain a 'tls.data' key")]
    KeySecret,
    /// Decrypting fails; the advice is the rest of several lines.
    #[error("{}", lines(.0).into_iter().next().unwrap_or_default())]
    Unseal(#[from] UnsealError),
    /// The file cannot be edited without touching more than it should.
    #[error("{0}: {1}")]
    Edit(String, EditError),
    /// The file is not what it was when it was read.
    #[error("{0}: the file changed while it was being edited; nothing was written, try again")]
    Changed(String),
    /// The subcommand grammar is not followed, or its help is wanted; exit code 2 or 0.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// Sealing keys as objects.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A subcommand that is not known.
    #[error(
        "no manual page for {0:?}; there are: man, man keys, man keys list and so on, man cert, man cert fetch, man cert show"
    )]
    NoManualPage(String),
}

impl Error {
    /// Further lines for who reads the message, each a sentence or command of its own.
    pub(crate) fn advice(&self) -> Vec<String> {
        match self {
            Self::Service { .. } => vec![SERVICE_FLAGS.to_owned()],
            Self::MissingPlugin { hint, .. } => hint.lines().map(|line| format!("  {line}")).collect(),
            Self::Unseal(error) => lines(error).into_iter().skip(1).collect(),
            Self::Keys(error) => error.advice(),
            Self::Object { cause, .. } => cause.advice(),
            _ => Vec::new(),
        }
    }

    /// The same, about the object of this name at this place of an input.
    pub(crate) fn at(self, input: &str, place: Place, metadata: &ObjectMeta) -> Self {
        let named = [metadata.namespace.as_deref(), metadata.name.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        let object = if named.is_empty() { "an object without a name".to_owned() } else { named.join("/") };
        Self::Object { input: input.to_owned(), place, object, cause: Box::new(self) }
    }
}

/// At least one.
fn lines(error: &UnsealError) -> Vec<String> {
    match error {
        UnsealError::Opening(OpeningError::Items(items)) => items.lines(),
        other => vec![other.to_string()],
    }
}

/// The system's words as Go prints them.
pub(crate) fn go_words(cause: &io::Error) -> String {
    let text = cause.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
