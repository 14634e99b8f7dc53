//! Receipts in a manifest: the comments that end the lines of items.

use std::ops::Range;

use super::content::Content;
use super::edit_error::EditError;
use super::node::{Node, NodeKind};
use super::read::{Object, objects};
use super::span::items_of;
use super::split::{Document, documents};
use super::texts::{Splice, Texts, end_of_line, start_of_line};
use crate::receipt::{MARK, Receipt};

/// Space between an item and its receipt.
const SPACE: &str = "  ";

/// An item and its new receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemReceipt {
    /// Index among the objects of the text, from 0. Each item of a List counts as one object.
    pub object: usize,
    /// Key in `spec.encryptedData`.
    pub key: String,
    /// The receipt; `None` removes it.
    pub receipt: Option<Receipt>,
}

/// Writes receipts at the ends of the items' lines. Items in JSON, in flow style or in several lines have none; they stay as they
/// are.
///
/// # Errors
/// Returns an error if the text cannot be parsed, or an object does not exist.
pub fn write_receipts(text: &str, receipts: &[ItemReceipt]) -> Result<String, EditError> {
    let mut texts = Texts::of(text)?;
    let documents = documents(texts.parsed())?;
    let objects: Vec<Object<'_>> = documents.iter().flat_map(objects).collect();
    let mut splices = Vec::new();
    for ItemReceipt { object, key, receipt } in receipts {
        let object = objects.get(*object).ok_or(EditError::NoObject(*object))?;
        let items = items_of(object).filter(|items| !items.flow).map_or(&[][..], Node::entries);
        let item = items.iter().find(|(name, _)| name.text() == Some(key));
        let end = item.and_then(|(name, value)| end_of_item(texts.parsed(), object.document, name, value));
        splices.extend(end.and_then(|end| splice(texts.parsed(), end, receipt.as_ref())));
    }
    splices.sort_by_key(|splice| splice.range.start);
    splices.into_iter().rev().try_for_each(|splice| texts.replace(&splice))?;
    let content: Vec<Content> = documents.iter().map(|document| Content::of(&document.root)).collect();
    texts.expect_content(&content)?;
    Ok(texts.into_text())
}

/// Returns the byte range from the end of an item's value to the end of its line; `None` if it can have no receipt.
pub(super) fn end_of_item(
    text: &str,
    document: &Document,
    name: &Node,
    value: &Node,
) -> Option<Range<usize>> {
    let (key, value_range) = (document.range_of(name).start, document.range_of(value));
    let is_scalar = matches!(value.kind, NodeKind::Scalar { .. }) && !value.range.is_empty();
    let line = start_of_line(text, key)..end_of_line(text, key);
    let is_first = text.get(line.start..key)?.trim_start_matches('\u{feff}').trim().is_empty();
    let is_one_line = is_first && value_range.end <= line.end && value.line == name.line;
    if document.json || !is_scalar || !is_one_line {
        return None;
    }
    let rest = text.get(value_range.end..line.end)?;
    let is_comment =
        rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
    is_comment.then_some(value_range.end..line.end)
}

/// Returns the byte range of the receipt within the end of an item's line.
pub(super) fn receipt_range(rest: &str) -> Option<Range<usize>> {
    let at = rest.rfind(MARK).filter(|at| rest.get(..*at).is_some_and(|lead| lead.ends_with([' ', '\t'])))?;
    Some(at..rest.trim_end().len())
}

/// Returns the end of an item's line without its receipt.
pub(super) fn without_receipt(rest: &str) -> String {
    let Some(old) = receipt_range(rest) else { return rest.to_owned() };
    let lead = rest.get(..old.start).unwrap_or_default();
    let kept = lead.strip_suffix(SPACE).unwrap_or_else(|| lead.trim_end());
    format!("{kept}{}", rest.get(old.end..).unwrap_or_default())
}

fn splice(text: &str, end: Range<usize>, receipt: Option<&Receipt>) -> Option<Splice> {
    let rest = text.get(end.clone())?;
    match (receipt_range(rest), receipt) {
        (Some(old), Some(new)) => {
            Some(Splice { range: end.start + old.start..end.start + old.end, text: new.to_string() })
        }
        (Some(_), None) => Some(Splice { range: end, text: without_receipt(rest) }),
        (None, Some(new)) => Some(Splice { range: end.end..end.end, text: format!("{SPACE}{new}") }),
        (None, None) => None,
    }
}

