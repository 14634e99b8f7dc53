//! Converts nodes to Secrets and SealedSecrets.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_crds::names::{SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec, SecretTemplate};
use thiserror::Error;

use super::node::{Node, NodeKind};
use super::scalar::{Resolved, go_text, resolve};
use super::split::Document;
use crate::decryption::{ItemError, decode};
use crate::names::{INVALID_KEY, refused_key, shown_key};

/// The object cannot be read. Names document, line and field; quotes neither a value nor the invalid key of an item.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("document {document}, line {line}: {field}{cause}")]
pub struct ReadError {
    /// Number of the document among the non-empty ones, from 1.
    pub document: usize,
    /// Line of the whole text, from 1.
    pub line: usize,
    /// Field followed by a colon and a space; empty for the object itself.
    pub field: String,
    /// Cause of the error.
    pub cause: ReadCause,
}

/// Cause of an error in a field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadCause {
    /// The object is of another kind.
    #[error("expected a {expected} but found {found}; take it out of the input")]
    Kind {
        /// The expected kind, with its apiVersion.
        expected: &'static str,
        /// The kind in the text.
        found: String,
    },
    /// The object has no kind, and none of the fields of the expected one.
    #[error("this object has no kind; set kind: {0}, or take it out of the input")]
    NoKind(&'static str),
    /// The value is not a mapping.
    #[error("must be a mapping of keys to values")]
    NotMapping,
    /// The value is not a list.
    #[error("must be a list")]
    NotList,
    /// The value is not a string.
    #[error("must be text")]
    NotText,
    /// The value is not a boolean.
    #[error("must be true or false")]
    NotBool,
    /// Go's readers would read a different text.
    #[error("this unquoted value is not a string in YAML 1.1 (kubectl); quote it")]
    Unquoted,
    /// An item of `encryptedData` cannot be ciphertext. The message begins with upstream's wording.
    #[error(
        "no key could decrypt secret ({key}): an item must be the base64 text that kubeseal writes, but this is {found}"
    )]
    NotCiphertext {
        /// Key of the item, as it is shown.
        key: String,
        /// Kind of the value.
        found: &'static str,
    },
    /// The value is a number or boolean instead of base64.
    #[error("must be base64 text; put it in quotes")]
    UnquotedBase64,
    /// The value is not base64; Go's wording.
    #[error("illegal base64 data at input byte {0}; text that is not base64 goes under stringData")]
    NotBase64(usize),
}

/// Reads all Secrets of these documents. Each document is one Secret or a List of them.
///
/// # Errors
/// Returns an error for the first object that is not a Secret, or has an invalid field.
pub fn secrets_of(documents: &[Document]) -> Result<Vec<Secret>, ReadError> {
    let objects = documents.iter().flat_map(objects);
    objects.map(|object| read_secret(object.document, object.node)).collect()
}

/// Reads all SealedSecrets of these documents, in the order of the text. Each document is one SealedSecret or a List of them.
///
/// # Errors
/// Returns an error for the first object that is not a SealedSecret, or has an invalid field.
pub fn sealed_secrets_of(documents: &[Document]) -> Result<Vec<SealedSecret>, ReadError> {
    let objects = documents.iter().flat_map(objects);
    objects.map(|object| read_sealed_secret(object.document, object.node)).collect()
}

/// Reads all SealedSecrets of these documents by [`read_stored_sealed_secret`].
///
/// # Errors
/// Returns an error for the first object that is not a SealedSecret, or has another invalid field.
pub fn stored_sealed_secrets_of(documents: &[Document]) -> Result<Vec<SealedSecret>, ReadError> {
    let objects = documents.iter().flat_map(objects);
    objects.map(|object| read_stored_sealed_secret(object.document, object.node)).collect()
}

/// An object and its document.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) document: &'a Document,
    pub(super) node: &'a Node,
}

/// Returns the position of each object of these documents, in the order of the text.
#[must_use]
pub fn positions_of(documents: &[Document]) -> Vec<Position> {
    let objects = documents.iter().flat_map(objects);
    objects
        .map(|Object { document, node }| Position { document: document.number, line: document.line_of(node) })
        .collect()
}

