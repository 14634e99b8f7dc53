//! The text that an editor shows of a file with SealedSecrets: no ciphertext, and no receipts.

use std::collections::BTreeSet;
use std::ops::Range;

use super::fields::{may_be_plaintext, unknown_fields};
use super::mask::Masked;
use super::node::Node;
use super::place::place_of;
use super::read::{Object, ciphertext, objects};
use super::receipts::{end_of_item, receipt_range, without_receipt};
use super::sealed::is_sealed_secret;
use super::span::{items_of, overlaps, quote_of, value_range};
use super::split::ManifestError;
use super::texts::{Splice, parse, spliced};

/// A file as an editor shows it: each value is `<sealed N>`, and receipts are left out.
pub struct EditorText {
    pub(super) original: String,
    text: String,
    pub(super) items: Vec<SealedItem>,
    /// Names of fields that a SealedSecret should not have.
    pub(super) unknown_fields: BTreeSet<String>,
    /// Number of other objects with `spec.encryptedData`, and of Secrets.
    pub(super) others: usize,
}

/// An item of the file, which `<sealed N>` stands for.
pub(super) struct SealedItem {
    /// The place that it is sealed for.
    pub(super) place: Vec<String>,
    pub(super) key: String,
    /// The base64 text.
    pub(super) ciphertext: String,
    /// The value in the file, with quotes or the header of a block, and its form in the editor.
    pub(super) value: String,
    pub(super) shown_value: String,
    /// Column of its key.
    pub(super) column: usize,
    /// The rest of the line, in the file and in the editor.
    pub(super) rest: String,
    pub(super) shown_rest: String,
    /// The text of the receipt.
    pub(super) receipt: Option<String>,
}

impl EditorText {
    /// Prepares a file for an editor.
    ///
    /// # Errors
    /// Returns an error for the first document that cannot be parsed.
    pub fn of(text: &str) -> Result<Self, ManifestError> {
        let (documents, masked) = parse(text)?;
        let source = Source::of(text, masked.as_ref());
        let (mut items, mut splices) = (Vec::new(), Vec::new());
        let (sealed, others): (Vec<_>, Vec<_>) =
            documents.iter().flat_map(objects).partition(|object| is_sealed_secret(object.node));
        let others = others.iter().filter(|object| may_be_plaintext(object.node)).count();
        let unknown = sealed.iter().flat_map(|object| unknown_fields(object.node));
        let unknown_fields = unknown.filter_map(|key| key.text().map(str::to_owned)).collect();
        for object in sealed {
            let place = place_of(text, &object);
            let entries = items_of(&object).map_or(&[][..], Node::entries);
            for (key, value) in entries {
                source.show(object, key, value, &place, &mut items, &mut splices);
            }
        }
        Ok(Self { original: text.to_owned(), text: spliced(text, splices), items, unknown_fields, others })
    }

    /// Returns the text for the editor.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A text and the same text as it is parsed.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) parsed: &'a str,
    expressions: &'a [Range<usize>],
}

impl<'a> Source<'a> {
    pub(super) fn of(text: &'a str, masked: Option<&'a Masked>) -> Self {
        let (parsed, expressions) =
            masked.map_or((text, &[][..]), |masked| (masked.text.as_str(), masked.expressions.as_slice()));
        Self { text, parsed, expressions }
    }

    /// Returns true if a template fills in a part of this range.
    pub(super) fn is_templated(&self, range: &Range<usize>) -> bool {
        overlaps(self.expressions, range)
    }

    fn show(
        &self,
        object: Object<'_>,
        key: &Node,
        value: &Node,
        place: &[String],
        items: &mut Vec<SealedItem>,
        splices: &mut Vec<Splice>,
    ) {
        let range = value_range(self.parsed, object.document, key, value);
        let Ok(ciphertext) = ciphertext(value) else { return };
        if key.shared || value.shared || self.is_templated(&range) {
            return;
        }
        let written = self.text.get(range.clone()).unwrap_or_default();
        let quote = quote_of(written);
        let shown_value = format!("{quote}<sealed {}>{quote}", items.len() + 1);
        splices.push(Splice { range: range.clone(), text: shown_value.clone() });
        let end = self.rest(object, key, value);
        let rest = end.clone().and_then(|end| self.text.get(end)).unwrap_or_default();
        let receipt = receipt_range(rest).and_then(|receipt| rest.get(receipt)).map(str::to_owned);
        let shown_rest = without_receipt(rest);
        if let Some(end) = end.filter(|_| shown_rest != rest) {
            splices.push(Splice { range: end, text: shown_rest.clone() });
        }
        items.push(SealedItem {
            place: place.to_vec(),
            key: key.text().unwrap_or_default().to_owned(),
            ciphertext: ciphertext.to_owned(),
            value: written.to_owned(),
            shown_value,
            column: key.column,
            rest: rest.to_owned(),
            shown_rest,
            receipt,
        });
    }

    /// Returns the range from the end of an item's value to the end of its line, if a receipt may be there.
    pub(super) fn rest(&self, object: Object<'_>, key: &Node, value: &Node) -> Option<Range<usize>> {
        let is_block = items_of(&object).is_some_and(|items| !items.flow);
        end_of_item(self.parsed, object.document, key, value).filter(|_| is_block)
    }
}
