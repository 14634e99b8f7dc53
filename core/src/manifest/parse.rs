//! Parses the text of one document to nodes.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};

use super::budget::Budget;
use super::node::{Node, NodeError, NodeKind};
use super::sensitive_text::SensitiveText;

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Parses one document. `None` if it is empty.
///
/// # Errors
/// Returns the error and its line, from 1.
pub(super) fn parse(source: &str, budget: &mut Budget) -> Result<Option<Node>, (NodeError, usize)> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(source, options);
    let mut builder = Builder { parser, anchors: HashMap::new(), budget, line: 1 };
    let root = builder.document().map_err(|cause| (cause, builder.line))?;
    Ok(root.filter(|root| !root.is_empty_scalar()))
}

struct Builder<'a, 'b> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    budget: &'b mut Budget,
    line: usize,
}

impl<'a> Builder<'a, '_> {
    fn document(&mut self) -> Result<Option<Node>, NodeError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (event, span) => {
                    let root = self.node(event, span, 0)?;
                    self.nothing_follows()?;
                    return Ok(Some(root));
                }
            }
        }
    }

    fn nothing_follows(&mut self) -> Result<(), NodeError> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd => {}
                _ => return Err(NodeError::Syntax("text after the end of the document".to_owned())),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), NodeError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line().max(1);
                Ok((event, span))
            }
            Some(Err(error)) => {
                self.line = error.marker().line().max(1);
                Err(NodeError::Syntax(syntax_text(&error)))
            }
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, self.line, 0)))),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, NodeError> {
        self.budget.node(depth)?;
        let (kind, anchor, tagged, flow, end) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref())?;
                let flow = style != ScalarStyle::Plain;
                // The parser reports an absent value as `~`.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                (
                    NodeKind::Scalar { text: SensitiveText::of_scalar(text), plain },
                    anchor,
                    tag.is_some(),
                    flow,
                    span,
                )
            }
            Event::SequenceStart(style, anchor, tag) => {
                let (items, end) = self.items(depth)?;
                (NodeKind::Sequence(items), anchor, foreign(tag.as_deref()), is_flow(style), end)
            }
            Event::MappingStart(style, anchor, tag) => {
                let (entries, end) = self.mapping(depth)?;
                (NodeKind::Mapping(entries), anchor, foreign(tag.as_deref()), is_flow(style), end)
            }
            _ => return Err(NodeError::UnknownAlias),
        };
        let range = byte(span.start)..byte(end.end);
        let (line, column) = (span.start.line().max(1), span.start.col());
        let node = Node { kind, range, line, column, flow, shared: tagged || anchor != 0 };
        if anchor != 0 {
            self.anchors.insert(anchor, self.budget.copy(&node, depth)?);
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<(Vec<Node>, Span), NodeError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => return Ok((items, span)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<(Node, Node)>, Span), NodeError> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut merged = Vec::new();
        let mut keys = Keys::default();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, span) => {
                    self.line = merged.first().map_or(self.line, |source: &Node| source.line);
                    merge(&mut entries, merged)?;
                    return Ok((entries, span));
                }
                start => start,
            };
            let key = self.node(event, span, depth + 1)?;
            let name = key.text().ok_or(NodeError::KeyNotScalar)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if matches!(&key.kind, NodeKind::Scalar { text, plain: true } if &**text == "<<") {
                merged.push(value);
                continue;
            }
            if keys.has(&entries, name) {
                self.line = key.line;
                return Err(NodeError::DuplicateKey(name.to_owned()));
            }
            entries.push((key, value));
        }
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, NodeError> {
        let target = self.anchors.get(&id).ok_or(NodeError::UnknownAlias)?;
        let mut node = self.budget.copy(target, depth)?;
        node.range = byte(span.start)..byte(span.end);
        (node.line, node.column, node.shared) = (span.start.line().max(1), span.start.col(), true);
        Ok(node)
    }
}

/// The keys of a mapping. While they are few, comparing costs less than hashing.
#[derive(Default)]
struct Keys(HashSet<String>);

impl Keys {
    const FEW: usize = 16;

    /// Returns true if an entry has this key. Of all calls for a mapping, each is made with one entry more.
    fn has(&mut self, entries: &[(Node, Node)], name: &str) -> bool {
        if entries.len() < Self::FEW {
            return entries.iter().any(|(key, _)| key.text() == Some(name));
        }
        if self.0.is_empty() {
            self.0 = names(entries);
        }
        !self.0.insert(name.to_owned())
    }
}

fn names(entries: &[(Node, Node)]) -> HashSet<String> {
    entries.iter().filter_map(|(key, _)| key.text()).map(str::to_owned).collect()
}

/// YAML 1.1 merge keys: the mapping's own entries win, then the first of several merged ones.
fn merge(entries: &mut Vec<(Node, Node)>, merged: Vec<Node>) -> Result<(), NodeError> {
    let mut keys = if merged.is_empty() { HashSet::new() } else { names(entries) };
    for source in merged {
        let mappings = match source.kind {
            NodeKind::Sequence(items) => items,
            _ => vec![source],
        };
        for mapping in mappings {
            let NodeKind::Mapping(inner) = mapping.kind else { return Err(NodeError::MergeNotMapping) };
            for (mut key, mut value) in inner {
                (key.shared, value.shared) = (true, true);
                if key.text().is_some_and(|name| keys.insert(name.to_owned())) {
                    entries.push((key, value));
                }
            }
        }
    }
    Ok(())
}

