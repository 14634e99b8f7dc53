//! A text that an editor has saved: its references to ciphertexts, and the values to seal.

use std::ops::Range;

use thiserror::Error;
use zeroize::Zeroizing;

use super::edit::{EditError, quoted, scalar};
use super::editor_text::{EditorText, SealedItem, Source};
use super::fields::{may_be_plaintext, unknown_fields};
use super::node::{Node, NodeKind};
use super::place::place_of;
use super::read::{Object, ciphertext, objects};
use super::receipts::{ItemReceipt, write_receipts};
use super::scalar::{Resolved, go_text, resolve};
use super::sealed::{Manifest, is_sealed_secret};
use super::span::{items_of, quote_of, value_range};
use super::split::ManifestError;
use super::summary::is_ciphertext;
use super::texts::{Splice, parse};
use crate::names::{KEY_RULE, refused_key};
use crate::receipt::Receipt;

/// Start of the lines that explain the text to its reader. They are not part of the file.
pub const HEADER_MARK: &str = "#~";
const REFERENCE: &str = "<sealed ";

/// The text cannot be saved. Quotes neither values nor invalid keys.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EditedError {
    /// The text cannot be parsed.
    #[error("{}", .0.cause)]
    Unreadable(ManifestError),
    /// A line of the text, from 1, and the reason.
    #[error("{1}")]
    At(usize, String),
}

impl EditedError {
    /// Returns the line of the edited text, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::Unreadable(error) => error.line,
            Self::At(line, _) => *line,
        }
    }
}

/// A value that was typed, to be sealed.
pub struct NewValue {
    /// Index of its SealedSecret among the objects of the edited text, from 0.
    pub object: usize,
    /// Key of the item.
    pub key: String,
    /// Its line in the edited text, from 1.
    pub line: usize,
    /// The value.
    pub value: Zeroizing<String>,
    range: Range<usize>,
    /// A value of which the ciphertext takes the quotes.
    quotes: String,
}

/// A text that an editor has saved.
pub struct EditedText {
    text: Zeroizing<String>,
    /// Replacements that need no sealing.
    splices: Vec<Splice>,
    new: Vec<NewValue>,
    /// Objects, keys and ciphertexts that are referred to.
    kept: Vec<(usize, String, String)>,
}

impl EditorText {
    /// Reads the text that an editor has saved.
    ///
    /// # Errors
    /// Returns an error for the first line that cannot be saved.
    pub fn read(&self, edited: &str) -> Result<EditedText, EditedError> {
        let (documents, masked) = parse(edited).map_err(EditedError::Unreadable)?;
        let mut reader = Reader {
            editor_text: self,
            source: Source::of(edited, masked.as_ref()),
            splices: Vec::new(),
            new: Vec::new(),
            kept: Vec::new(),
            values: Vec::new(),
        };
        let mut others = 0;
        for (index, object) in documents.iter().flat_map(objects).enumerate() {
            if is_sealed_secret(object.node) {
                reader.expect_known_fields(&object)?;
                reader.read_object(index, object)?;
            } else if may_be_plaintext(object.node) {
                others += 1;
                reader.expect_no_more_others(&object, others)?;
            }
        }
        reader.expect_no_other_reference()?;
        let Reader { mut splices, new, kept, .. } = reader;
        splices.extend(self.header(edited));
        Ok(EditedText { text: Zeroizing::new(self.with_own_end(edited, &mut splices)), splices, new, kept })
    }

    /// Returns the removal of each header line. A line of the file that begins like one stays.
    fn header(&self, edited: &str) -> Vec<Splice> {
        let own: Vec<&str> = self.original.lines().filter(|line| line.starts_with(HEADER_MARK)).collect();
        let (mut splices, mut at) = (Vec::new(), 0);
        for line in edited.split_inclusive('\n') {
            let text = line.trim_start_matches('\u{feff}');
            if text.starts_with(HEADER_MARK) && !own.contains(&text.trim_end_matches(['\r', '\n'])) {
                splices.push(Splice {
                    range: at + line.len() - text.len()..at + line.len(),
                    text: String::new(),
                });
            }
            at += line.len();
        }
        splices
    }

