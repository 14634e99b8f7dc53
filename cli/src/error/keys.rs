//! Errors of commands on sealing keys.

use sealed_secrets_crds::names::{DEFAULT_POLICY_NAME, SEALING_KEY_LABEL};
use serde_json::json;
use thiserror::Error;

use super::Refusal;
use super::kind::Kind;
use crate::shell::{quoted, word};

/// A failed command on sealing keys. No variant carries key material.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    /// The CRD is not installed.
    #[error(
        "this cluster has no {kind} objects: their CRD is not installed. Install the CRDs of sealed-secrets-rs, or list the key Secrets:"
    )]
    UnknownKind { kind: &'static str, namespace: String },
    /// The user lacks a permission.
    #[error("{cause}")]
    Forbidden { cause: String, namespace: String },
    /// Another failed request.
    #[error("cannot {action}: {cause}")]
    Request { action: &'static str, cause: Refusal },
    /// No key has that name or fingerprint.
    #[error(
        "no sealing key {name:?} in namespace {namespace}; `kubeseal keys list -o wide` shows names and fingerprints"
    )]
    NoSuchKey { name: String, namespace: String },
    /// A prefix of more than one fingerprint.
    #[error("{0:?} matches more than one fingerprint; give more characters, or the name of the key")]
    Ambiguous(String),
    /// The controller has not recorded that the key is Compromised; retiring it now would lose the mark.
    #[error(
        "sealing key {name} was marked Compromised, but the controller has not recorded that yet, and retiring the key now would lose it. Try again when `kubeseal keys list --controller-namespace {namespace}` shows Compromised; if it does not within seconds, check that the controller is running"
    )]
    CompromiseUnrecorded { name: String, namespace: String },
    /// No `SealingKeyPolicy`, whose annotation requests a rotation.
    #[error(
        "namespace {0} has no SealingKeyPolicy \"default\", to which the request is written. An empty policy changes nothing else; create it with"
    )]
    NoPolicy(String),
    /// A controller that creates no keys.
    #[error(
        "the SealingKeyPolicy sets keySource: External, so the controller creates no keys; add a key Secret with the label {SEALING_KEY_LABEL}=active instead"
    )]
    External,
    /// A response without the header Date.
    #[error("the API server's response has no Date header, which gives the time of the request")]
    NoDate,
    /// A rotation that did not finish within `--timeout`.
    #[error(
        "the rotation requested at {requested} is not done after {seconds} s: {state}. The request remains; `kubeseal keys rotate --wait` continues to wait for it"
    )]
    Late {
        requested: String,
        seconds: u64,
        /// The state of the rotation by the policy's status.
        state: String,
    },
    /// An output for private keys that is not a plain file.
    #[error(
        "{0} is not a plain file: private keys are written to a file that only you can read, never to a terminal, a pipe or a link"
    )]
    NotAFile(String),
    /// An output file that exists.
    #[error("{0} exists; choose another name, or replace it with --force")]
    Exists(String),
    /// A namespace without sealing keys to back up.
    #[error("namespace {0} has no sealing keys; name the controller's namespace with --controller-namespace")]
    NoKeys(String),
    /// A backup without keys.
    #[error("{0} holds no key Secrets")]
    EmptyBackup(String),
    /// A Secret of a backup without a usable key.
    #[error("nothing was restored, because of Secret {name}: {cause}; `--skip-invalid` restores the others")]
    Invalid { name: String, cause: String },
    /// A key for which every tried name is taken.
    #[error("cannot find a free name for the key of Secret {0}; try again")]
    NoFreeName(String),
    /// `SealingKey`s that do not agree on a certificate.
    #[error(
        "the SealingKeys of namespace {namespace} give no certificate: {cause}. If the controller does not correct this, get the certificate from its administrator and use --cert"
    )]
    Distrusted { namespace: String, cause: String },
}

/// The command that lists the key Secrets.
fn key_secrets_command(namespace: &str) -> String {
    let namespace = word(namespace);
    format!("  kubectl get secrets -n {namespace} -l {SEALING_KEY_LABEL} -L {SEALING_KEY_LABEL}")
}

impl KeysError {
    /// The kind of this error.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::NotAFile(_) | Self::Exists(_) | Self::EmptyBackup(_) | Self::Invalid { .. } => Kind::Input,
            _ => Kind::Cluster,
        }
    }

    /// Lines that say how to go on, each a sentence or a command.
    pub(super) fn hint(&self) -> Vec<String> {
        match self {
            Self::UnknownKind { namespace, .. } => vec![key_secrets_command(namespace)],
            Self::Forbidden { namespace, .. } => vec![
                "Ask for a role that allows it. If you may read the key Secrets, list those instead:"
                    .to_owned(),
                key_secrets_command(namespace),
            ],
            Self::NoPolicy(namespace) => {
                let policy = json!({
                    "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
                    "metadata": {"name": DEFAULT_POLICY_NAME, "namespace": namespace}, "spec": {}
                });
                vec![format!("  echo {} | kubectl apply -f -", quoted(&policy.to_string()))]
            }
            _ => Vec::new(),
        }
    }

    /// Converts a failed request for objects of `kind`.
    pub(crate) fn of(action: &'static str, kind: &'static str, namespace: &str, refusal: Refusal) -> Self {
        let namespace = namespace.to_owned();
        match refusal {
            Refusal::UnknownKind => Self::UnknownKind { kind, namespace },
            Refusal::Forbidden(cause) => Self::Forbidden { cause, namespace },
            cause => Self::Request { action, cause },
        }
    }
}
