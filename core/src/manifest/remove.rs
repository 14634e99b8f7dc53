//! Removal of entries, which leaves all other bytes unchanged.

use std::ops::Range;

use super::content::{self, Content};
use super::edit_error::EditError;
use super::node::{Node, NodeKind};
use super::read::{Object, objects};
use super::span::after_colon;
use super::split::documents;
use super::texts::{Splice, Texts, end_of_line, start_of_line};

/// Entry of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Index among the objects of the text, from 0. Each item of a List counts as one object.
    pub object: usize,
    /// Keys from the object's root, at least one.
    pub path: Vec<String>,
}

/// Removes the lines of the entries, but not the comments above them. A mapping that loses its last entry becomes `{}`.
///
/// # Errors
/// Returns an error if an entry does not exist or cannot be removed, or the rest would not keep its content.
pub fn remove(text: &str, removals: &[Removal]) -> Result<String, EditError> {
    let mut texts = Texts::of(text)?;
    let before = documents(texts.parsed())?;
    let mut wanted: Vec<Content> = before.iter().map(|document| Content::of(&document.root)).collect();
    for Removal { object, path } in removals {
        content::remove(&mut wanted, *object, path).ok_or(EditError::NoObject(*object))?;
        remove_one(&mut texts, *object, path)?;
    }
    texts.expect_content(&wanted)?;
    Ok(texts.into_text())
}

fn remove_one(texts: &mut Texts, object: usize, path: &[String]) -> Result<(), EditError> {
    let documents = documents(texts.parsed())?;
    let found = documents.iter().flat_map(objects).nth(object).ok_or(EditError::NoObject(object))?;
    let splices = Remover { text: texts.parsed(), object: found, path }.splices()?;
    splices.into_iter().rev().try_for_each(|splice| texts.replace(&splice))
}

struct Remover<'a> {
    text: &'a str,
    object: Object<'a>,
    path: &'a [String],
}