/// Returns the parser's message. These are fixed texts, except those that quote the input, which may be a plaintext.
fn syntax_text(error: &granit_parser::ScanError) -> String {
    match error.kind() {
        ErrorKind::UnexpectedCharacter { .. } => {
            "a character that begins nothing in YAML; put the value in quotes, or take control characters out"
                .to_owned()
        }
        ErrorKind::Custom(_) | ErrorKind::InputDecoding { .. } | ErrorKind::InputIo { .. } => {
            "the text cannot be read".to_owned()
        }
        _ => error.info(),
    }
}

/// A tag other than `!!str` makes even a quoted scalar subject to type resolution.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>) -> Result<bool, NodeError> {
    let Some(tag) = tag else { return Ok(style == ScalarStyle::Plain) };
    match tag.suffix_in_namespace(YAML_TAGS).as_deref() {
        None | Some("str") => Ok(false),
        Some("null" | "bool" | "int" | "float") => Ok(true),
        Some("binary") => Err(NodeError::BinaryTag),
        Some(_) => Err(NodeError::ForeignTag),
    }
}

fn foreign(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| !tag.is_yaml_core_schema())
}

fn is_flow(style: StructureStyle) -> bool {
    style == StructureStyle::Flow
}

fn byte(marker: Marker) -> usize {
    marker.byte_offset().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Node {
        parse(source, &mut Budget::of_own_file()).unwrap().unwrap()
    }

    fn refused(source: &str) -> NodeError {
        parse(source, &mut Budget::of_own_file()).unwrap_err().0
    }

    #[test]
    fn every_node_knows_its_bytes() {
        let source = "é: 1\nkey: \"val\\n\" # c\nlist: [a, b]\n";
        let root = read(source);
        assert_eq!(&source[root.get("key").unwrap().range.clone()], "\"val\\n\"");
        assert_eq!(&source[root.get("list").unwrap().range.clone()], "[a, b]");
        assert_eq!(root.get("key").unwrap().text(), Some("val\n"));
    }

    #[test]
    fn merge_keys_supply_absent_keys() {
        let root = read("base: &b {x: 1, y: 2}\nall: {<<: *b, x: 3}\n");
        let all = root.get("all").unwrap();
        assert_eq!(all.get("x").unwrap().text(), Some("3"));
        assert_eq!(all.get("y").unwrap().text(), Some("2"));
        assert!(all.get("y").unwrap().shared);
    }

    #[test]
    fn only_a_mapping_of_distinct_texts_is_accepted() {
        assert_eq!(refused("a: 1\na: 2\n"), NodeError::DuplicateKey("a".to_owned()));
        assert_eq!(refused("[a]: 1\n"), NodeError::KeyNotScalar);
        for source in ["<<: AgX", "<<: 5", "<<:", "<<: [{a: 1}, AgX]", "<<: [[{a: 1}]]"] {
            assert_eq!(refused(source), NodeError::MergeNotMapping, "{source}");
        }
        assert!(matches!(refused("a: b: c\n"), NodeError::Syntax(_)));
        assert!(matches!(refused("a:\n\tb: c\n"), NodeError::Syntax(_)));
    }

    #[test]
    fn a_tag_that_changes_the_meaning_of_a_scalar_is_refused() {
        assert_eq!(refused("a: !!binary aGk="), NodeError::BinaryTag);
        assert_eq!(refused("a: !<tag:yaml.org,2002:binary> 'aGk='"), NodeError::BinaryTag);
        assert_eq!(refused("a: !!timestamp 2024-01-01"), NodeError::ForeignTag);
        let plain = |source: &str| match &read(source).get("a").unwrap().kind {
            NodeKind::Scalar { plain, .. } => *plain,
            other => panic!("{other:?}"),
        };
        assert_eq!((plain("a: !!str 5"), plain("a: !!int '5'"), plain("a: !own 5")), (false, true, false));
    }

    #[test]
    fn a_syntax_error_ends_with_its_reason() {
        let reasons = [
            ("a: [1, 2\nb: c\n", "illegal placement of ':' indicator"),
            ("a: [1, 2", "unclosed bracket '['"),
            ("- a\nb: c\n", "did not find expected '-' indicator"),
            ("a: @b\n", "put the value in quotes"),
            ("a: 'b\n", "invalid indentation in multiline quoted scalar"),
            ("a: [b}\n", "bracket '[' closed by '}'"),
        ];
        for (source, reason) in reasons {
            let text = refused(source).to_string();
            assert!(text.contains(reason), "{source:?}: {text}");
        }
    }

    #[test]
    fn a_syntax_error_quotes_nothing_of_the_text() {
        for source in ["a: 'hunter2", "password: hunter2: x", "a: *hunter2", "a: !<hunter2", "{hunter2"] {
            let text = refused(source).to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
