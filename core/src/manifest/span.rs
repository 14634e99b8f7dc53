//! Positions of items in the whole text.

use std::ops::Range;

use super::node::Node;
use super::read::Object;
use super::split::Document;

/// Returns the position after the colon of a key.
pub(super) fn after_colon(text: &str, document: &Document, key: &Node) -> usize {
    let end = document.range_of(key).end;
    text.get(end..).and_then(|rest| rest.find(':')).map_or(end, |colon| end + colon + 1)
}

/// Returns the byte range of a value: with the header of a block scalar, and without the blank lines after it. The range of an
/// absent value is empty, after the colon.
pub(super) fn value_range(text: &str, document: &Document, key: &Node, value: &Node) -> Range<usize> {
    let range = document.range_of(value);
    if range.is_empty() && !value.flow {
        let at = after_colon(text, document, key);
        return at..at;
    }
    let start = header_of_block(text, document, key, value).unwrap_or(range.start);
    let length = text.get(start..range.end).unwrap_or_default().trim_end().len();
    start..start + length
}

/// Returns the position of the `|` or `>` of a block scalar, which the parser excludes.
fn header_of_block(text: &str, document: &Document, key: &Node, value: &Node) -> Option<usize> {
    let range = document.range_of(value);
    if !value.flow || value.text().is_none() || text.get(range.start..)?.starts_with(['"', '\'']) {
        return None;
    }
    let start = after_colon(text, document, key);
    text.get(start..range.start)?.find(['|', '>']).map(|header| start + header)
}

/// Returns the quote that a value begins with; empty if there is none.
pub(super) fn quote_of(value: &str) -> String {
    value.chars().next().filter(|first| matches!(first, '"' | '\'')).map_or_else(String::new, String::from)
}

/// Returns true if one of these ranges has a byte in common with `range`.
pub(super) fn overlaps(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    ranges.iter().any(|other| other.start < range.end && range.start < other.end)
}

/// Returns the mapping `spec.encryptedData` of an object.
pub(super) fn items_of<'a>(object: &Object<'a>) -> Option<&'a Node> {
    object.node.get("spec")?.get("encryptedData")
}
