//! Manifests as people keep them: several YAML or JSON documents in one text.
//!
//! Reading follows kubectl: YAML 1.1 words, JSON as a subset. Where Go's reader would silently turn a text into another one,
//! reading fails and says which line to quote. Writing gives upstream's bytes. Editing
//! ([`edit`]) changes what it is asked to and nothing else. This is the only room that names a YAML crate.

mod budget;
mod content;
pub mod edit;
mod emit;
mod json;
mod node;
mod parse;
mod read;
mod scalar;
mod split;
mod write;

pub use json::{json_as_sent, json_of};
pub use node::{Node, NodeError, NodeKind};
pub use read::{
    Place, ReadError, places_of, read_sealed_secret, read_secret, read_stored_sealed_secret,
    sealed_secrets_of, secrets_of, stored_sealed_secrets_of,
};
pub use split::{Document, ManifestError, documents, only_document};
pub use write::{Format, UnknownFormat, object_text, sealed_secret_text, secret_list_text, secret_text};
