//! Edits of a manifest that leave all other bytes unchanged.
//!
//! A change sets one scalar. If the field exists, only its own text is replaced; otherwise one entry is added. Comments, order,
//! quoting, indentation, line ends and other documents stay the same. The result is parsed again: its content must equal the old
//! content with the changes applied, or nothing is returned.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::content::Content;
pub use super::edit_error::EditError;
use super::emit::{natural_order, sort};
use super::node::{Node, NodeKind};
use super::read::{Object, objects};
use super::scalar::{Resolved, resolve, wants_quotes};
use super::span::{after_colon, value_range};
use super::split::documents;
use super::texts::{Splice, Texts, end_of_line};
use crate::names::shown_key;

/// Sets the scalar at `path` of the object with this index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Index among the objects of the text, from 0. Each item of a List counts as one object.
    pub object: usize,
    /// Keys from the object's root, at least one.
    pub path: Vec<String>,
    /// The new text.
    pub value: String,
}

/// Applies the changes, whose paths must be distinct. A new entry of a sorted mapping is inserted in order; other mappings get it
/// at the end.
///
/// # Errors
/// Returns an error if a field cannot be edited, or the result would not have exactly the expected content.
pub fn apply(text: &str, changes: &[Change]) -> Result<String, EditError> {
    match apply_with(text, changes, Smallest::First) {
        Err(EditError::Unsafe) => apply_with(text, changes, Smallest::Second),
        result => result,
    }
}

/// Position of an entry that sorts before all others. Text before the first entry may look like a comment without being one, or
/// belong to the entry in other ways; text after it does not.
#[derive(Clone, Copy)]
enum Smallest {
    First,
    Second,
}

fn apply_with(text: &str, changes: &[Change], smallest: Smallest) -> Result<String, EditError> {
    let mut edited = Texts::of(text)?;
    let before = documents(edited.parsed())?;
    let mut pending: Vec<&Change> = changes.iter().collect();
    if !before.iter().any(|document| document.json) {
        sort(&mut pending, |a, b| path_order(a, b));
    }
    while !pending.is_empty() {
        (edited, pending) = apply_fitting(&edited, pending, smallest)?;
    }
    let mut wanted: Vec<Content> = before.iter().map(|document| Content::of(&document.root)).collect();
    changes.iter().try_for_each(|change| set(&mut wanted, change)).ok_or(EditError::Unsafe)?;
    edited.expect_content(&wanted)?;
    Ok(edited.into_text())
}

/// Applies the change to the content. `None` if the object does not exist.
fn set(documents: &mut [Content], change: &Change) -> Option<()> {
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

fn path_order(a: &Change, b: &Change) -> Ordering {
    let by_key = a.path.iter().zip(&b.path).map(|(a, b)| natural_order(a, b));
    a.object.cmp(&b.object).then(by_key.fold(Ordering::Equal, Ordering::then))
}

/// Applies all changes to mappings that have entries; if there are none, one change that creates a mapping. Returns the new text
/// and the remaining changes.
fn apply_fitting<'a>(
    texts: &Texts,
    pending: Vec<&'a Change>,
    smallest: Smallest,
) -> Result<(Texts, Vec<&'a Change>), EditError> {
    let text = texts.parsed();
    let documents = documents(text)?;
    let objects: Vec<Object<'_>> = documents.iter().flat_map(objects).collect();
    let (mut splices, mut additions, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for change in pending {
        let object = *objects.get(change.object).ok_or(EditError::NoObject(change.object))?;
        match (Editor { text, object, change, smallest }).locate()? {
            Edit::Replace(splice) => splices.push((splice, change)),
            Edit::Add(splice) => additions.push((splice, change)),
            Edit::Create(splice) => left.push((splice, change)),
        }
    }
    splices.append(&mut additions);
    if splices.is_empty() && !left.is_empty() {
        splices.push(left.remove(0));
    }
    let left = left.into_iter().map(|(_, change)| change).collect();
    // Applied from the end, so that earlier positions stay valid. Of several after the same line, the outer and later one goes
    // first.
    splices.sort_by_key(|(splice, change)| (splice.range.start, std::cmp::Reverse(change.path.len())));
    let mut edited = texts.clone();
    splices.into_iter().rev().try_for_each(|(splice, _)| edited.replace(&splice))?;
    Ok((edited, left))
}

enum Edit {
    /// New text for an entry.
    Replace(Splice),
    /// New entry in a mapping with entries.
    Add(Splice),
    /// New entry together with the mapping around it, which other changes may need.
    Create(Splice),
}

struct Editor<'a> {
    text: &'a str,
    object: Object<'a>,
    change: &'a Change,
    smallest: Smallest,
}