/// Position of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of its document among the non-empty ones, from 1.
    pub document: usize,
    /// Line of the whole text, from 1.
    pub line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "document {}, line {}", self.document, self.line)
    }
}

/// Returns the objects of a document: the root, or the items of a List. A root with items and without a kind is a List.
pub(super) fn objects(document: &Document) -> Vec<Object<'_>> {
    let kind = document.root.get("kind").and_then(Node::text).unwrap_or_default();
    match document.root.get("items").map(|items| &items.kind) {
        Some(NodeKind::Sequence(items)) if kind.is_empty() || kind.ends_with("List") => {
            items.iter().map(|node| Object { document, node }).collect()
        }
        _ => vec![Object { document, node: &document.root }],
    }
}

/// Reads one Secret. Only fields that sealing uses are read; others may have any value.
///
/// # Errors
/// Returns an error if the object is of another kind, or a field has a value of the wrong type.
pub fn read_secret(document: &Document, node: &Node) -> Result<Secret, ReadError> {
    let reader = Reader { document };
    reader.expect_kind(node, "Secret", "v1", "Secret (apiVersion v1)")?;
    reader.expect_field_or_kind(node, "Secret", &["data", "stringData"])?;
    Ok(Secret {
        metadata: reader.metadata(node, "metadata")?.unwrap_or_default(),
        type_: reader.text_at(node, "type", "type")?,
        immutable: reader.bool_at(node, "immutable", "immutable")?,
        data: reader.map_at(node, "data", "data", Reader::bytes)?,
        string_data: reader.map_at(node, "stringData", "stringData", Reader::text)?,
    })
}

/// Reads one SealedSecret without its `status`.
///
/// # Errors
/// Returns an error if the object is of another kind, or a field has a value of the wrong type.
pub fn read_sealed_secret(document: &Document, node: &Node) -> Result<SealedSecret, ReadError> {
    sealed_secret(document, node, NoText::IsAnError)
}

/// Reads one SealedSecret as the controller reads stored objects: an item that is not a string becomes empty, so that it fails to
/// decrypt. `status` is not read.
///
/// # Errors
/// Returns an error if the object is of another kind, or another field has a value of the wrong type.
pub fn read_stored_sealed_secret(document: &Document, node: &Node) -> Result<SealedSecret, ReadError> {
    sealed_secret(document, node, NoText::IsEmpty)
}

/// Handling of items of `encryptedData` that are not strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoText {
    IsAnError,
    IsEmpty,
}

fn sealed_secret(document: &Document, node: &Node, no_text: NoText) -> Result<SealedSecret, ReadError> {
    let reader = Reader { document };
    let expected = "SealedSecret (apiVersion bitnami.com/v1alpha1)";
    reader.expect_kind(node, SEALED_SECRET_KIND, SEALED_SECRET_API_VERSION, expected)?;
    reader.expect_field_or_kind(node, SEALED_SECRET_KIND, &["spec"])?;
    let metadata = reader.metadata(node, "metadata")?.unwrap_or_default();
    let absent = Node::absent();
    let spec = reader.section(node, "spec", "spec")?.unwrap_or(&absent);
    let data = match spec.get("data") {
        Some(data) => reader.optional(data, "spec.data", Reader::bytes)?,
        None => None,
    };
    let template = reader.section(spec, "template", "spec.template")?.unwrap_or(&absent);
    let encrypted_data = reader.encrypted_data(spec, no_text)?;
    let spec = SealedSecretSpec { template: reader.template(template)?, data, encrypted_data };
    let mut sealed = SealedSecret::new("", spec);
    sealed.metadata = metadata;
    Ok(sealed)
}

struct Reader<'a> {
    document: &'a Document,
}