    /// Takes the line break off that editors put at the end of a file that had none.
    fn with_own_end(&self, edited: &str, splices: &mut Vec<Splice>) -> String {
        let is_added = !self.original.ends_with('\n') && edited.ends_with('\n');
        let end =
            edited.strip_suffix('\n').map_or(edited, |text| text.strip_suffix('\r').unwrap_or(text)).len();
        if is_added && splices.iter().all(|splice| splice.range.end <= end) {
            splices.push(Splice { range: end..edited.len(), text: String::new() });
        }
        edited.to_owned()
    }
}

struct Reader<'a> {
    editor_text: &'a EditorText,
    source: Source<'a>,
    splices: Vec<Splice>,
    new: Vec<NewValue>,
    kept: Vec<(usize, String, String)>,
    /// Ranges of all values.
    values: Vec<Range<usize>>,
}

impl Reader<'_> {
    /// Expects no field that the file does not have and a SealedSecret cannot have: a value at a wrong place would stay plaintext.
    fn expect_known_fields(&self, object: &Object<'_>) -> Result<(), EditedError> {
        let is_new = |key: &&Node| {
            !self.source.is_templated(&object.document.range_of(key))
                && key.text().is_none_or(|text| !self.editor_text.unknown_fields.contains(text))
        };
        unknown_fields(object.node).into_iter().find(is_new).map_or(Ok(()), |key| {
            let reason = "a SealedSecret has no such field, and its value would not be sealed; items are indented below encryptedData";
            Err(EditedError::At(object.document.line_of(key), reason.to_owned()))
        })
    }

    /// Expects no new Secret, and no object that looks like a SealedSecret and is none: its values would stay plaintext.
    fn expect_no_more_others(&self, object: &Object<'_>, count: usize) -> Result<(), EditedError> {
        if count <= self.editor_text.others {
            return Ok(());
        }
        let reason = if items_of(object).is_none() {
            "a Secret that is not sealed; write its values below encryptedData of a SealedSecret"
        } else {
            "spec.encryptedData is for objects of kind SealedSecret, apiVersion bitnami.com/v1alpha1; here its values would not be sealed"
        };
        Err(EditedError::At(object.document.line_of(object.node), reason.to_owned()))
    }

    /// Expects `encryptedData` to be a mapping, if it is anything: what a list or a text holds would stay plaintext.
    fn expect_mapping(&self, object: &Object<'_>) -> Result<(), EditedError> {
        let Some(items) = items_of(object) else { return Ok(()) };
        let range = object.document.range_of(items);
        let is_nothing =
            items.text() == Some("") || items.text().is_some_and(|text| resolve(text) == Resolved::Null);
        if matches!(items.kind, NodeKind::Mapping(_)) || is_nothing || self.source.is_templated(&range) {
            return Ok(());
        }
        let reason = "encryptedData is a mapping of keys to values; anything else would not be sealed";
        Err(EditedError::At(object.document.line_of(items), reason.to_owned()))
    }

    fn read_object(&mut self, index: usize, object: Object<'_>) -> Result<(), EditedError> {
        self.expect_mapping(&object)?;
        let place = place_of(self.source.text, &object);
        for (key, value) in items_of(&object).map_or(&[][..], Node::entries) {
            let line = object.document.line_of(key);
            self.read_item(index, object, key, value, &place)
                .map_err(|reason| EditedError::At(line, reason))?;
        }
        Ok(())
    }

    fn read_item(
        &mut self,
        index: usize,
        object: Object<'_>,
        key: &Node,
        value: &Node,
        place: &[String],
    ) -> Result<(), String> {
        let range = value_range(self.source.parsed, object.document, key, value);
        self.values.push(range.clone());
        let name = key.text().unwrap_or_default();
        let key_start = object.document.range_of(key).start;
        if self.source.is_templated(&(key_start..range.end.max(key_start + 1))) {
            return self.expect_as_before(key_start..range.end);
        }
        if refused_key(name).is_some() {
            return Err(format!("an invalid KEY: {KEY_RULE}"));
        }
        let NodeKind::Scalar { text, plain } = &value.kind else {
            return Err(format!("{name}: a value is a text, not a mapping or list"));
        };
        if let Some(number) = reference(text) {
            let item = number.checked_sub(1).and_then(|number| self.editor_text.items.get(number));
            let item = item.ok_or_else(|| format!("{name}: there was no <sealed {number}>"))?;
            if item.place != place {
                return Err(format!(
                    "{name}: <sealed {number}> decrypts in {} only; type the value anew",
                    shown_place(&item.place)
                ));
            }
            self.splices.extend(refer(&self.source, item, object, key, value, &range));
            self.kept.push((index, name.to_owned(), item.ciphertext.clone()));
            return Ok(());
        }
        if is_ciphertext(text) {
            self.kept.push((index, name.to_owned(), text.to_string()));
            return Ok(());
        }
        if key.shared || value.shared {
            return Err(format!("{name} is an alias, or has an anchor or tag; write it out first"));
        }
        if contains_reference(text) {
            return Err(format!("{name}: <sealed …> stands for a whole value, and this value has more"));
        }
        if *plain && text.is_empty() {
            return Err(format!("{name}: there is no value; write '' for an empty one"));
        }
        if *plain && (resolve(text) == Resolved::Null || go_text(text) != **text) {
            return Err(format!(
                "{name}: this unquoted value is not a string in YAML 1.1 (kubectl); quote it"
            ));
        }
        let (key, line) = (name.to_owned(), object.document.line_of(key));
        let value = Zeroizing::new(text.to_string());
        let quotes = if object.document.json { "\"\"".to_owned() } else { self.quotes(name, place) };
        self.new.push(NewValue { object: index, key, line, value, range, quotes });
        Ok(())
    }

    /// Returns the quotes of the item that a new value replaces. Those that were typed may be there for the plaintext only.
    fn quotes(&self, key: &str, place: &[String]) -> String {
        let same = self.editor_text.items.iter().find(|item| item.key == key && item.place == place);
        same.map_or_else(String::new, |item| quote_of(&item.value))
    }

    /// A value with an expression of a template is left unchanged: the rendered value is unknown, so it cannot be sealed.
    fn expect_as_before(&self, item: Range<usize>) -> Result<(), String> {
        let text = self.source.text.get(item).unwrap_or_default();
        if self.editor_text.original.contains(text) && !contains_reference(text) {
            return Ok(());
        }
        Err("an item with {{ … }} in a Helm template cannot be sealed: the rendered value is unknown; use `kubeseal set` for such a value".to_owned())
    }

    /// Expects `<sealed N>` at no other place than the values of items, unless the file itself says so.
    fn expect_no_other_reference(&self) -> Result<(), EditedError> {
        if contains_reference(&self.editor_text.original) {
            return Ok(());
        }
        let text = self.source.text;
        for (at, _) in text.match_indices(REFERENCE) {
            let is_value = self.values.iter().any(|range| range.contains(&at));
            if !is_value && text.get(at..).is_some_and(starts_with_reference) {
                let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
                let reason = "<sealed …> stands for the value of an item; it has no meaning here";
                return Err(EditedError::At(line, reason.to_owned()));
            }
        }
        Ok(())
    }
}