impl Editor<'_> {
    fn locate(&self) -> Result<Edit, EditError> {
        let mut node = self.object.node;
        for (depth, key) in self.change.path.iter().enumerate() {
            self.expect_own(node, depth)?;
            let last = depth + 1 == self.change.path.len();
            let Some((name, value)) = node.entries().iter().find(|(name, _)| name.text() == Some(key)) else {
                let splice = self.add_to(node, depth)?;
                let in_entries = last && !node.entries().is_empty();
                return Ok(if in_entries { Edit::Add(splice) } else { Edit::Create(splice) });
            };
            match &value.kind {
                NodeKind::Scalar { .. } if last => {
                    self.expect_own(value, depth + 1)?;
                    return Ok(Edit::Replace(self.replace(name, value)));
                }
                NodeKind::Mapping(entries) if !last && (!entries.is_empty() || is_flow(node)) => node = value,
                NodeKind::Mapping(_) if !last => {
                    return Ok(Edit::Create(self.fill(name, value, depth + 1)));
                }
                NodeKind::Scalar { .. } if is_null(value) && !last => {
                    return Ok(Edit::Create(self.fill(name, value, depth + 1)));
                }
                _ => return Err(self.unexpected(value, depth + 1)),
            }
        }
        Err(EditError::Unsafe)
    }

    fn path_text(&self, depth: usize) -> String {
        let path = self.change.path.get(..depth).unwrap_or_default();
        let is_item = path.first().is_some_and(|first| first == "spec");
        let described = |part| if is_item { shown_key(part) } else { part };
        path.iter().map(String::as_str).map(described).collect::<Vec<_>>().join(".")
    }

    fn line(&self, node: &Node) -> usize {
        self.object.document.line_of(node)
    }

    fn expect_own(&self, node: &Node, depth: usize) -> Result<(), EditError> {
        if node.shared {
            return Err(EditError::Shared { path: self.path_text(depth), line: self.line(node) });
        }
        Ok(())
    }

    fn unexpected(&self, node: &Node, depth: usize) -> EditError {
        EditError::Unexpected { path: self.path_text(depth), line: self.line(node) }
    }

    fn range(&self, node: &Node) -> Range<usize> {
        self.object.document.range_of(node)
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn replace(&self, key: &Node, value: &Node) -> Splice {
        if value.range.is_empty() {
            let at = self.after_colon(key);
            return Splice { range: at..at, text: format!(" {}", scalar(&self.change.value)) };
        }
        let range = value_range(self.text, self.object.document, key, value);
        let old = self.text.get(range.clone()).unwrap_or_default();
        let quote = old.chars().next();
        let new = match quote {
            Some('"') => quoted(&self.change.value),
            _ if self.object.document.json => quoted(&self.change.value),
            Some('\'') if !self.change.value.contains(['\'', '\n']) => format!("'{}'", self.change.value),
            _ => scalar(&self.change.value),
        };
        Splice { range, text: new }
    }

    fn after_colon(&self, key: &Node) -> usize {
        after_colon(self.text, self.object.document, key)
    }

    /// Adds an entry to a mapping.
    fn add_to(&self, mapping: &Node, depth: usize) -> Result<Splice, EditError> {
        let key = self.change.path.get(depth).map_or("", String::as_str);
        match neighbour(mapping.entries(), key, self.object.document.json, self.smallest) {
            Some(Neighbour::After((name, value))) => Ok(self.add_after(mapping, name, value, depth)),
            Some(Neighbour::Before((name, _))) => Ok(self.add_before(mapping, name, depth)),
            None if is_flow(mapping) => {
                Ok(Splice { range: self.range(mapping), text: format!("{{{}}}", self.flow_entry(depth)) })
            }
            None => Err(self.unexpected(mapping, depth)),
        }
    }

    fn add_after(&self, mapping: &Node, name: &Node, value: &Node, depth: usize) -> Splice {
        let end = if value.range.is_empty() { self.range(name).end } else { self.range(value).end };
        if is_flow(mapping) {
            let space = Some(self.flow_space(mapping)).filter(|space| !space.is_empty()).unwrap_or(" ");
            return Splice { range: end..end, text: format!(",{space}{}", self.flow_entry(depth)) };
        }
        let at = self.end_of_line(end);
        let text = format!("{}{}", self.newline(), self.block_entry(depth, mapping.column));
        Splice { range: at..at, text }
    }

    fn add_before(&self, mapping: &Node, name: &Node, depth: usize) -> Splice {
        if is_flow(mapping) {
            let space = self.flow_space(mapping);
            let at = self.range(mapping).start + 1 + space.len();
            let space = if space.is_empty() { " " } else { space };
            return Splice { range: at..at, text: format!("{},{space}", self.flow_entry(depth)) };
        }
        let line = self.start_of_line(self.range(name).start);
        let entry = self.block_entry(depth, mapping.column);
        let at = line + mapping.column;
        if self.text.get(line..at).is_some_and(|lead| lead.trim().is_empty()) {
            let at = self.above_comments(line);
            return Splice { range: at..at, text: format!("{entry}{}", self.newline()) };
        }
        // First entry of a list item: `- a: 1`.
        let indentation = " ".repeat(mapping.column);
        Splice { range: at..at, text: format!("{}{}{indentation}", entry.trim_start(), self.newline()) }
    }

    /// Returns the whitespace after the opening bracket of a flow mapping.
    fn flow_space(&self, mapping: &Node) -> &str {
        let inner = self.text.get(self.range(mapping).start + 1..).unwrap_or_default();
        inner.get(..inner.len() - inner.trim_start().len()).unwrap_or_default()
    }

    fn start_of_line(&self, at: usize) -> usize {
        let document = self.object.document.range.start;
        let before = self.text.get(document..at).unwrap_or_default();
        document + before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Returns the start of the comments directly above this line, which describe it, or of the line itself. Comments above a
    /// blank line describe the whole mapping.
    fn above_comments(&self, line: usize) -> usize {
        let before = self.text.get(self.object.document.range.start..line).unwrap_or_default();
        let lines = before.split_inclusive('\n').rev();
        let comments = lines.take_while(|line| line.trim_start().starts_with('#'));
        line - comments.map(str::len).sum::<usize>()
    }

    /// Creates a mapping for a key without one: `key:`, `key: null` or `key: {}`.
    fn fill(&self, key: &Node, value: &Node, depth: usize) -> Splice {
        let at = self.after_colon(key);
        let end = self.end_of_line(at);
        let start = if value.range.is_empty() { at } else { self.range(value).end };
        let kept = self.text.get(start..end).unwrap_or_default().trim_end();
        let entry = self.block_entry(depth, key.column + 2);
        Splice { range: at..end, text: format!("{kept}{}{entry}", self.newline()) }
    }

    /// Returns the end of the line that contains the last non-blank character before `end`.
    fn end_of_line(&self, end: usize) -> usize {
        let last = self.text.get(..end).unwrap_or_default().trim_end().len();
        end_of_line(self.text, last)
    }

    fn rest(&self, depth: usize) -> &[String] {
        self.change.path.get(depth..).unwrap_or_default()
    }

    fn block_entry(&self, depth: usize, column: usize) -> String {
        let mut lines = Vec::new();
        for (level, key) in self.rest(depth).iter().enumerate() {
            lines.push(format!("{}{}:", " ".repeat(column + 2 * level), scalar(key)));
        }
        format!("{} {}", lines.join(self.newline()), scalar(&self.change.value))
    }

    fn flow_entry(&self, depth: usize) -> String {
        let inner = self
            .rest(depth)
            .iter()
            .rev()
            .fold(quoted(&self.change.value), |inner, key| format!("{{{}: {inner}}}", quoted(key)));
        inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(&inner).to_owned()
    }
}

/// Existing entry next to which another one is added.
enum Neighbour<'a> {
    After(&'a (Node, Node)),
    Before(&'a (Node, Node)),
}

/// Returns the last smaller entry of a sorted mapping, or the first entry if all are greater; for others the last entry.
fn neighbour<'a>(
    entries: &'a [(Node, Node)],
    key: &str,
    json: bool,
    smallest: Smallest,
) -> Option<Neighbour<'a>> {
    let own: Vec<&(Node, Node)> = entries.iter().filter(|(name, _)| !name.shared).collect();
    let Some(order) = order_of(&own, json) else { return own.last().copied().map(Neighbour::After) };
    let smaller = own.iter().rev().find(|(name, _)| order(text_of(name), key).is_lt()).copied();
    let first = || own.first().copied();
    match smallest {
        Smallest::First => smaller.map(Neighbour::After).or_else(|| first().map(Neighbour::Before)),
        Smallest::Second => smaller.or_else(first).map(Neighbour::After),
    }
}

