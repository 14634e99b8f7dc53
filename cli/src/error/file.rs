//! Errors of subcommands in files of the repository.

use sealed_secrets_core::manifest::NodeError;
use sealed_secrets_crds::Scope;
use thiserror::Error;

use super::kind::Kind;

/// A problem with its file and line. Quotes no value and no invalid key.
#[derive(Debug, Error)]
#[error("{file}{}: {cause}", .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub(crate) struct FileError {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: Option<usize>,
    pub(crate) cause: FileProblem,
}

/// The reason why a file cannot be used, and what to do.
#[derive(Debug, Error)]
pub(crate) enum FileProblem {
    #[error("no such file; FILE comes first, then KEY, and the value from a prompt, stdin or --from-file")]
    NoSuchFile,
    /// A command without a value.
    #[error("no such file; FILE comes first, then KEY")]
    NoSuchFileOrKey,
    #[error("no such file; a length is written with the equals sign: --generate=LENGTH")]
    NoSuchLength,
    #[error("is a folder; name a file")]
    Folder,
    #[error("the folder does not exist; create it first")]
    NoFolder,
    /// Another kind of file, such as a named pipe, which would be waited for.
    #[error("a {0}, not a regular file; put a regular file in its place")]
    NotRegular(&'static str),
    #[error("the file is read-only; make it writable (chmod u+w)")]
    ReadOnly,
    #[error("the file exists; change one item with `kubeseal set`, or replace the whole file with --force")]
    Exists,
    #[error("not UTF-8 text; save it as UTF-8")]
    NotUtf8,
    #[error("{0}")]
    Unreadable(NodeError),
    #[error("{0}")]
    Field(String),
    #[error("{0}")]
    Edit(String),
    /// A text that was edited by hand and cannot be saved; quotes no value.
    #[error("{0}")]
    Edited(String),
    #[error("the file has changed while it was edited, at the same items or lines, and stays")]
    EditConflict,
    #[error("a Secret that is not sealed; seal it first: kubeseal seal -i FILE")]
    PlainSecret,
    #[error("no Secret in this file")]
    NoSecret,
    #[error(
        "no private key in this file; name a backup of `kubeseal keys backup`, key Secrets or a bare key"
    )]
    NoPrivateKey,
    #[error("a Secret without a private key in data[\"tls.key\"]; leave it out of the file")]
    NoKeySecret,
    #[error("no {0} in this folder")]
    EmptyFolder(&'static str),
    #[error("{0}")]
    Skipped(&'static str),
    #[error("a Secret in a Helm template; render it first, or create a SealedSecret with kubeseal create")]
    SecretInTemplate,
    #[error("another object in a List with Secrets; put it into a document of its own")]
    MixedList,
    #[error("metadata.name is missing; a SealedSecret has the name of its Secret")]
    NoSecretName,
    #[error("no SealedSecret in this file")]
    NoSealedSecret,
    #[error(
        "spec.data is the old form, one ciphertext for all values; recreate the SealedSecret with encryptedData"
    )]
    V1Data,
    #[error("several SealedSecrets in this file: {}; choose one with --name [NAMESPACE/]NAME", .0.join(", "))]
    Several(Vec<String>),
    #[error("no SealedSecret {wanted:?} in this file; available: {}", .found.join(", "))]
    NoSuchObject { wanted: String, found: Vec<String> },
    #[error("metadata.name is missing, and a strict SealedSecret decrypts only under its name")]
    NoName,
    #[error("no namespace; the scope {0} needs the one that the file is applied to: add -n NAMESPACE")]
    NoNamespace(Scope),
    #[error("a template fills in the {field}; set it with {flag}")]
    Templated { field: &'static str, flag: &'static str },
    #[error("the {field} is {found}, but {flag} says {given}; leave the flag out")]
    Contradiction { field: &'static str, flag: &'static str, found: String, given: String },
    #[error("the values have more than 1 MiB, the most that a Secret can hold")]
    TooLarge,
    #[error("no such item in {0}")]
    NoSuchItem(String),
    #[error("a template fills in a part of the spec; render it first, or decrypt one item with --item KEY")]
    TemplatedSpec,
    /// The key is not quoted, since it may be a value at the wrong place.
    #[error("no such item in {object}, which has {}; nothing was changed", or_none(.keys))]
    NoItem { object: String, keys: Vec<String> },
    #[error("the file is changed again and again while it is edited; nothing was written")]
    Restless,
}

fn or_none(keys: &[String]) -> String {
    if keys.is_empty() { "no items".to_owned() } else { keys.join(", ") }
}

impl FileError {
    pub(super) fn kind(&self) -> Kind {
        match self.cause {
            FileProblem::Several(_)
            | FileProblem::NoSuchObject { .. }
            | FileProblem::NoNamespace(_)
            | FileProblem::Templated { .. }
            | FileProblem::Contradiction { .. } => Kind::Usage,
            _ => Kind::Input,
        }
    }
}