/// The receipt of an item, as it is in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    None,
    /// It is not one of this ciphertext.
    Stale,
    /// It is that of this ciphertext.
    Valid(Receipt),
}

/// Reads the receipt of an item of a block mapping.
pub(super) fn receipt_of(text: &str, document: &Document, name: &Node, value: &Node) -> Found {
    let rest = end_of_item(text, document, name, value).and_then(|range| text.get(range));
    let Some(written) = rest.and_then(|rest| rest.get(receipt_range(rest)?)) else { return Found::None };
    let is_valid = |receipt: &Receipt| value.text().is_some_and(|ciphertext| receipt.is_of(ciphertext));
    written.parse().ok().filter(is_valid).map_or(Found::Stale, Found::Valid)
}

#[cfg(test)]
mod tests {
    use sealed_secrets_crds::Scope;

    use super::*;

    fn receipt(ciphertext: &str) -> Receipt {
        let key = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";
        Receipt::new(&key.parse().unwrap(), Scope::Strict, "shop", "db", ciphertext)
    }

    fn written(text: &str, receipt: Option<Receipt>) -> String {
        write_receipts(text, &[ItemReceipt { object: 0, key: "a".to_owned(), receipt }]).unwrap()
    }

    fn read(text: &str) -> Found {
        let documents = documents(text).unwrap();
        let items = documents[0].root.get("spec").unwrap().get("encryptedData").unwrap().entries();
        receipt_of(text, &documents[0], &items[0].0, &items[0].1)
    }

    fn with(line: &str) -> String {
        format!("spec:\n  encryptedData:\n    # about\n    {line}\n    b: AgY # x\n")
    }

    #[test]
    fn a_receipt_ends_the_line_of_its_item_and_goes_without_a_trace() {
        for line in ["a: AgX", "a: 'AgX'", "\"a\": \"AgX\"", "a: AgX  # since 2024", "a: AgX   ", "a: AgX\r"]
        {
            let before = with(line);
            let after = written(&before, Some(receipt("AgX")));
            let end = if line.ends_with('\r') { "\r" } else { "" };
            assert_eq!(after, with(&format!("{}  {}{end}", line.trim_end_matches('\r'), receipt("AgX"))));
            assert_eq!(read(&after), Found::Valid(receipt("AgX")));
            assert_eq!(written(&after, Some(receipt("AgX"))), after);
            assert_eq!(written(&after, None), before);
        }
    }

    #[test]
    fn a_new_receipt_replaces_the_old_one_and_no_other_comment() {
        let old = with(&format!("a: AgX # kubeseal wrote this  {}", receipt("AgOld")));
        assert_eq!(read(&old), Found::Stale);
        let new = with(&format!("a: AgX # kubeseal wrote this  {}", receipt("AgX")));
        assert_eq!(written(&old, Some(receipt("AgX"))), new);
        assert_eq!(read(&with("a: AgX  # kubeseal: what")), Found::Stale);
        assert_eq!(read(&with("a: AgX#kubeseal:what")), Found::None);
        assert_eq!(read(&with("a: AgX")), Found::None);
    }

    #[test]
    fn json_flow_style_and_items_in_several_lines_have_none() {
        for text in [
            "{\"spec\": {\"encryptedData\": {\"a\": \"AgX\"}}}\n".to_owned(),
            "spec: {encryptedData: {a: AgX}}\n".to_owned(),
            "spec:\n  encryptedData: {a: AgX}\n".to_owned(),
            "spec:\n  encryptedData: {\n    a: AgX\n  }\n".to_owned(),
            with("a: >-\n      AgX"),
            with("a:\n      AgX"),
            with("a: Ag\n      X"),
            with("a: {}"),
            with("a:"),
            with("? a\n    : AgX"),
        ] {
            assert_eq!(written(&text, Some(receipt("AgX"))), text);
        }
    }
}
