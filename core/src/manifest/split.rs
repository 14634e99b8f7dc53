//! Splits a text into documents.

use std::iter;
use std::ops::Range;

use memchr::{memchr, memchr_iter};
use thiserror::Error;

use super::budget::Budget;
use super::conflict::{conflict_line, marker_line};
use super::node::{Node, NodeError};
use super::parse::parse;

/// A non-empty document and its position in the whole text.
#[derive(Clone, Debug)]
pub struct Document {
    /// Number among the non-empty documents, from 1.
    pub number: usize,
    /// Byte range in the whole text, without a leading `---`.
    pub range: Range<usize>,
    /// Number of lines before it in the text.
    pub lines_before: usize,
    /// True if written as JSON.
    pub json: bool,
    /// Root node.
    pub root: Node,
}

impl Document {
    /// Returns the line of a node in the whole text, from 1.
    pub(super) fn line_of(&self, node: &Node) -> usize {
        self.lines_before + node.line
    }

    /// Returns the byte range of a node in the whole text.
    pub(super) fn range_of(&self, node: &Node) -> Range<usize> {
        self.range.start + node.range.start..self.range.start + node.range.end
    }
}

/// A document cannot be parsed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("document {document}, line {line}: {cause}")]
pub struct ManifestError {
    /// Number among the non-empty documents, from 1.
    pub document: usize,
    /// Line of the whole text, from 1.
    pub line: usize,
    /// Cause of the error.
    pub cause: NodeError,
}

/// Splits a local file of the user into documents and parses each. Lines that begin with `---` separate YAML documents; JSON
/// documents may also directly follow each other. Empty documents (nothing but comments) are dropped.
///
/// # Errors
/// Returns an error for the first document that cannot be parsed, for a merge conflict, or if all together exceed the limits.
pub fn documents(text: &str) -> Result<Vec<Document>, ManifestError> {
    match conflict_line(text) {
        Some(line) => Err(conflict(text, line)),
        // A marker that is left is the cause of whatever else is wrong.
        None => read(text, Budget::of_own_file())
            .map_err(|error| marker_line(text).map_or(error, |line| conflict(text, line))),
    }
}

/// The error of a conflict that begins in this line.
fn conflict(text: &str, line: usize) -> ManifestError {
    let before: Vec<&str> = text.lines().take(line - 1).collect();
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let documents = before.split(|line| is_marker(line, "---"));
    let filled = documents.map(|lines| lines.iter().any(is_content)).collect::<Vec<_>>();
    let is_open = filled.last() == Some(&true);
    let document = filled.iter().filter(|is_filled| **is_filled).count() + usize::from(!is_open);
    ManifestError { document, line, cause: NodeError::Conflict }
}

/// Parses the only document of an untrusted text. `None` if it cannot be parsed, exceeds the size of one Kubernetes object, or is
/// one of several.
#[must_use]
pub fn only_document(text: &str) -> Option<Document> {
    let [document] = <[Document; 1]>::try_from(read(text, Budget::of_request()).ok()?).ok()?;
    Some(document)
}

fn read(text: &str, mut budget: Budget) -> Result<Vec<Document>, ManifestError> {
    let mut found = Vec::new();
    let (mut lines_before, mut scanned) = (0, 0);
    let error = |document, line, cause| ManifestError { document, line, cause };
    for chunk in chunks(text, &mut budget).map_err(|cause| error(1, 1, cause))? {
        let values = json_values(text, chunk, &mut budget);
        for range in values.map_err(|cause| error(found.len() + 1, lines_before + 1, cause))? {
            lines_before += newlines(text.get(scanned..range.start).unwrap_or_default());
            scanned = range.start;
            let source = text.get(range.clone()).unwrap_or_default();
            let number = found.len() + 1;
            let parsed = parse(source, &mut budget).map_err(|(cause, line)| or_template(source, cause, line));
            if let Some(root) = parsed.map_err(|(cause, line)| error(number, lines_before + line, cause))? {
                let json = source.trim_start().starts_with('{');
                found.push(Document { number, range, lines_before, json, root });
            }
        }
    }
    Ok(found)
}

/// Returns the error, or a template error if the line contains the braces of a template.
fn or_template(source: &str, cause: NodeError, line: usize) -> (NodeError, usize) {
    if !matches!(cause, NodeError::Syntax(_) | NodeError::KeyNotScalar) {
        return (cause, line);
    }
    let begins_value =
        |text: &str| text.trim_start().starts_with("{{") || text.contains(": {{") || text.contains("- {{");
    let is_template = source.lines().nth(line.saturating_sub(1)).is_some_and(begins_value);
    if is_template { (NodeError::Template, line) } else { (cause, line) }
}