impl Remover<'_> {
    /// Returns the replacements in the order of the text.
    fn splices(&self) -> Result<Vec<Splice>, EditError> {
        let (last, parents) = self.path.split_last().ok_or(EditError::Unsafe)?;
        let mut mapping = self.object.node;
        let mut colon = 0;
        for key in parents {
            let (name, value) = self.entry(mapping, key)?;
            colon = self.after_colon(name);
            mapping = value;
        }
        let (name, value) = self.entry(mapping, last)?;
        if mapping.shared || name.shared || value.shared {
            return Err(EditError::Shared { path: self.path.join("."), line: self.line(name) });
        }
        let splices = if mapping.flow {
            vec![self.flow_splice(mapping, name)?]
        } else {
            let lines = self.lines(name, value)?;
            let empty = Splice { range: colon..colon, text: " {}".to_owned() };
            let is_last = mapping.entries().len() == 1;
            Some(empty).filter(|_| is_last).into_iter().chain([lines]).collect()
        };
        Ok(splices)
    }

    fn entry<'n>(&self, mapping: &'n Node, key: &str) -> Result<&'n (Node, Node), EditError> {
        let found = mapping.entries().iter().find(|(name, _)| name.text() == Some(key));
        found.ok_or_else(|| EditError::Unexpected { path: self.path.join("."), line: self.line(mapping) })
    }

    fn line(&self, node: &Node) -> usize {
        self.object.document.line_of(node)
    }

    fn range(&self, node: &Node) -> Range<usize> {
        self.object.document.range_of(node)
    }

    fn after_colon(&self, key: &Node) -> usize {
        after_colon(self.text, self.object.document, key)
    }

    /// Returns the lines of a block entry, with one line break.
    fn lines(&self, name: &Node, value: &Node) -> Result<Splice, EditError> {
        let key = self.range(name);
        let start = start_of_line(self.text, key.start);
        let lead = self.text.get(start..key.start).unwrap_or_default();
        if !lead.trim_start_matches('\u{feff}').trim().is_empty() {
            return Err(EditError::Unexpected { path: self.path.join("."), line: self.line(name) });
        }
        let value = self.range(value);
        let end = if value.is_empty() { self.after_colon(name) } else { value.end };
        // The range of a block scalar includes the blank lines after it.
        let last = self.text.get(..end).unwrap_or_default().trim_end().len().max(key.end);
        let end = end_of_line(self.text, last);
        let rest = self.text.get(end..).unwrap_or_default();
        let line_break = rest.find('\n').map(|newline| newline + 1);
        let range = match line_break {
            Some(length) => start..end + length,
            // Without a final line break there is none afterwards, either.
            None => self.text.get(..start).unwrap_or_default().trim_end_matches(['\r', '\n']).len()..end,
        };
        Ok(Splice { range, text: String::new() })
    }

    /// Returns the text of a flow entry and its comma.
    fn flow_splice(&self, mapping: &Node, name: &Node) -> Result<Splice, EditError> {
        let entries = mapping.entries();
        let at = entries.iter().position(|(key, _)| key == name).ok_or(EditError::Unsafe)?;
        let start = |entry: &(Node, Node)| self.range(&entry.0).start;
        let end = |(key, value): &(Node, Node)| {
            if value.range.is_empty() { self.range(key).end } else { self.range(value).end }
        };
        let before = at.checked_sub(1).and_then(|before| entries.get(before));
        let range = match (before, entries.get(at), entries.get(at + 1)) {
            (Some(before), Some(entry), _) => end(before)..end(entry),
            (None, Some(entry), Some(next)) => start(entry)..start(next),
            _ => self.range(mapping),
        };
        let removed = self.text.get(range.clone()).unwrap_or_default();
        if !self.object.document.json && removed.contains('#') {
            return Err(EditError::Unexpected { path: self.path.join("."), line: self.line(name) });
        }
        let is_last = matches!(mapping.kind, NodeKind::Mapping(_)) && entries.len() == 1;
        Ok(Splice { range, text: if is_last { "{}".to_owned() } else { String::new() } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, path: &str) -> Result<String, EditError> {
        let path = path.split('.').map(str::to_owned).collect();
        remove(text, &[Removal { object: 0, path }])
    }

    const COMMENTED: &str =
        "spec:\n  data:  # d\n    # about a\n    a: AgX  # why\n\n    # about c\n    c: 'AgY'\n  z: 1\n";

    #[test]
    fn an_entry_goes_with_its_line_and_comments_above_it_stay() {
        assert_eq!(without(COMMENTED, "spec.data.a").unwrap(), COMMENTED.replace("    a: AgX  # why\n", ""));
        assert_eq!(without(COMMENTED, "spec.data.c").unwrap(), COMMENTED.replace("    c: 'AgY'\n", ""));
    }

    #[test]
    fn the_last_entry_leaves_an_empty_mapping() {
        let one = without(COMMENTED, "spec.data.a").unwrap();
        let none = without(&one, "spec.data.c").unwrap();
        assert_eq!(none, "spec:\n  data: {}  # d\n    # about a\n\n    # about c\n  z: 1\n");
        assert_eq!(without("{\"a\": {\"b\": 1}}\n", "a.b").unwrap(), "{\"a\": {}}\n");
    }

    #[test]
    fn entries_are_removed_in_every_style() {
        let cases = [
            ("a:\r\n  b: x\r\n  c: y\r\n", "a:\r\n  c: y\r\n"),
            ("a:\n  c: y\n  b: x", "a:\n  c: y"),
            ("a:\n  b: >-\n    Ag\n    X\n\n  # next\n  c: 1\n", "a:\n\n  # next\n  c: 1\n"),
            ("a:\n  b: Ag\n    X\n  c: 1\n", "a:\n  c: 1\n"),
            ("a:\n  b:\n  c: 1\n", "a:\n  c: 1\n"),
            ("a: {b: x, c: y}\n", "a: {c: y}\n"),
            ("a: {c: y, b: x}\n", "a: {c: y}\n"),
            ("a: {c: y, b: x, d: z}\n", "a: {c: y, d: z}\n"),
            ("{\n  \"a\": {\n    \"b\": 1,\n    \"c\": 2\n  }\n}\n", "{\n  \"a\": {\n    \"c\": 2\n  }\n}\n"),
            ("{\n  \"a\": {\n    \"c\": 2,\n    \"b\": 1\n  }\n}\n", "{\n  \"a\": {\n    \"c\": 2\n  }\n}\n"),
        ];
        for (before, wanted) in cases {
            assert_eq!(without(before, "a.b").unwrap(), wanted);
        }
    }

    #[test]
    fn a_template_keeps_its_expressions() {
        let text =
            "metadata:\n  name: {{ .Release.Name }}\n{{- if .x }}\na:\n  b: x\n  c: {{ .y }}\n{{- end }}\n";
        assert_eq!(without(text, "a.b").unwrap(), text.replace("  b: x\n", ""));
    }

    #[test]
    fn a_removal_from_shared_absent_or_commented_flow_nodes_is_refused() {
        assert!(matches!(without("a: &x\n  b: 1\nc: *x\n", "a.b"), Err(EditError::Shared { .. })));
        assert!(matches!(
            without("a: &x {b: 1}\nc: *x\n", "c.b"),
            Err(EditError::Shared { line: 1 | 2, .. })
        ));
        assert!(without("a:\n  c: 1\n", "a.b").is_err());
        assert!(without("a:\n  ? b\n  : 1\n  c: 1\n", "a.b").is_err());
        assert!(without("a: {c: 1, # why\n  b: 1}\n", "a.b").is_err());
    }
}
