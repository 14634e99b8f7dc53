//! A parsed document whose every node knows its place in the text.

use std::fmt;
use std::ops::Range;

use thiserror::Error;
use zeroize::Zeroizing;

/// Why a document cannot be parsed. Carries keys at most, never values.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// Not well-formed.
    #[error("not valid YAML or JSON: {0}")]
    Syntax(String),
    /// Braces of Go's templates where YAML has none.
    #[error(
        "{{{{ … }}}} is a template of Helm or Go, not yet a manifest; render it first, for example with helm template"
    )]
    Template,
    /// A key stands twice in one mapping; readers disagree on which one counts.
    #[error("the key {0:?} is there twice; remove one")]
    DuplicateKey(String),
    /// Keys must be text.
    #[error("a key must be a single word or text, not a list or mapping")]
    KeyNotScalar,
    /// The key `<<` with a text, a number or nothing.
    #[error(
        "the merge key << takes a mapping or a list of mappings; put << in quotes where it is meant as a key"
    )]
    MergeNotMapping,
    /// Too many nodes, as aliases of aliases make them, or too deep.
    #[error("too large or too deeply nested; aliases may be used, but not to multiply content")]
    Budget,
    /// The tag `!!binary`.
    #[error("the tag !!binary is not supported; write base64 under data instead")]
    BinaryTag,
    /// `!!timestamp` and the like.
    #[error("a tag that Kubernetes manifests do not use; remove it, and put texts in quotes")]
    ForeignTag,
    /// An alias without an anchor before it.
    #[error("an alias names no anchor")]
    UnknownAlias,
}

/// What a node is. Its `Debug` shows keys and structure, never a value.
#[derive(Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar: its text after unescaping.
    Scalar {
        /// The text; wiped when dropped, as it may be a plaintext.
        text: Zeroizing<String>,
        /// Whether it is unquoted and untagged, so that YAML 1.1 may see something else than text in it.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the text; keys are scalars, and distinct.
    Mapping(Vec<(Node, Node)>),
}

/// A node of a document. Ranges are bytes of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands. For an alias, where the alias stands.
    pub range: Range<usize>,
    /// Line of its start, from 1.
    pub line: usize,
    /// Column of its start, from 0, in characters.
    pub column: usize,
    /// Whether it is written in flow style (`{}`, `[]`), or for scalars in quotes or as a block.
    pub flow: bool,
    /// Whether it is an alias of, or merged in from, content elsewhere, or carries an anchor or tag: not to be edited.
    pub shared: bool,
}

impl Node {
    /// The value of a key of a mapping; `None` where there is no such key or this is no mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Keys and values of a mapping; nothing for other nodes.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.kind {
            NodeKind::Mapping(entries) => entries,
            NodeKind::Scalar { .. } | NodeKind::Sequence(_) => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::Sequence(_) | NodeKind::Mapping(_) => None,
        }
    }

    /// A node that stands for what is not there.
    pub(super) fn absent() -> Self {
        let kind = NodeKind::Mapping(Vec::new());
        Self { kind, range: 0..0, line: 1, column: 0, flow: false, shared: false }
    }

    pub(super) fn is_empty_scalar(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if text.is_empty())
    }
}

impl fmt::Debug for NodeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar { .. } => formatter.write_str("Scalar"),
            Self::Sequence(items) => formatter.debug_list().entries(items).finish(),
            Self::Mapping(entries) => {
                let keys = entries.iter().map(|(key, value)| (key.text().unwrap_or_default(), value));
                formatter.debug_map().entries(keys).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::documents;

    #[test]
    fn debug_output_holds_no_value() {
        let document = &documents("data: {password: hunter2, list: [hunter2]}\n").unwrap()[0];
        let shown = format!("{document:?}");
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }
}
