//! Manifests: several YAML or JSON documents in one text.
//!
//! Reading follows kubectl: YAML 1.1 scalars, JSON as a subset. If Go's reader would silently change a text, reading fails and
//! reports the line to quote. Writing produces upstream's bytes. Editing ([`edit`]) applies the requested changes and nothing
//! else. This is the only module that uses a YAML crate.

mod budget;
mod conflict;
mod content;
pub mod edit;
mod edit_error;
mod edited_text;
mod editor_text;
mod emit;
mod fields;
mod json;
mod mask;
pub mod merge;
mod node;
mod parse;
mod place;
mod plain;
mod read;
pub mod receipts;
mod remove;
mod scalar;
mod sealed;
mod sensitive_text;
mod span;
mod split;
mod summary;
mod texts;
mod write;

pub(crate) use conflict::conflict_line;
pub use edited_text::{EditedError, EditedText, HEADER_MARK, NewValue};
pub use editor_text::EditorText;
pub use json::{json_as_sent, json_of};
pub use node::{Node, NodeError, NodeKind};
pub use plain::{
    PlainSecret, PlainSecrets, PlainSecretsError, SecretDocument, mentions_kind, plain_secrets,
    replace_documents,
};
pub use read::{
    Position, ReadError, positions_of, read_sealed_secret, read_secret, read_stored_sealed_secret,
    sealed_secrets_of, secrets_of, stored_sealed_secrets_of,
};
pub use remove::{Removal, remove};
pub use sealed::{Field, FileObject, Item, Manifest, Part, SealedObject, parts};
pub use sensitive_text::SensitiveText;
pub use split::{Document, ManifestError, documents, only_document};
pub use summary::with_summaries;
pub use write::{Format, UnknownFormat, object_text, sealed_secret_text, secret_list_text, secret_text};