/// Returns the byte ranges between YAML document markers.
pub(super) fn chunks(text: &str, budget: &mut Budget) -> Result<Vec<Range<usize>>, NodeError> {
    let mut found = Vec::new();
    let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = start;
    for line in whole_lines(text.get(start..).unwrap_or_default()) {
        if is_marker(line, "---") {
            if !is_prologue(text.get(start..at).unwrap_or_default()) {
                budget.document()?;
                found.push(start..at);
            }
            start = at + "---".len();
        } else if is_marker(line, "...") {
            budget.document()?;
            found.push(start..at);
            start = at + line.len();
        }
        at += line.len();
    }
    found.push(start..text.len());
    Ok(found)
}

/// The lines of a text, with their line breaks. The search is made for long lines, such as those of ciphertext.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let end = memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |newline| newline + 1);
        let (line, after) = rest.split_at_checked(end).filter(|(line, _)| !line.is_empty())?;
        rest = after;
        Some(line)
    })
}

/// The number of line breaks.
pub(super) fn newlines(text: &str) -> usize {
    memchr_iter(b'\n', text.as_bytes()).count()
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Returns true for directives such as `%YAML 1.2`, which belong to the following marker.
fn is_prologue(chunk: &str) -> bool {
    let mut lines =
        chunk.lines().filter(|line| !line.trim_start().is_empty() && !line.starts_with('#')).peekable();
    lines.peek().is_some() && lines.all(|line| line.starts_with('%'))
}

/// Splits a sequence of JSON values into one range per value; any other chunk is returned whole, for the YAML parser.
fn json_values(text: &str, chunk: Range<usize>, budget: &mut Budget) -> Result<Vec<Range<usize>>, NodeError> {
    let source = text.get(chunk.clone()).unwrap_or_default();
    if !source.trim_start().starts_with('{') {
        return Ok(vec![chunk]);
    }
    let mut stream = serde_json::Deserializer::from_str(source).into_iter::<serde::de::IgnoredAny>();
    let mut ranges = Vec::new();
    let mut start = 0;
    while let Some(value) = stream.next() {
        if value.is_err() {
            return Ok(vec![chunk]);
        }
        budget.document()?;
        ranges.push(chunk.start + start..chunk.start + stream.byte_offset());
        start = stream.byte_offset();
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        documents(text).unwrap().len()
    }

    #[test]
    fn documents_are_separated_by_markers_or_simply_follow_in_json() {
        assert_eq!(count("a: 1\n---\nb: 2\n"), 2);
        assert_eq!(count("{\"a\":1}{\"b\":2}\n{\"c\":3}"), 3);
        assert_eq!(count("{\"a\":1}\n---\n{\"b\":2}\n"), 2);
        assert_eq!(count("--- {a: 1}\n---\tb\n"), 2);
    }

    #[test]
    fn empty_documents_do_not_count() {
        assert_eq!(count(""), 0);
        assert_eq!(count("---\n# only a comment\n---\na: 1\n...\n---\n"), 1);
        assert_eq!(count("\u{feff}a: 1"), 1);
    }

    #[test]
    fn directives_belong_to_the_marker_after_them() {
        assert_eq!(count("# c\n%YAML 1.2\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n"), 2);
        assert!(documents("%YAML 1.2\na: 1\n---\n").is_err());
        assert!(documents("%YAML 1.2\n").is_err());
    }

    #[test]
    fn a_marker_within_a_line_or_word_separates_nothing() {
        assert_eq!(count("a: x---\nb: |\n  ---\n  text\n----: c\n"), 1);
    }

    #[test]
    fn braces_of_helm_are_called_so_where_they_stand() {
        let templates = [
            ("{{- if .Values.enabled }}\nkind: Secret\n{{- end }}\n", 1),
            ("kind: Secret\nmetadata:\n  name: {{ .Release.Name }}\n", 3),
            ("kind: Secret\nmetadata:\n  labels:\n    {{- include \"x\" . | nindent 4 }}\n", 4),
            ("kind: Secret\n{{- range .Values.all }}\nstringData: {}\n{{- end }}\n", 2),
            ("kind: Secret\nstringData:\n  a: {{ .Values.a | quote }}\n  b: {{ .Values.b }}\n", 3),
            ("items:\n- {{ .Values.a }}\n", 2),
            ("{{/* comment */}}\nkind: Secret\n", 1),
            ("kind: Secret\nname: {{ .Release.Name }}-db\n", 2),
        ];
        for (text, line) in templates {
            let error = documents(text).unwrap_err();
            assert_eq!((error.line, &error.cause), (line, &NodeError::Template), "{text}");
            assert!(error.to_string().contains("{{ … }} is a Helm or Go template"), "{error}");
        }
        let other = "data:\n  a: '{{ .x }}'\n  b: |\n    {{ .y }}\n  c: [\nd: e\n";
        assert!(matches!(documents(other).unwrap_err().cause, NodeError::Syntax(_)));
        assert_eq!(count("a: '{{ .x }}'\n"), 1);
    }

    #[test]
    fn an_error_names_the_document_and_the_line_of_the_whole_text() {
        let error = documents("a: 1\n---\nb: 2\nb: 3\n").unwrap_err();
        assert_eq!((error.document, error.line), (2, 4));
        assert_eq!(error.cause, NodeError::DuplicateKey("b".to_owned()));
    }
}
