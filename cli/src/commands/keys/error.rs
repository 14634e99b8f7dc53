use sealed_secrets_crds::names::{DEFAULT_POLICY_NAME, SEALING_KEY_LABEL};
use serde_json::json;
use thiserror::Error;

use crate::api::Refusal;

/// Why a command on sealing keys fails. No variant carries key material.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    /// The CRD is not installed.
    #[error(
        "this cluster has no {kind} objects: their CRD is not installed. Install the CRDs of sealed-secrets-rs, or look at the key Secrets themselves:"
    )]
    UnknownKind {
        /// The kind, as in its CRD.
        kind: &'static str,
        /// The controller's namespace.
        namespace: String,
    },
    /// The user lacks a right.
    #[error("{cause}")]
    Forbidden {
        /// The API server's words.
        cause: String,
        /// The controller's namespace.
        namespace: String,
    },
    /// Another failure of a request.
    #[error("cannot {action}: {cause}")]
    Request {
        /// What was to be done.
        action: &'static str,
        /// Why it was not.
        cause: Refusal,
    },
    /// No key of that name or fingerprint.
    #[error(
        "no sealing key {name:?} in namespace {namespace}; `kubeseal keys list -o wide` shows names and fingerprints"
    )]
    NoSuchKey {
        /// What was asked for.
        name: String,
        /// The controller's namespace.
        namespace: String,
    },
    /// The beginning of several fingerprints.
    #[error("{0:?} is the beginning of more than one fingerprint; give the name or more of it")]
    Ambiguous(String),
    /// To retire the key now could undo that it is compromised.
    #[error(
        "sealing key {name} was called compromised, and the controller has not taken that up: to retire it now would hide it. Try again when `kubeseal keys list --controller-namespace {namespace}` says Compromised; if it does not within seconds, see whether the controller runs"
    )]
    CompromiseUnheeded {
        /// The key.
        name: String,
        /// The controller's namespace.
        namespace: String,
    },
    /// There is nothing to ask for a rotation.
    #[error(
        "namespace {0} has no SealingKeyPolicy \"default\", which takes the request. An empty one changes nothing else; create it with"
    )]
    NoPolicy(String),
    /// The controller makes no keys.
    #[error(
        "the SealingKeyPolicy says keySource: External, so the controller makes no keys: add a key Secret with the label {SEALING_KEY_LABEL}=active instead"
    )]
    External,
    /// The answer does not say what time it is.
    #[error("the API server's answer has no Date, which would date the request")]
    NoDate,
    /// The new key did not come in time.
    #[error(
        "the rotation requested at {requested} is not done after {seconds} s: {state}. The request stays; `kubeseal keys rotate --wait` goes on waiting for it"
    )]
    Late {
        /// The request.
        requested: String,
        /// How long we waited.
        seconds: u64,
        /// What the policy's status says.
        state: String,
    },
    /// Keys go to plain files only.
    #[error(
        "{0} is not a plain file: private keys are written to a file that only you can read, never to a terminal, a pipe or a link"
    )]
    NotAFile(String),
    /// The file is somebody's.
    #[error("{0} exists; choose another name, or replace it with --force")]
    Exists(String),
    /// Nothing to back up.
    #[error("namespace {0} has no sealing keys; name the controller's namespace with --controller-namespace")]
    NoKeys(String),
    /// Nothing to restore.
    #[error("{0} holds no key Secrets")]
    EmptyBackup(String),
    /// A key that nobody could use.
    #[error("nothing was restored, because of Secret {name}: {cause}; `--skip-invalid` restores the others")]
    Invalid {
        /// The Secret.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// Every name that we tried is taken.
    #[error("cannot find a free name for the key of Secret {0}; try again")]
    NoFreeName(String),
    /// The certificate of the cluster cannot be trusted.
    #[error(
        "no certificate is taken from the SealingKeys of namespace {namespace}: {cause}. If the controller does not put this right, take the certificate from its administrator and use --cert"
    )]
    Distrusted {
        /// The controller's namespace.
        namespace: String,
        /// What does not fit together.
        cause: String,
    },
}

/// What shows the key Secrets to who may read them.
fn key_secrets_command(namespace: &str) -> String {
    format!("  kubectl get secrets -n {namespace} -l {SEALING_KEY_LABEL} -L {SEALING_KEY_LABEL}")
}

impl KeysError {
    /// Further lines for who reads the message: commands, and what they are for.
    pub(crate) fn advice(&self) -> Vec<String> {
        match self {
            Self::UnknownKind { namespace, .. } => vec![key_secrets_command(namespace)],
            Self::Forbidden { namespace, .. } => vec![
                "Ask for a role that allows it. Who may read the key Secrets themselves can look at those:"
                    .to_owned(),
                key_secrets_command(namespace),
            ],
            Self::NoPolicy(namespace) => {
                let policy = json!({
                    "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
                    "metadata": {"name": DEFAULT_POLICY_NAME, "namespace": namespace}, "spec": {}
                });
                vec![format!("  echo '{policy}' | kubectl apply -f -")]
            }
            _ => Vec::new(),
        }
    }

    /// What a request for objects of `kind` failed with, and what to do about it.
    pub(crate) fn of(action: &'static str, kind: &'static str, namespace: &str, refusal: Refusal) -> Self {
        let namespace = namespace.to_owned();
        match refusal {
            Refusal::UnknownKind => Self::UnknownKind { kind, namespace },
            Refusal::Forbidden(cause) => Self::Forbidden { cause, namespace },
            cause => Self::Request { action, cause },
        }
    }
}
