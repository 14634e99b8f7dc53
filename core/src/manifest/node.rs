//! Syntax tree of a parsed document. Every node has its position in the text.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::sensitive_text::SensitiveText;
use crate::names::refused_key;

/// The document cannot be parsed. The message contains keys at most, and neither values nor keys that no item can have, which may be
/// values at the wrong place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// The text is not well-formed.
    #[error("not valid YAML or JSON: {0}")]
    Syntax(String),
    /// Conflict markers of Git.
    #[error(
        "a merge conflict that is not resolved; keep what is right of its sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>"
    )]
    Conflict,
    /// Braces of a Go template at a position where YAML allows none.
    #[error(
        "{{{{ … }}}} is a Helm or Go template, not yet a manifest; render it first, for example with helm template"
    )]
    Template,
    /// A mapping contains a key twice; readers disagree on which one counts.
    #[error("duplicate key{}; remove one", named(.0))]
    DuplicateKey(String),
    /// A key is not a scalar.
    #[error("a key must be a single word or text, not a list or mapping")]
    KeyNotScalar,
    /// The value of the key `<<` is a text, a number or null.
    #[error(
        "the merge key << takes a mapping or a list of mappings; put << in quotes if it is meant as a key"
    )]
    MergeNotMapping,
    /// The document is too deep or has too many nodes, for example through nested aliases.
    #[error("too large or too deeply nested; aliases may be used, but not to multiply content")]
    Budget,
    /// The tag `!!binary`.
    #[error("the tag !!binary is not supported; write base64 under data instead")]
    BinaryTag,
    /// Another unsupported tag, such as `!!timestamp`.
    #[error("a tag that Kubernetes manifests do not use; remove it, and put texts in quotes")]
    ForeignTag,
    /// An alias without a preceding anchor.
    #[error("an alias names no anchor")]
    UnknownAlias,
}

fn named(key: &str) -> String {
    if refused_key(key).is_some() { String::new() } else { format!(" {key:?}") }
}

/// Kind and content of a node. `Debug` shows keys and structure, never a value.
#[derive(Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar after unescaping.
    Scalar {
        /// The text.
        text: SensitiveText,
        /// True if unquoted and untagged, so that YAML 1.1 may resolve it to another type than string.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the text. Keys are scalars and distinct.
    Mapping(Vec<(Node, Node)>),
}

/// A node of a document. Ranges are bytes of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Kind and content.
    pub kind: NodeKind,
    /// Byte range. For an alias, the range of the alias itself.
    pub range: Range<usize>,
    /// Line of its start, from 1.
    pub line: usize,
    /// Column of its start in characters, from 0.
    pub column: usize,
    /// True for flow style (`{}`, `[]`), and for quoted and block scalars.
    pub flow: bool,
    /// True for an alias, for merged-in content, and for nodes with an anchor or tag. Shared nodes are not edited.
    pub shared: bool,
}

impl Node {
    /// Returns the value of a key. `None` if the key is absent or this is not a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns the entries of a mapping; none for other nodes.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.kind {
            NodeKind::Mapping(entries) => entries,
            NodeKind::Scalar { .. } | NodeKind::Sequence(_) => &[],
        }
    }

    /// Returns the text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::Sequence(_) | NodeKind::Mapping(_) => None,
        }
    }

    /// Returns a null node that stands for an absent one.
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
        let debug = format!("{document:?}");
        assert!(debug.contains("password") && !debug.contains("hunter2"), "{debug}");
    }

    #[test]
    fn a_duplicate_key_is_named_unless_it_may_be_a_value() {
        let message = |text: &str| documents(text).unwrap_err().cause.to_string();
        assert_eq!(message("user: a\nuser: b\n"), "duplicate key \"user\"; remove one");
        assert_eq!(message("p=hunter2: a\np=hunter2: b\n"), "duplicate key; remove one");
    }
}