impl Reader<'_> {
    fn error(&self, node: &Node, field: &str, cause: ReadCause) -> ReadError {
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        let line = self.document.line_of(node);
        ReadError { document: self.document.number, line, field, cause }
    }

    fn expect_kind(
        &self,
        node: &Node,
        kind: &str,
        api_version: &str,
        expected: &'static str,
    ) -> Result<(), ReadError> {
        if !matches!(node.kind, NodeKind::Mapping(_)) {
            let found = "something that is not an object".to_owned();
            return Err(self.error(node, "", ReadCause::Kind { expected, found }));
        }
        let word = |key: &str| node.get(key).and_then(Node::text).filter(|text| !text.is_empty());
        // Upstream checks neither kind nor apiVersion, so an absent one is not an error.
        let right = word("kind").is_none_or(|found| found == kind)
            && word("apiVersion").is_none_or(|found| found == api_version);
        if right {
            return Ok(());
        }
        let found = match (word("kind"), word("apiVersion")) {
            (Some(kind), Some(version)) => format!("a {kind} (apiVersion {version})"),
            (Some(kind), None) => format!("a {kind}"),
            (None, version) => format!("an object of apiVersion {}", version.unwrap_or_default()),
        };
        Err(self.error(node, "", ReadCause::Kind { expected, found }))
    }

    /// Refuses an object with neither a kind nor one of these fields. Upstream requires no kind, and accepts an empty object.
    fn expect_field_or_kind(
        &self,
        node: &Node,
        kind: &'static str,
        fields: &[&str],
    ) -> Result<(), ReadError> {
        let has_kind = node.get("kind").and_then(Node::text).is_some_and(|kind| !kind.is_empty());
        if has_kind || fields.iter().any(|field| node.get(field).is_some()) {
            return Ok(());
        }
        Err(self.error(node, "", ReadCause::NoKind(kind)))
    }

    fn metadata(&self, parent: &Node, field: &str) -> Result<Option<ObjectMeta>, ReadError> {
        let Some(node) = self.section(parent, "metadata", field)? else { return Ok(None) };
        let text = |key: &str| self.text_at(node, key, &format!("{field}.{key}"));
        let texts = |key: &str| self.map_at(node, key, &format!("{field}.{key}"), Self::text);
        Ok(Some(ObjectMeta {
            name: text("name")?,
            generate_name: text("generateName")?,
            namespace: text("namespace")?,
            labels: texts("labels")?,
            annotations: texts("annotations")?,
            ..ObjectMeta::default()
        }))
    }

    fn template(&self, node: &Node) -> Result<SecretTemplate, ReadError> {
        let nullable = |reader: &Self, node: &Node, field: &str| reader.optional(node, field, Self::text);
        Ok(SecretTemplate {
            metadata: self.metadata(node, "spec.template.metadata")?,
            type_: self.text_at(node, "type", "spec.template.type")?,
            immutable: self.bool_at(node, "immutable", "spec.template.immutable")?,
            data: self.map_at(node, "data", "spec.template.data", nullable)?,
        })
    }

    fn encrypted_data(&self, spec: &Node, no_text: NoText) -> Result<BTreeMap<String, String>, ReadError> {
        let field = "spec.encryptedData";
        let Some(items) = self.section(spec, "encryptedData", field)? else { return Ok(BTreeMap::new()) };
        let entries = items.entries().iter().map(|(key, value)| {
            let path = path_of(field, key);
            let name = self.text(key, &format!("{path}, the key itself"))?;
            match ciphertext(value) {
                Ok(text) => Ok((name, text.to_owned())),
                Err(_) if no_text == NoText::IsEmpty => Ok((name, String::new())),
                Err(found) => {
                    let key_shown = shown_key(&name).to_owned();
                    Err(self.error(key, &path, ReadCause::NotCiphertext { key: key_shown, found }))
                }
            }
        });
        entries.collect()
    }

    /// Returns the mapping at a key; `None` if it is absent or null.
    fn section<'n>(&self, parent: &'n Node, key: &str, field: &str) -> Result<Option<&'n Node>, ReadError> {
        let Some(node) = parent.get(key).filter(|node| !is_null(node)) else { return Ok(None) };
        self.mapping(node, field).map(|_| Some(node))
    }

    fn mapping<'n>(&self, node: &'n Node, field: &str) -> Result<&'n [(Node, Node)], ReadError> {
        match &node.kind {
            NodeKind::Mapping(entries) => Ok(entries),
            _ => Err(self.error(node, field, ReadCause::NotMapping)),
        }
    }

    fn map_at<T>(
        &self,
        parent: &Node,
        key: &str,
        field: &str,
        read: impl Fn(&Self, &Node, &str) -> Result<T, ReadError>,
    ) -> Result<Option<BTreeMap<String, T>>, ReadError> {
        let Some(node) = self.section(parent, key, field)? else { return Ok(None) };
        let entries = node.entries().iter().map(|(key, value)| {
            let path = path_of(field, key);
            Ok((self.text(key, &format!("{path}, the key itself"))?, read(self, value, &path)?))
        });
        entries.collect::<Result<_, _>>().map(Some)
    }

    fn optional<T>(
        &self,
        node: &Node,
        field: &str,
        read: impl Fn(&Self, &Node, &str) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        if is_null(node) { Ok(None) } else { read(self, node, field).map(Some) }
    }

    fn text_at(&self, parent: &Node, key: &str, field: &str) -> Result<Option<String>, ReadError> {
        parent.get(key).map_or(Ok(None), |node| self.optional(node, field, Self::text))
    }

    /// Returns the text of a scalar that every reader reads as the author wrote it.
    fn text(&self, node: &Node, field: &str) -> Result<String, ReadError> {
        match &node.kind {
            NodeKind::Scalar { text, plain: false } => Ok(text.to_string()),
            NodeKind::Scalar { text, plain: true } if self.document.json && &**text == "null" => {
                Ok(String::new())
            }
            NodeKind::Scalar { text, plain: true } if go_text(text) == **text => Ok(text.to_string()),
            NodeKind::Scalar { .. } => Err(self.error(node, field, ReadCause::Unquoted)),
            _ => Err(self.error(node, field, ReadCause::NotText)),
        }
    }

    fn bytes(&self, node: &Node, field: &str) -> Result<ByteString, ReadError> {
        let text = match &node.kind {
            NodeKind::Scalar { plain: true, .. } if is_null(node) => return Ok(ByteString::default()),
            NodeKind::Scalar { text, plain } if !plain || resolve(text) == Resolved::Text => text,
            NodeKind::Scalar { .. } => return Err(self.error(node, field, ReadCause::UnquotedBase64)),
            _ => return Err(self.error(node, field, ReadCause::NotText)),
        };
        decode(text).map(ByteString).map_err(|cause| {
            let at = if let ItemError::NotBase64(at) = cause { at } else { 0 };
            self.error(node, field, ReadCause::NotBase64(at))
        })
    }

    fn bool_at(&self, parent: &Node, key: &str, field: &str) -> Result<Option<bool>, ReadError> {
        let Some(node) = parent.get(key).filter(|node| !is_null(node)) else { return Ok(None) };
        match &node.kind {
            NodeKind::Scalar { text, plain: true } => match resolve(text) {
                Resolved::Bool(value) => Ok(Some(value)),
                _ => Err(self.error(node, field, ReadCause::NotBool)),
            },
            _ => Err(self.error(node, field, ReadCause::NotBool)),
        }
    }
}

