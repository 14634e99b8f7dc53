//! Semantic content of a text, for comparison before and after an edit.

use std::collections::BTreeMap;

use super::node::{Node, NodeKind};
use super::scalar::{Resolved, resolve};

/// Semantic content of a document, independent of its notation.
#[derive(PartialEq)]
pub(super) enum Content {
    Text(String),
    /// An unquoted scalar that is not a string in YAML 1.1.
    Word(String),
    List(Vec<Content>),
    Map(BTreeMap<String, Content>),
}

impl Content {
    /// Returns the content of a node and its descendants.
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

    /// Returns the objects of a document, counted as on reading.
    pub(super) fn objects(&mut self) -> Vec<&mut Self> {
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

/// Removes the entry at `path` of an object. `None` if object or entry do not exist.
pub(super) fn remove(documents: &mut [Content], object: usize, path: &[String]) -> Option<()> {
    let (last, parents) = path.split_last()?;
    let mut content = documents.iter_mut().flat_map(Content::objects).nth(object)?;
    for key in parents {
        let Content::Map(map) = content else { return None };
        content = map.get_mut(key)?;
    }
    let Content::Map(map) = content else { return None };
    map.remove(last).map(drop)
}