type Order = fn(&str, &str) -> Ordering;

/// Returns the order of the entries: that of Go's YAML, or that of its JSON and most other tools. `None` if neither applies.
fn order_of(entries: &[&(Node, Node)], json: bool) -> Option<Order> {
    let orders: [Order; 2] = [natural_order, str::cmp];
    let is_sorted =
        |order: &Order| entries.is_sorted_by(|(a, _), (b, _)| order(text_of(a), text_of(b)).is_le());
    orders.into_iter().skip(usize::from(json)).find(is_sorted)
}

fn text_of(name: &Node) -> &str {
    name.text().unwrap_or_default()
}

fn is_flow(node: &Node) -> bool {
    node.flow
}

fn is_null(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::Scalar { text, plain: true } if resolve(text) == Resolved::Null)
}

/// Writes a text as a scalar of one line: plain if every reader gets the same text back, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let bare = text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=._-".contains(&byte))
        && !wants_quotes(text);
    if bare { text.to_owned() } else { quoted(text) }
}

/// Writes JSON notation, which is also a double-quoted YAML scalar.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, path: &str, value: &str) -> Result<String, EditError> {
        let path = path.split('.').map(str::to_owned).collect();
        apply(text, &[Change { object: 0, path, value: value.to_owned() }])
    }

    const COMMENTED: &str = "# top\nspec:   # s\n    encryptedData:\n        # about a\n        a: AgX  # why\n        c: 'AgY'\n    template: {type: Opaque}\n";

    #[test]
    fn a_replaced_item_changes_its_own_text_only() {
        assert_eq!(
            edit(COMMENTED, "spec.encryptedData.a", "AgNew").unwrap(),
            COMMENTED.replace("AgX", "AgNew")
        );
        assert_eq!(
            edit(COMMENTED, "spec.encryptedData.c", "Ag+/=").unwrap(),
            COMMENTED.replace("AgY", "Ag+/=")
        );
    }

    #[test]
    fn an_added_item_is_one_line_more_in_the_order_of_the_others() {
        let added = edit(COMMENTED, "spec.encryptedData.b", "AgZ").unwrap();
        assert_eq!(added, COMMENTED.replace("# why\n", "# why\n        b: AgZ\n"));
        let added = edit(COMMENTED, "spec.encryptedData.z", "AgZ").unwrap();
        assert_eq!(added, COMMENTED.replace("'AgY'\n", "'AgY'\n        z: AgZ\n"));
    }

    #[test]
    fn an_item_before_all_others_comes_first_and_comments_stay_with_their_items() {
        let added = edit(COMMENTED, "spec.encryptedData.A", "AgZ").unwrap();
        assert_eq!(added, COMMENTED.replace("        # about a\n", "        A: AgZ\n        # about a\n"));
        let parted = COMMENTED.replace("# about a\n", "# about all\n\n        # about a\n");
        let added = edit(&parted, "spec.encryptedData.A", "AgZ").unwrap();
        assert_eq!(added, parted.replace("        # about a\n", "        A: AgZ\n        # about a\n"));
    }

    #[test]
    fn an_item_before_all_others_is_added_in_every_style() {
        let cases = [
            ("b: 1\n", "a: z\nb: 1\n"),
            ("# c\r\nb: 1\r\n", "a: z\r\n# c\r\nb: 1\r\n"),
            ("\u{feff}b: 1\n", "\u{feff}a: z\nb: 1\n"),
            ("---\n# c\nb: 1", "---\na: z\n# c\nb: 1"),
            ("{c: x}\n", "{\"a\": \"z\", c: x}\n"),
            ("{ # c\n  b: x }\n", "{ \"a\": \"z\", # c\n  b: x }\n"),
            ("{\n  \"b\": 1\n}\n", "{\n  \"a\": \"z\",\n  \"b\": 1\n}\n"),
            ("? b\n: 1\n? c\n: 2\n", "a: z\n? b\n: 1\n? c\n: 2\n"),
            ("{? b : 1, c: 2}\n", "{\"a\": \"z\", ? b : 1, c: 2}\n"),
            ("kind: List\nitems:\n- b: x\n", "kind: List\nitems:\n- a: z\n  b: x\n"),
            ("kind: List\nitems:\n- ? b\n  : x\n", "kind: List\nitems:\n- a: z\n  ? b\n  : x\n"),
            ("&k b: 1\nc: 2\n", "&k b: 1\na: z\nc: 2\n"),
            ("d: 1\nc: 2\n", "d: 1\nc: 2\na: z\n"),
        ];
        for (before, wanted) in cases {
            assert_eq!(edit(before, "a", "z").unwrap(), wanted);
        }
        assert_eq!(edit("a:\n  ? c\n  : x\n", "a.b", "z").unwrap(), "a:\n  b: z\n  ? c\n  : x\n");
    }

    #[test]
    fn an_item_that_cannot_come_first_comes_after_the_first() {
        let text = "<<:\n  x: |\n    # no comment\nb: 1\nc: 2\n";
        assert_eq!(edit(text, "a", "z").unwrap(), text.replace("b: 1\n", "b: 1\na: z\n"));
    }

    #[test]
    fn several_items_before_all_others_stand_in_order() {
        let text = "spec:\n  data:\n    # about m\n    m: 1\n";
        let wanted = "spec:\n  data:\n    a: AgX\n    b: AgX\n    # about m\n    m: 1\n    o: AgX\n";
        assert_eq!(edit_all(text, &["spec.data.a", "spec.data.b", "spec.data.o"]), wanted);
        let flow = "{\"a\": {\"m\": \"1\"}}";
        let wanted = "{\"a\": {\"a\": \"AgX\", \"b\": \"AgX\", \"m\": \"1\"}}";
        assert_eq!(edit_all(flow, &["a.a", "a.b"]), wanted);
    }

    #[test]
    fn numbers_in_keys_sort_as_in_the_file() {
        let by_number = "k2: 1\nk10: 1\n";
        assert_eq!(edit(by_number, "k3", "z").unwrap(), "k2: 1\nk3: z\nk10: 1\n");
        let by_character = "k10: 1\nk2: 1\n";
        assert_eq!(edit(by_character, "k11", "z").unwrap(), "k10: 1\nk11: z\nk2: 1\n");
        let json = "{\"k10\": 1}";
        assert_eq!(edit(json, "k2", "z").unwrap(), "{\"k10\": 1, \"k2\": \"z\"}");
        assert_eq!(edit_all("a: 1\n", &["k10", "k2"]), "a: 1\nk2: AgX\nk10: AgX\n");
    }

    #[test]
    fn json_stays_json() {
        let json = "{\n  \"spec\": {\n    \"encryptedData\": {\n      \"a\": \"AgX\"\n    }\n  }\n}\n";
        let wanted = json.replace("\"AgX\"", "\"AgX\",\n      \"b\": \"AgY\"");
        assert_eq!(edit(json, "spec.encryptedData.b", "AgY").unwrap(), wanted);
        assert_eq!(edit("{\"a\":{}}", "a.b.c", "1").unwrap(), "{\"a\":{\"b\": {\"c\": \"1\"}}}");
    }

    #[test]
    fn absent_maps_are_made() {
        assert_eq!(
            edit("spec:\n  x: 1\n", "spec.template.metadata.labels.a", "yes").unwrap(),
            "spec:\n  template:\n    metadata:\n      labels:\n        a: \"yes\"\n  x: 1\n"
        );
        for empty in ["{}", "null", "~", ""] {
            let text = format!("spec:\n  encryptedData: {empty} # c\n  z: 1\n");
            let edited = edit(&text, "spec.encryptedData.a", "AgX").unwrap();
            assert!(edited.ends_with(" # c\n    a: AgX\n  z: 1\n"), "{edited}");
        }
    }

    #[test]
    fn line_ends_are_preserved() {
        let edited = edit("a:\r\n  b: x\r\n", "a.c", "z").unwrap();
        assert_eq!(edited, "a:\r\n  b: x\r\n  c: z\r\n");
        assert_eq!(edit("a:\n  b: x", "a.c", "z").unwrap(), "a:\n  b: x\n  c: z");
    }

    #[test]
    fn a_block_scalar_gives_way_and_its_neighbours_stay() {
        let text = "a:\n  b: >-\n    Ag\n    X\n\n  # next\n  c: 1\n";
        assert_eq!(edit(text, "a.b", "AgNew").unwrap(), "a:\n  b: AgNew\n\n  # next\n  c: 1\n");
    }

    #[test]
    fn a_shared_node_is_refused() {
        assert!(matches!(edit("x: &x {b: 1}\na: *x\n", "a.b", "2"), Err(EditError::Shared { line: 2, .. })));
        assert!(matches!(edit("a: &x\n  b: 1\nc: *x\n", "a.b", "2"), Err(EditError::Shared { .. })));
        assert!(matches!(edit("a: [b]\n", "a.b", "2"), Err(EditError::Unexpected { .. })));
    }

    /// Applies one change per path, ordered by key as sealing does.
    fn edit_all(text: &str, paths: &[&str]) -> String {
        let change = |path: &&str| Change {
            object: 0,
            path: path.split('.').map(str::to_owned).collect(),
            value: "AgX".to_owned(),
        };
        apply(text, &paths.iter().map(change).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn items_that_are_added_together_stand_in_order_and_those_of_inner_maps_in_theirs() {
        let text = "spec:\n  data:\n    a: 1\n    d: 1\n";
        let paths = ["spec.data.a", "spec.data.b", "spec.data.c", "spec.data.e", "spec.data.f", "spec.extra"];
        let wanted = "spec:\n  data:\n    a: AgX\n    b: AgX\n    c: AgX\n    d: 1\n    e: AgX\n    f: AgX\n  extra: AgX\n";
        assert_eq!(edit_all(text, &paths), wanted);
        let flow = "{\"a\": {\"b\": \"1\", \"d\": \"1\"}}";
        let wanted = "{\"a\": {\"b\": \"1\", \"c\": \"AgX\", \"cc\": \"AgX\", \"d\": \"1\", \"e\": \"AgX\"}, \"f\": \"AgX\"}";
        assert_eq!(edit_all(flow, &["a.c", "a.cc", "a.e", "f"]), wanted);
    }

    #[test]
    fn a_map_that_is_made_takes_all_that_belongs_into_it() {
        let paths = ["spec.data.a", "spec.data.b", "spec.template.labels.x", "spec.template.labels.z"];
        let wanted =
            "spec:\n  data:\n    a: AgX\n    b: AgX\n  template:\n    labels:\n      x: AgX\n      z: AgX\n";
        assert_eq!(edit_all("spec:\n  data: {}\n", &paths), wanted);
        assert_eq!(
            edit_all("{\"spec\":{}}", &["spec.a.b", "spec.a.c"]),
            "{\"spec\":{\"a\": {\"b\": \"AgX\", \"c\": \"AgX\"}}}"
        );
    }

    #[test]
    fn five_thousand_items_are_added_in_one_round() {
        let many: Vec<String> = (0..5_000).map(|number| format!("spec.data.k{number:04}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let edited = edit_all("spec:\n  data:\n    a: 1\n", &many);
        assert_eq!(edited.lines().count(), 5_003);
    }

    #[test]
    fn only_the_object_that_is_meant_is_touched() {
        let text = "a: 1\n---\n# two\na: 1\n";
        let change = Change { object: 1, path: vec!["a".to_owned()], value: "AgX".to_owned() };
        assert_eq!(apply(text, &[change]).unwrap(), "a: 1\n---\n# two\na: AgX\n");
    }
}