/// Returns the replacements that put a ciphertext and its receipt back.
fn refer(
    source: &Source<'_>,
    item: &SealedItem,
    object: Object<'_>,
    key: &Node,
    value: &Node,
    range: &Range<usize>,
) -> Vec<Splice> {
    let written = source.text.get(range.clone()).unwrap_or_default();
    let is_as_shown =
        written == item.shown_value && (key.column == item.column || !item.value.contains('\n'));
    let text = if is_as_shown {
        item.value.clone()
    } else {
        notation(written, &item.ciphertext, object.document.json)
    };
    let mut splices = vec![Splice { range: range.clone(), text }];
    let Some(end) = source.rest(object, key, value) else { return splices };
    let rest = source.text.get(end.clone()).unwrap_or_default();
    let text = match &item.receipt {
        _ if rest == item.shown_rest => item.rest.clone(),
        Some(receipt) => format!("{}  {receipt}", rest.trim_end()),
        None => return splices,
    };
    splices.push(Splice { range: end, text });
    splices
}

/// Writes a ciphertext in place of a value, in the same quotes.
fn notation(written: &str, ciphertext: &str, is_json: bool) -> String {
    match written.chars().next() {
        Some('\'') => format!("'{ciphertext}'"),
        Some('"') => quoted(ciphertext),
        _ if is_json => quoted(ciphertext),
        _ => scalar(ciphertext),
    }
}