/// Returns the path of an entry of a mapping for a message. The invalid key of an item is not shown: it may be a value.
fn path_of(field: &str, key: &Node) -> String {
    let key = key.text().unwrap_or_default();
    // The keys of labels and annotations have another rule.
    let is_hidden = refused_key(key).is_some() && !field.contains("metadata");
    if is_hidden { format!("{field}[{INVALID_KEY}]") } else { format!("{field}[{key:?}]") }
}

/// Returns the text of an item of `encryptedData`, or the kind of its value.
pub(super) fn ciphertext(node: &Node) -> Result<&str, &'static str> {
    match &node.kind {
        NodeKind::Mapping(_) => Err("a mapping"),
        NodeKind::Sequence(_) => Err("a list"),
        NodeKind::Scalar { text, .. } if text.is_empty() => Err("empty"),
        NodeKind::Scalar { text, plain: false } => Ok(text),
        NodeKind::Scalar { text, plain: true } => match resolve(text) {
            Resolved::Text => Ok(text),
            Resolved::Null => Err("empty"),
            Resolved::Bool(_) => Err("a boolean"),
            Resolved::Int(_) | Resolved::Float(_) => Err("a number"),
        },
    }
}

fn is_null(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::Scalar { text, plain: true } if resolve(text) == Resolved::Null)
}

