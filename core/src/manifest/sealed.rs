//! SealedSecrets of a file, as the file writes them: with lines, receipts, and fields that a template fills in.

use std::ops::Range;

use sealed_secrets_crds::names::{
    CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};
use sealed_secrets_crds::{Scope, SealedSecret};
use zeroize::Zeroizing;

use super::budget::Budget;
use super::node::{Node, NodeKind};
use super::read::{Object, ReadError, ciphertext, objects, read_sealed_secret};
use super::receipts::{Found, receipt_of};
use super::sensitive_text::SensitiveText;
use super::span::overlaps;
use super::split::{Document, ManifestError, chunks, newlines};
use super::texts::parse;

/// A parsed local file. It may be a Helm template, whose expressions are masked.
pub struct Manifest {
    text: SensitiveText,
    documents: Vec<Document>,
    expressions: Vec<Range<usize>>,
}

impl Manifest {
    /// Parses a file. If it is not YAML because of `{{ … }}`, each expression counts as a word, and lines without other text are
    /// blank.
    ///
    /// # Errors
    /// Returns an error for the first document that cannot be parsed.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let (documents, masked) = parse(text)?;
        let (text, expressions) = match masked {
            Some(masked) => (masked.text, masked.expressions),
            None => (text.to_owned(), Vec::new()),
        };
        Ok(Self { text: SensitiveText::of_file(Zeroizing::new(text)), documents, expressions })
    }

    /// Returns all objects in the order of the text; the items of a List are objects of their own.
    #[must_use]
    pub fn objects(&self) -> Vec<FileObject<'_>> {
        let objects = self.documents.iter().flat_map(objects).enumerate();
        objects.map(|(index, object)| FileObject { index, manifest: self, object }).collect()
    }

    /// Returns the SealedSecrets in the order of the text. Objects of other kinds are passed over.
    #[must_use]
    pub fn sealed_secrets(&self) -> Vec<SealedObject<'_>> {
        let objects = self.documents.iter().flat_map(objects).enumerate();
        let sealed = objects.filter(|(_, object)| is_sealed_secret(object.node));
        sealed.map(|(index, object)| SealedObject { index, manifest: self, object }).collect()
    }

    /// Returns the line of the first Secret that is not sealed.
    #[must_use]
    pub fn plain_secret_line(&self) -> Option<usize> {
        let mut objects = self.documents.iter().flat_map(objects);
        objects
            .find(|object| is_kind(object.node, "Secret", "v1"))
            .map(|object| object.document.line_of(object.node))
    }

    /// Returns true if a byte of the text belongs to a key or a value, and not to a comment.
    #[must_use]
    pub fn is_content(&self, at: usize) -> bool {
        let is_in = |document: &Document| {
            at.checked_sub(document.range.start).is_some_and(|at| is_in_scalar(&document.root, at))
        };
        self.documents.iter().any(is_in)
    }

    fn is_templated(&self, document: &Document, node: &Node) -> bool {
        overlaps(&self.expressions, &document.range_of(node))
    }
}

/// Returns true if a byte of the document belongs to a scalar of this node.
fn is_in_scalar(node: &Node, at: usize) -> bool {
    match &node.kind {
        NodeKind::Scalar { .. } => node.range.contains(&at),
        NodeKind::Sequence(items) => items.iter().any(|item| is_in_scalar(item, at)),
        NodeKind::Mapping(entries) => {
            entries.iter().any(|(key, value)| is_in_scalar(key, at) || is_in_scalar(value, at))
        }
    }
}

/// Returns true for a SealedSecret.
pub(super) fn is_sealed_secret(node: &Node) -> bool {
    is_kind(node, SEALED_SECRET_KIND, SEALED_SECRET_API_VERSION)
}

fn is_kind(node: &Node, kind: &str, api_version: &str) -> bool {
    let has_field =
        |key: &str, wanted: &str| node.get(key).and_then(Node::text).is_some_and(|found| found == wanted);
    has_field("kind", kind) && (has_field("apiVersion", api_version) || node.get("apiVersion").is_none())
}

/// One document of a file, which is parsed on its own.
pub struct Part<'t> {
    /// Its text.
    pub text: &'t str,
    /// Number of lines before it in the file. Lines of the manifest and of its error count from there.
    pub lines_before: usize,
    /// The parsed document, or the reason why it cannot be parsed.
    pub manifest: Result<Manifest, ManifestError>,
}

/// Parses each document of a file on its own, so that one that cannot be parsed hides no other.
#[must_use]
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let whole = || vec![Part { text, lines_before: 0, manifest: Manifest::parse(text) }];
    let Ok(chunks) = chunks(text, &mut Budget::of_own_file()) else { return whole() };
    let mut parts = Vec::with_capacity(chunks.len());
    let (mut lines_before, mut scanned) = (0, 0);
    for range in chunks {
        lines_before += newlines(text.get(scanned..range.start).unwrap_or_default());
        scanned = range.start;
        let text = text.get(range).unwrap_or_default();
        parts.push(Part { text, lines_before, manifest: Manifest::parse(text) });
    }
    parts
}

