//! What a text means, to compare before and after an edit.

use std::collections::BTreeMap;

use super::edit::Change;
use super::node::{Node, NodeKind};
use super::scalar::{Resolved, resolve};

/// What a document means, whatever its notation.
#[derive(PartialEq)]
pub(super) enum Content {
    Text(String),
    /// An unquoted word that is no text to YAML 1.1.
    Word(String),
    List(Vec<Content>),
    Map(BTreeMap<String, Content>),
}

impl Content {
    /// Of a node and all below it.
    pub(super) fn of(node: &Node) -> Self {
        match &node.kind {
            NodeKind::Scalar { text, plain: true } if resolve(text) != Resolved::Text => {
                Self::Word(text.to_string())
            }
            NodeKind::Scalar { text, .. } => Self::Text(text.to_string()),
            NodeKind::Sequence(items) => Self::List(items.iter().map(Self::of).collect()),
            NodeKind::Mapping(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), Self::of(value)))
                    .collect(),
            ),
        }
    }

    /// The objects of a document, as reading counts them.
    fn objects(&mut self) -> Vec<&mut Self> {
        let is_list = matches!(self, Self::Map(map)
        if matches!(map.get("items"), Some(Self::List(_)))
            && match map.get("kind") {
                Some(Self::Text(kind)) => kind.is_empty() || kind.ends_with("List"),
                kind => kind.is_none(),
            });
        if !is_list {
            return vec![self];
        }
        let Self::Map(map) = self else { return Vec::new() };
        match map.get_mut("items") {
            Some(Self::List(items)) => items.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
}

/// Makes the change to what the documents mean; `None` where there is no such object.
pub(super) fn set(documents: &mut [Content], change: &Change) -> Option<()> {
    let mut content = documents.iter_mut().flat_map(Content::objects).nth(change.object)?;
    for key in &change.path {
        if !matches!(content, Content::Map(_)) {
            *content = Content::Map(BTreeMap::new());
        }
        let Content::Map(map) = content else { return None };
        content = map.entry(key.clone()).or_insert_with(|| Content::Map(BTreeMap::new()));
    }
    *content = Content::Text(change.value.clone());
    Some(())
}