#[cfg(test)]
mod tests {
    use super::super::split::documents;
    use super::*;

    fn read(text: &str) -> Result<Vec<Secret>, ReadError> {
        secrets_of(&documents(text).unwrap())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_scalar_whose_text_survives_is_taken_as_written() {
        let secrets = read("stringData:\n  port: 5432\n  flag: true\n  ratio: 0.5\n  empty:\n").unwrap();
        let items = secrets[0].string_data.clone().unwrap();
        assert_eq!((items["port"].as_str(), items["flag"].as_str()), ("5432", "true"));
        assert_eq!((items["ratio"].as_str(), items["empty"].as_str()), ("0.5", ""));
    }

    #[test]
    fn a_scalar_that_go_would_change_is_refused_by_line_and_key_without_its_value() {
        for word in ["y", "012", "1e3", "~", "1_000", "0x1f", "3.141592653589793"] {
            let error = refused(&format!("kind: Secret\nstringData:\n  a: ok\n  pin: {word}\n"));
            assert!(error.starts_with("document 1, line 4: stringData[\"pin\"]: "), "{error}");
            assert!(error.ends_with("quote it"), "{error}");
        }
        assert!(refused("stringData:\n  n: x\n").contains("stringData[\"n\"], the key itself"));
    }

    #[test]
    fn an_invalid_key_of_an_item_is_not_quoted_and_that_of_an_annotation_is() {
        for text in ["stringData: {p=hunter2: [a]}", "data: {p=hunter2: '!'}", "stringData: {p=hunter2: 012}"]
        {
            let error = refused(&format!("kind: Secret\n{text}\n"));
            assert!(error.contains("line 2: ") && error.contains("ata[(invalid key)]: "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = sealed("\n    p=hunter2: 5").unwrap_err().to_string();
        assert!(
            error.contains("no key could decrypt secret ((invalid key))") && !error.contains("hunter2"),
            "{error}"
        );
        let error = refused("kind: Secret\nmetadata: {annotations: {example.org/a: [b]}}\n");
        assert!(error.contains("metadata.annotations[\"example.org/a\"]: must be text"), "{error}");
    }

    #[test]
    fn another_kind_is_refused_by_document_and_kind() {
        let text = "kind: Secret\n---\napiVersion: v1\nkind: ConfigMap\n";
        let wanted = "document 2, line 3: expected a Secret (apiVersion v1) but found a ConfigMap (apiVersion v1); take it out of the input";
        assert_eq!(refused(text), wanted);
        assert!(refused("just text").contains("something that is not an object"));
    }

    #[test]
    fn an_object_without_kind_is_a_secret_if_it_has_items_and_else_named_by_its_place() {
        assert_eq!(read("data: {a: YQ==}").unwrap().len(), 1);
        for text in
            ["NAME: release\nSTATUS: pending-install\n", "Error from server (NotFound): no\n", "metadata: {}"]
        {
            let wanted =
                "document 2, line 3: this object has no kind; set kind: Secret, or take it out of the input";
            assert_eq!(refused(&format!("kind: Secret\n---\n{text}")), wanted, "{text}");
        }
        let sealed = sealed_secrets_of(&documents("metadata: {name: a}").unwrap()).unwrap_err();
        assert!(sealed.to_string().contains("set kind: SealedSecret"));
    }

    #[test]
    fn items_without_a_kind_around_them_are_a_list() {
        let text = "items:\n- kind: Secret\n  data: {a: YQ==}\n- data: {a: YQ==}\n";
        assert_eq!(read(text).unwrap().len(), 2);
        let places = positions_of(&documents(&format!("kind: Secret\n---\n{text}")).unwrap());
        let path: Vec<String> = places.iter().map(Position::to_string).collect();
        assert_eq!(path, ["document 1, line 1", "document 2, line 4", "document 2, line 6"]);
    }

    #[test]
    fn a_list_is_its_items_and_one_foreign_item_refuses_it() {
        let list = |kind: &str| {
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n  data: {{a: YQ==}}\n- kind: {kind}\n"
            )
        };
        assert_eq!(read(&list("Secret")).unwrap().len(), 2);
        assert!(refused(&list("Pod")).contains("line 6: expected a Secret"));
    }

    fn sealed(items: &str) -> Result<SealedSecret, ReadError> {
        let text = format!("kind: SealedSecret\nspec:\n  encryptedData:{items}\n");
        sealed_secrets_of(&documents(&text).unwrap()).map(|mut all| all.remove(0))
    }

    /// Values that are not ciphertext, and the description of their kind.
    const NO_TEXT: [(&str, &str); 12] = [
        ("{value: AgX}", "a mapping"),
        ("\n      value: AgX", "a mapping"),
        ("{}", "a mapping"),
        ("[AgX]", "a list"),
        ("5", "a number"),
        ("1e3", "a number"),
        ("true", "a boolean"),
        ("no", "a boolean"),
        ("null", "empty"),
        ("~", "empty"),
        ("", "empty"),
        ("''", "empty"),
    ];

    #[test]
    fn an_item_that_is_no_text_is_refused_by_line_and_key_in_upstreams_words() {
        for (value, found) in NO_TEXT {
            let error = sealed(&format!("\n    good: AgX\n    password: {value}")).unwrap_err().to_string();
            let wanted = format!(
                "document 1, line 5: spec.encryptedData[\"password\"]: no key could decrypt secret (password): \
                 an item must be the base64 text that kubeseal writes, but this is {found}"
            );
            assert_eq!(error, wanted, "{value}");
        }
        assert_eq!(sealed(" {a: AgX}").unwrap().spec.encrypted_data.len(), 1);
    }

    #[test]
    fn a_stored_item_that_is_no_text_is_there_and_empty() {
        for (value, _) in NO_TEXT {
            let text =
                format!("kind: SealedSecret\nspec:\n  encryptedData:\n    good: AgX\n    bad: {value}\n");
            let document = &documents(&text).unwrap()[0];
            let items = read_stored_sealed_secret(document, &document.root).unwrap().spec.encrypted_data;
            assert_eq!((items["good"].as_str(), items["bad"].as_str()), ("AgX", ""), "{value}");
        }
    }

    #[test]
    fn a_field_that_must_be_a_mapping_is_refused_otherwise_and_null_counts_as_empty() {
        for items in [" []", " 7", " text", " ''"] {
            let error = sealed(items).unwrap_err().to_string();
            assert_eq!(
                error, "document 1, line 3: spec.encryptedData: must be a mapping of keys to values",
                "{items}"
            );
        }
        for items in ["", " null", " {}"] {
            assert!(sealed(items).unwrap().spec.encrypted_data.is_empty(), "{items}");
        }
        for (field, text) in [
            ("spec", "spec: [a]"),
            ("spec.template", "spec: {template: text}"),
            ("spec.template.data", "spec: {template: {data: [a]}}"),
            ("spec.template.metadata", "spec: {template: {metadata: [a]}}"),
            ("spec.template.metadata.labels", "spec: {template: {metadata: {labels: [a]}}}"),
        ] {
            let text = format!("kind: SealedSecret\n{text}\n");
            let error = sealed_secrets_of(&documents(&text).unwrap()).unwrap_err().to_string();
            assert_eq!(error, format!("document 1, line 2: {field}: must be a mapping of keys to values"));
        }
    }

    #[test]
    fn one_sealed_secret_of_a_list_with_an_item_that_is_no_text_refuses_all() {
        let text = "kind: SealedSecretList\nitems:\n- kind: SealedSecret\n  spec: {encryptedData: {a: AgX}}\n\
                    - kind: SealedSecret\n  spec: {encryptedData: {b: [AgX]}}\n";
        let error = sealed_secrets_of(&documents(text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("document 1, line 6: spec.encryptedData[\"b\"]: "), "{error}");
    }

    #[test]
    fn base64_is_judged_as_go_judges_it() {
        assert_eq!(read("data: {a: \"YW\\nJj\"}").unwrap()[0].data.as_ref().unwrap()["a"].0, b"abc");
        assert!(refused("data:\n  a: \"!\"\n").contains("illegal base64 data at input byte 0"));
        assert!(refused("data:\n  a: 1234\n").contains("must be base64 text"));
    }
}