/// An object of any kind in a file.
#[derive(Clone, Copy)]
pub struct FileObject<'m> {
    index: usize,
    manifest: &'m Manifest,
    object: Object<'m>,
}

impl<'m> FileObject<'m> {
    /// Returns its root node.
    #[must_use]
    pub fn node(&self) -> &'m Node {
        self.object.node
    }

    /// Returns its line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line_of(self.object.node)
    }

    /// Returns the line of one of its nodes, from 1.
    #[must_use]
    pub fn line_of(&self, node: &Node) -> usize {
        self.object.document.line_of(node)
    }

    /// Returns true if a template fills in a part of this node.
    #[must_use]
    pub fn is_templated(&self, node: &Node) -> bool {
        self.manifest.is_templated(self.object.document, node)
    }

    /// Returns true if it is an item of a List of this kind.
    #[must_use]
    pub fn is_in(&self, kind: &str) -> bool {
        let root = &self.object.document.root;
        !std::ptr::eq(root, self.object.node) && root.get("kind").and_then(Node::text) == Some(kind)
    }

    /// Returns namespace and name as far as the file says them; `None` without a literal name.
    #[must_use]
    pub fn shown_name(&self) -> Option<String> {
        let metadata = self.node().get("metadata")?;
        let text = |key: &str| {
            let node = metadata.get(key).filter(|node| !self.is_templated(node))?;
            node.text().filter(|text| !text.is_empty())
        };
        let name = text("name")?;
        Some(text("namespace").map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
    }

    /// Returns it as a SealedSecret, also one of another version; `None` for other kinds.
    #[must_use]
    pub fn sealed_secret(&self) -> Option<SealedObject<'m>> {
        let group = SEALED_SECRET_API_VERSION.split('/').next().unwrap_or_default();
        let api_version = self.node().get("apiVersion");
        let is_own = api_version.is_none_or(|version| {
            self.is_templated(version)
                || version.text().is_some_and(|text| text.split('/').next() == Some(group))
        });
        let is_sealed = self.node().get("kind").and_then(Node::text) == Some(SEALED_SECRET_KIND);
        let Self { index, manifest, object } = *self;
        (is_sealed && is_own).then_some(SealedObject { index, manifest, object })
    }
}

/// A field of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<T> {
    /// The object does not have it.
    Absent,
    /// A literal value.
    Literal(T),
    /// A template fills it in.
    Templated,
}

/// A SealedSecret in a file.
#[derive(Clone, Copy)]
pub struct SealedObject<'m> {
    /// Index among the objects of the file, from 0, for edits.
    pub index: usize,
    manifest: &'m Manifest,
    object: Object<'m>,
}

