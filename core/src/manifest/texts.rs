//! A text that is edited, together with the same text as it is parsed.

use std::ops::Range;

use memchr::{memchr, memrchr};

use super::content::Content;
use super::edit_error::EditError;
use super::mask::{Masked, mask};
use super::node::NodeError;
use super::split::{Document, ManifestError, documents};

/// Replacement of a range of the whole text.
#[derive(Clone)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// Parses a local file. If it is not YAML because of a template, its expressions are masked.
///
/// # Errors
/// Returns an error for the first document that cannot be parsed. If masking does not help, it is the error of the original.
pub(super) fn parse(text: &str) -> Result<(Vec<Document>, Option<Masked>), ManifestError> {
    let error = match documents(text) {
        Ok(documents) => return Ok((documents, None)),
        Err(error) => error,
    };
    let is_template =
        matches!(error.cause, NodeError::Syntax(_) | NodeError::Template | NodeError::KeyNotScalar);
    let masked = Some(text).filter(|_| is_template).and_then(mask).ok_or(error.clone())?;
    let documents = documents(&masked.text).map_err(|_| error)?;
    Ok((documents, Some(masked)))
}

/// A text, and its masked form if it is a template. Edits apply to both.
#[derive(Clone)]
pub(super) struct Texts {
    text: String,
    masked: Option<String>,
}

impl Texts {
    /// Parses a text, and masks it if it is a template.
    ///
    /// # Errors
    /// Returns an error if the text cannot be parsed.
    pub(super) fn of(text: &str) -> Result<Self, ManifestError> {
        let (_, masked) = parse(text)?;
        Ok(Self { text: text.to_owned(), masked: masked.map(|masked| masked.text) })
    }

    /// Returns the text to parse. Its positions are those of the edited text.
    pub(super) fn parsed(&self) -> &str {
        self.masked.as_ref().unwrap_or(&self.text)
    }

    pub(super) fn replace(&mut self, splice: &Splice) -> Result<(), EditError> {
        for text in self.masked.iter_mut().chain([&mut self.text]) {
            text.get(splice.range.clone()).ok_or(EditError::Unsafe)?;
            text.replace_range(splice.range.clone(), &splice.text);
        }
        Ok(())
    }

    /// Checks that the edited text still has the content of `wanted`, also when it is masked anew: an edit in the middle of an
    /// expression would be a part of it.
    ///
    /// # Errors
    /// Returns an error if the documents have another content.
    pub(super) fn expect_content(&self, wanted: &[Content]) -> Result<(), EditError> {
        let (documents, _) = parse(&self.text).map_err(|_| EditError::Unsafe)?;
        let found: Vec<Content> = documents.iter().map(|document| Content::of(&document.root)).collect();
        if found == wanted { Ok(()) } else { Err(EditError::Unsafe) }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Returns the text with these replacements, whose ranges have no byte in common.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    let mut text = text.to_owned();
    splices.sort_by_key(|splice| splice.range.start);
    splices.into_iter().rev().for_each(|splice| text.replace_range(splice.range, &splice.text));
    text
}

/// Returns the start of the line that contains this byte.
pub(super) fn start_of_line(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| memrchr(b'\n', before.as_bytes())).map_or(0, |newline| newline + 1)
}

/// Returns the end of the line that contains this byte, without its line break.
pub(super) fn end_of_line(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.get(..memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len())).unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}
