//! Fields of the project file, with the line of each mistake.

use sealed_secrets_core::manifest::{Document, Node, NodeKind, json_of};
use serde_json::Value;

/// A line, from 1, and the mistake in it.
pub(super) type Mistake = (usize, String);

/// A node with its document.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    document: &'a Document,
    node: &'a Node,
}

impl<'a> Field<'a> {
    pub(super) fn root(document: &'a Document) -> Self {
        Self { document, node: &document.root }
    }

    pub(super) fn line(self) -> usize {
        self.document.lines_before + self.node.line
    }

    pub(super) fn mistake(self, text: impl Into<String>) -> Mistake {
        (self.line(), text.into())
    }

    /// The entries of a mapping, with their keys.
    pub(super) fn entries(self) -> Result<Vec<(String, Self)>, Mistake> {
        let NodeKind::Mapping(entries) = &self.node.kind else {
            return Err(self.mistake("must be a mapping of fields to values"));
        };
        let field = |(key, node): &'a (Node, Node)| {
            (key.text().unwrap_or_default().to_owned(), Self { document: self.document, node })
        };
        Ok(entries.iter().map(field).collect())
    }

    /// The entries of a mapping of which these are all fields.
    pub(super) fn fields(self, known: &[&str]) -> Result<Vec<(String, Self)>, Mistake> {
        let entries = self.entries()?;
        match entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, field)) => {
                Err(field.mistake(format!("unknown field {key:?}; the fields here are {}", known.join(", "))))
            }
            None => Ok(entries),
        }
    }

    /// The elements of a list.
    pub(super) fn elements(self) -> Result<Vec<Self>, Mistake> {
        let NodeKind::Sequence(nodes) = &self.node.kind else { return Err(self.mistake("must be a list")) };
        Ok(nodes.iter().map(|node| Self { document: self.document, node }).collect())
    }

    /// A text that is not empty.
    pub(super) fn text(self) -> Result<String, Mistake> {
        match json_of(self.node) {
            Value::String(text) if !text.is_empty() => Ok(text),
            _ => Err(self.mistake("must be a text; put it in quotes")),
        }
    }

    pub(super) fn boolean(self) -> Result<bool, Mistake> {
        match json_of(self.node) {
            Value::Bool(value) => Ok(value),
            _ => Err(self.mistake("must be true or false")),
        }
    }

    /// A text that `parse` accepts.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Mistake> {
        parse(&self.text()?).map_err(|cause| self.mistake(cause.to_string()))
    }
}