impl<'m> SealedObject<'m> {
    /// Returns its line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.object.document.line_of(self.object.node)
    }

    /// Returns `metadata.name`.
    #[must_use]
    pub fn name(&self) -> Field<String> {
        self.field("name")
    }

    /// Returns `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> Field<String> {
        self.field("namespace")
    }

    /// Returns `spec.template.type`.
    #[must_use]
    pub fn secret_type(&self) -> Field<String> {
        let template = self.spec().and_then(|spec| spec.get("template"));
        self.text(template.and_then(|template| template.get("type")))
    }

    /// Returns the line of the first part of the spec that a template fills in.
    #[must_use]
    pub fn templated_line(&self) -> Option<usize> {
        let spec = self.object.document.range_of(self.spec()?);
        let is_inside = |expression: &&Range<usize>| spec.contains(&expression.start);
        let start = self.manifest.expressions.iter().find(is_inside)?.start;
        Some(newlines(self.manifest.text.get(..start)?) + 1)
    }

    fn field(&self, key: &str) -> Field<String> {
        self.text(self.metadata().and_then(|metadata| metadata.get(key)))
    }

    fn text(&self, node: Option<&Node>) -> Field<String> {
        let Some(node) = node else { return Field::Absent };
        match node.text() {
            _ if self.is_templated(node) => Field::Templated,
            Some(text) if !text.is_empty() => Field::Literal(text.to_owned()),
            _ => Field::Absent,
        }
    }

    /// Returns the scope of the annotations, strict without one.
    #[must_use]
    pub fn scope(&self) -> Field<Scope> {
        let annotations = self.metadata().and_then(|metadata| metadata.get("annotations"));
        let value = |name: &str| annotations.and_then(|annotations| annotations.get(name));
        for (name, scope) in
            [(CLUSTER_WIDE_ANNOTATION, Scope::ClusterWide), (NAMESPACE_WIDE_ANNOTATION, Scope::NamespaceWide)]
        {
            match value(name) {
                Some(node) if self.is_templated(node) => return Field::Templated,
                Some(node) if node.text() == Some("true") => return Field::Literal(scope),
                _ => {}
            }
        }
        Field::Literal(Scope::Strict)
    }

    /// Returns the items in the order of the file; none if `spec.encryptedData` is not a mapping.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        let Some(items) = self.spec().and_then(|spec| spec.get("encryptedData")) else { return Vec::new() };
        items.entries().iter().map(|(name, value)| self.item(items, name, value)).collect()
    }

    fn item(&self, items: &Node, name: &Node, value: &Node) -> Item {
        let receipt = if items.flow {
            Found::None
        } else {
            receipt_of(&self.manifest.text, self.object.document, name, value)
        };
        Item {
            key: name.text().unwrap_or_default().to_owned(),
            line: self.object.document.line_of(name),
            ciphertext: ciphertext(value).ok().map(str::to_owned),
            is_templated: self.is_templated(name) || self.is_templated(value),
            receipt,
        }
    }

    /// Returns true if `spec.template.data` has this key.
    #[must_use]
    pub fn has_template_item(&self, key: &str) -> bool {
        let template = self.spec().and_then(|spec| spec.get("template"));
        template.and_then(|template| template.get("data")).is_some_and(|data| data.get(key).is_some())
    }

    /// Returns the line of the deprecated `spec.data`, if it is there.
    #[must_use]
    pub fn v1_data_line(&self) -> Option<usize> {
        self.spec().and_then(|spec| spec.get("data")).map(|data| self.object.document.line_of(data))
    }

    /// Reads the whole object.
    ///
    /// # Errors
    /// Returns an error if a field has a value of the wrong type.
    pub fn read(&self) -> Result<SealedSecret, ReadError> {
        read_sealed_secret(self.object.document, self.object.node)
    }

    fn metadata(&self) -> Option<&'m Node> {
        self.object.node.get("metadata")
    }

    fn spec(&self) -> Option<&'m Node> {
        self.object.node.get("spec")
    }

    fn is_templated(&self, node: &Node) -> bool {
        self.manifest.is_templated(self.object.document, node)
    }
}

/// An item of `spec.encryptedData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// The base64 text; `None` if the value is not a string.
    pub ciphertext: Option<String>,
    /// True if a template fills in the key or the value.
    pub is_templated: bool,
    /// The receipt at the end of the line.
    pub receipt: Found,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "{{- if .Values.on }}\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  \
        name: {{ .Release.Name }}-db\n  namespace: shop\nspec:\n  encryptedData:\n    a: AgX\n    b: {{ .Values.b }}\n\
        {{- end }}\n---\nkind: ConfigMap\n";

    #[test]
    fn literal_parts_of_a_template_are_read_and_its_expressions_are_called_so() {
        let manifest = Manifest::parse(TEMPLATE).unwrap();
        let sealed = manifest.sealed_secrets();
        assert_eq!((sealed.len(), sealed[0].line(), sealed[0].index), (1, 2, 0));
        assert_eq!(
            (sealed[0].name(), sealed[0].namespace()),
            (Field::Templated, Field::Literal("shop".to_owned()))
        );
        assert_eq!(sealed[0].scope(), Field::Literal(Scope::Strict));
        let items: Vec<_> =
            sealed[0].items().into_iter().map(|item| (item.key, item.line, item.is_templated)).collect();
        assert_eq!(items, [("a".to_owned(), 9, false), ("b".to_owned(), 10, true)]);
    }

    #[test]
    fn a_file_that_masking_does_not_help_keeps_its_own_error() {
        let text = "{{ if .x }}\na: 1\n{{ else }}\na: 2\n{{ end }}\n";
        assert!(Manifest::parse(text).err().unwrap().to_string().contains("is a Helm or Go template"));
        let text = "a: [{{ .x }}\nb: c\n";
        assert!(Manifest::parse(text).is_err());
    }

    #[test]
    fn objects_of_other_kinds_are_passed_over_and_a_plain_secret_is_found() {
        let text = "kind: Pod\n---\nkind: SealedSecret\nspec: {data: AgX}\n---\nkind: List\nitems:\n- {kind: Secret}\n- {kind: SealedSecret}\n";
        let manifest = Manifest::parse(text).unwrap();
        let found: Vec<_> =
            manifest.sealed_secrets().iter().map(|sealed| (sealed.index, sealed.line())).collect();
        assert_eq!((found, manifest.plain_secret_line()), (vec![(1, 3), (3, 9)], Some(8)));
        assert_eq!(manifest.sealed_secrets()[0].v1_data_line(), Some(4));
    }
}
