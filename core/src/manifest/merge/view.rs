//! SealedSecrets of one version: their items, and the place that the items are sealed for.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::node::{Node, NodeKind};
use super::super::place::{field_of, place_of};
use super::super::read::{Object, objects};
use super::super::receipts::receipt_range;
use super::super::sealed::is_sealed_secret;
use super::super::span::{after_colon, items_of, value_range};
use super::super::split::Document;
use super::super::texts::{end_of_line, parse, start_of_line};
use super::item::ItemState;

/// The way in which a version writes the items of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// There are none.
    Empty,
    /// Each has lines of its own.
    Lines,
    /// In braces, as in JSON, or in another way that edits understand.
    Other,
}

/// A SealedSecret of one version.
#[derive(Clone, Debug)]
pub(super) struct ObjectView {
    /// Index among the objects of the text, from 0.
    pub(super) index: usize,
    /// Namespace and name as the text writes them.
    pub(super) identity: (String, String),
    /// The place that its items are sealed for.
    pub(super) place: Vec<String>,
    pub(super) style: Style,
    pub(super) items: BTreeMap<String, ItemState>,
    /// Keys in the order of the text.
    pub(super) order: Vec<String>,
    /// Positions of the items, in the order of the text.
    pub(super) spans: Vec<ItemSpan>,
}

/// Byte ranges of an item with lines of its own.
#[derive(Clone, Debug)]
pub(super) struct ItemSpan {
    pub(super) key: String,
    /// From the start of the key to the end of the value.
    pub(super) body: Range<usize>,
    /// The receipt with the space before it; empty at the end of the line without one.
    pub(super) receipt: Range<usize>,
}

/// Reads the SealedSecrets of a text; `None` if it cannot be parsed.
pub(super) fn objects_of(text: &str) -> Option<Vec<ObjectView>> {
    let (documents, masked) = parse(text).ok()?;
    let parsed = masked.as_ref().map_or(text, |masked| &masked.text);
    let all = documents.iter().flat_map(objects).enumerate();
    let sealed = all.filter(|(_, object)| is_sealed_secret(object.node));
    Some(sealed.map(|(index, object)| Reader { text, parsed, object }.view(index)).collect())
}

/// Returns true if every document is JSON.
pub(super) fn is_json(text: &str) -> bool {
    parse(text).is_ok_and(|(documents, _)| documents.iter().all(|document: &Document| document.json))
}

struct Reader<'a> {
    text: &'a str,
    /// The text with masked expressions.
    parsed: &'a str,
    object: Object<'a>,
}

impl Reader<'_> {
    fn view(&self, index: usize) -> ObjectView {
        let entries = items_of(&self.object).map_or(&[][..], Node::entries);
        let spans: Vec<ItemSpan> = entries.iter().map(|(key, value)| self.span(key, value)).collect();
        let states = entries.iter().zip(&spans).map(|((_, value), span)| self.state(value, span));
        ObjectView {
            index,
            identity: (self.field("namespace"), self.field("name")),
            place: place_of(self.text, &self.object),
            style: self.style(),
            items: spans.iter().map(|span| span.key.clone()).zip(states).collect(),
            order: spans.iter().map(|span| span.key.clone()).collect(),
            spans,
        }
    }

    fn source(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn field(&self, key: &str) -> String {
        field_of(self.text, &self.object, key)
    }

    fn span(&self, key: &Node, value: &Node) -> ItemSpan {
        let document = self.object.document;
        let start = document.range_of(key).start;
        let value = value_range(self.parsed, document, key, value);
        let end = if value.is_empty() { after_colon(self.parsed, document, key) } else { value.end };
        let line = end..end_of_line(self.parsed, end);
        let rest = self.parsed.get(line.clone()).unwrap_or_default();
        let receipt = receipt_range(rest)
            .map_or(rest.len(), |receipt| rest.get(..receipt.start).unwrap_or_default().trim_end().len());
        ItemSpan {
            key: key.text().unwrap_or_default().to_owned(),
            body: start..end,
            receipt: end + receipt..line.end,
        }
    }

    fn state(&self, value: &Node, span: &ItemSpan) -> ItemState {
        let receipt = if receipt_range(self.source(span.body.end..span.receipt.end)).is_some() {
            self.source(span.receipt.clone()).to_owned()
        } else {
            String::new()
        };
        ItemState {
            body: self.source(span.body.clone()).to_owned(),
            receipt,
            value: value.text().map(str::to_owned),
        }
    }

    fn style(&self) -> Style {
        let is_block = |node: Option<&Node>| node.is_none_or(|node| !node.flow && !node.shared);
        let items = items_of(&self.object);
        if self.object.document.json
            || !is_block(Some(self.object.node))
            || !is_block(self.object.node.get("spec"))
        {
            return Style::Other;
        }
        match items.map(|items| (&items.kind, items)) {
            None => Style::Empty,
            Some((NodeKind::Mapping(entries), items)) if entries.is_empty() && !items.shared => Style::Empty,
            Some((NodeKind::Scalar { .. }, items)) if !items.shared => Style::Empty,
            Some((NodeKind::Mapping(entries), items)) if is_block(Some(items)) => {
                if entries.iter().all(|(key, value)| self.has_own_lines(key, value)) {
                    Style::Lines
                } else {
                    Style::Other
                }
            }
            Some(_) => Style::Other,
        }
    }

    fn has_own_lines(&self, key: &Node, value: &Node) -> bool {
        let span = self.span(key, value);
        let lead = self.parsed.get(start_of_line(self.parsed, span.body.start)..span.body.start);
        let rest =
            self.parsed.get(span.body.end..end_of_line(self.parsed, span.body.end)).unwrap_or_default();
        let is_comment =
            rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
        !key.shared && !value.shared && is_comment && lead.is_some_and(|lead| lead.trim().is_empty())
    }
}
