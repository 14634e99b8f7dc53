//! Positions of items in the whole text.

use std::ops::Range;

use super::node::Node;
use super::read::Object;
use super::split::Document;

/// Returns the byte range of a node in the whole text.
pub(super) fn range_of(document: &Document, node: &Node) -> Range<usize> {
    let start = document.range.start;
    start + node.range.start..start + node.range.end
}

/// Returns the position after the colon of a key.
pub(super) fn after_colon(text: &str, document: &Document, key: &Node) -> usize {
    let end = range_of(document, key).end;
    text.get(end..).and_then(|rest| rest.find(':')).map_or(end, |colon| end + colon + 1)
}

/// Returns the byte range of a value: with the header of a block scalar, and without the blank lines after it. The range of an
/// absent value is empty, after the colon.
pub(super) fn value_range(text: &str, document: &Document, key: &Node, value: &Node) -> Range<usize> {
    let range = range_of(document, value);
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
    let range = range_of(document, value);
    if !value.flow || value.text().is_none() || text.get(range.start..)?.starts_with(['"', '\'']) {
        return None;
    }
    let start = after_colon(text, document, key);
    text.get(start..range.start)?.find(['|', '>']).map(|header| start + header)
}

/// Returns the mapping `spec.encryptedData` of an object.
pub(super) fn items_of<'a>(object: &Object<'a>) -> Option<&'a Node> {
    object.node.get("spec")?.get("encryptedData")
}