fn reference(text: &str) -> Option<usize> {
    text.trim().strip_prefix(REFERENCE)?.strip_suffix('>')?.parse().ok()
}

fn starts_with_reference(text: &str) -> bool {
    let rest = text.strip_prefix(REFERENCE).unwrap_or_default();
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with('>'))
}

fn contains_reference(text: &str) -> bool {
    text.match_indices(REFERENCE).any(|(at, _)| text.get(at..).is_some_and(starts_with_reference))
}

fn shown_place(place: &[String]) -> String {
    if place.is_empty() { "a cluster-wide SealedSecret".to_owned() } else { place.join("/") }
}

impl EditedText {
    /// Returns the values to seal.
    #[must_use]
    pub fn new_values(&self) -> &[NewValue] {
        &self.new
    }

    /// Returns the file. `sealed` are the ciphertexts of the values with their receipts, in the same order.
    ///
    /// # Errors
    /// Returns an error if the file would not have exactly these items.
    pub fn finish(&self, sealed: &[(String, Option<Receipt>)]) -> Result<String, EditError> {
        let new = self.new.iter().zip(sealed);
        let filled = new.clone().map(|(new, (ciphertext, _))| {
            let text = notation(&new.quotes, ciphertext, false);
            let text = if new.range.is_empty() { format!(" {text}") } else { text };
            Splice { range: new.range.clone(), text }
        });
        let mut splices: Vec<Splice> = self.splices.iter().cloned().chain(filled).collect();
        splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
        let (mut text, mut at) = (String::with_capacity(self.text.len()), 0);
        for splice in &splices {
            text.push_str(self.text.get(at..splice.range.start).ok_or(EditError::Unsafe)?);
            text.push_str(&splice.text);
            at = splice.range.end;
        }
        text.push_str(self.text.get(at..).ok_or(EditError::Unsafe)?);
        let receipts: Vec<ItemReceipt> = new
            .map(|(new, (_, receipt))| ItemReceipt {
                object: new.object,
                key: new.key.clone(),
                receipt: receipt.clone(),
            })
            .collect();
        let text = write_receipts(&text, &receipts)?;
        self.has_items(&text, sealed).then_some(text).ok_or(EditError::Unsafe)
    }

    fn has_items(&self, text: &str, sealed: &[(String, Option<Receipt>)]) -> bool {
        let Ok(manifest) = Manifest::parse(text) else { return false };
        let objects = manifest.objects();
        let has = |index: usize, key: &str, wanted: &str| {
            let node = objects
                .get(index)
                .and_then(|object| object.node().get("spec")?.get("encryptedData")?.get(key));
            node.is_some_and(|node| ciphertext(node) == Ok(wanted))
        };
        self.new.iter().zip(sealed).all(|(new, (item, _))| has(new.object, &new.key, item))
            && self.kept.iter().all(|(index, key, item)| has(*index, key, item))
    }
}
