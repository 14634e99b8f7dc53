//! A parsed document whose every node knows its place in the text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};
use thiserror::Error;

/// Nodes that one document may have, aliases counted as often as they are used.
const MAX_NODES: usize = 500_000;
const MAX_DEPTH: usize = 64;

const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// Why a document cannot be parsed. Carries keys at most, never values.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// Not well-formed.
    #[error("not valid YAML or JSON: {0}")]
    Syntax(String),
    /// A key stands twice in one mapping; readers disagree on which one counts.
    #[error("the key {0:?} is there twice; remove one")]
    DuplicateKey(String),
    /// Keys must be text.
    #[error("a key must be a single word or text, not a list or mapping")]
    KeyNotScalar,
    /// Too many nodes, as aliases of aliases make them, or too deep.
    #[error("too large or too deeply nested; aliases may be used, but not to multiply content")]
    Budget,
    /// The tag `!!binary`.
    #[error("the tag !!binary is not supported; write base64 under data instead")]
    BinaryTag,
    /// `!!timestamp` and the like.
    #[error("a tag that Kubernetes manifests do not use; remove it, and put texts in quotes")]
    ForeignTag,
    /// An alias without an anchor before it.
    #[error("an alias names no anchor")]
    UnknownAlias,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar: its text after unescaping.
    Scalar {
        /// The text.
        text: String,
        /// Whether it is unquoted and untagged, so that YAML 1.1 may see something else than text in it.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the text; keys are scalars, and distinct.
    Mapping(Vec<(Node, Node)>),
}

/// A node of a document. Ranges are bytes of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands. For an alias, where the alias stands.
    pub range: Range<usize>,
    /// Line of its start, from 1.
    pub line: usize,
    /// Column of its start, from 0, in characters.
    pub column: usize,
    /// Whether it is written in flow style (`{}`, `[]`), or for scalars in quotes or as a block.
    pub flow: bool,
    /// Whether it is an alias of, or merged in from, content elsewhere, or carries an anchor or tag: not to be edited.
    pub shared: bool,
}

impl Node {
    /// Parses one document; `None` when there is nothing in it.
    ///
    /// # Errors
    /// With the line, from 1, at which it fails.
    pub(super) fn parse(source: &str) -> Result<Option<Self>, (NodeError, usize)> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let parser = Parser::new_from_str_with_options(source, options);
        let mut builder = Builder { parser, anchors: HashMap::new(), nodes: 0, line: 1 };
        let root = builder.document().map_err(|cause| (cause, builder.line))?;
        Ok(root.filter(|root| !root.is_empty_scalar()))
    }

    /// The value of a key of a mapping; `None` where there is no such key or this is no mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Keys and values of a mapping; nothing for other nodes.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.kind {
            NodeKind::Mapping(entries) => entries,
            NodeKind::Scalar { .. } | NodeKind::Sequence(_) => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::Sequence(_) | NodeKind::Mapping(_) => None,
        }
    }

    /// A node that stands for what is not there.
    pub(super) fn absent() -> Self {
        let kind = NodeKind::Mapping(Vec::new());
        Self { kind, range: 0..0, line: 1, column: 0, flow: false, shared: false }
    }

    fn is_empty_scalar(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if text.is_empty())
    }

    fn size(&self) -> usize {
        let inner = match &self.kind {
            NodeKind::Scalar { .. } => 0,
            NodeKind::Sequence(items) => items.iter().map(Self::size).sum(),
            NodeKind::Mapping(entries) => entries.iter().map(|(key, value)| key.size() + value.size()).sum(),
        };
        1 + inner
    }
}

struct Builder<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    line: usize,
}

impl<'a> Builder<'a> {
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
        self.count(1)?;
        if depth > MAX_DEPTH {
            return Err(NodeError::Budget);
        }
        let (kind, anchor, tagged, flow, end) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref())?;
                let flow = style != ScalarStyle::Plain;
                // The parser writes `~` for a value that is not there.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                (NodeKind::Scalar { text, plain }, anchor, tag.is_some(), flow, span)
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
            self.anchors.insert(anchor, node.clone());
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
        let mut keys = HashSet::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, span) => {
                    self.merge(&mut entries, merged, &mut keys)?;
                    return Ok((entries, span));
                }
                start => start,
            };
            let key = self.node(event, span, depth + 1)?;
            let name = key.text().ok_or(NodeError::KeyNotScalar)?.to_owned();
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if matches!(key.kind, NodeKind::Scalar { ref text, plain: true } if text == "<<") {
                merged.push(value);
                continue;
            }
            if !keys.insert(name.clone()) {
                self.line = key.line;
                return Err(NodeError::DuplicateKey(name));
            }
            entries.push((key, value));
        }
    }

    /// YAML 1.1 merge keys: what the mapping has itself wins, then the first of several.
    fn merge(
        &mut self,
        entries: &mut Vec<(Node, Node)>,
        merged: Vec<Node>,
        keys: &mut HashSet<String>,
    ) -> Result<(), NodeError> {
        for source in merged {
            let mappings = match source.kind {
                NodeKind::Sequence(items) => items,
                _ => vec![source],
            };
            for (mut key, mut value) in mappings.into_iter().flat_map(|mapping| mapping.entries().to_vec()) {
                self.count(value.size())?;
                key.shared = true;
                value.shared = true;
                if key.text().is_some_and(|name| keys.insert(name.to_owned())) {
                    entries.push((key, value));
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, NodeError> {
        let target = self.anchors.get(&id).ok_or(NodeError::UnknownAlias)?;
        let size = target.size();
        let mut node = target.clone();
        self.count(size)?;
        node.range = byte(span.start)..byte(span.end);
        (node.line, node.column, node.shared) = (span.start.line().max(1), span.start.col(), true);
        Ok(node)
    }

    fn count(&mut self, nodes: usize) -> Result<(), NodeError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(NodeError::Budget) } else { Ok(()) }
    }
}

/// The parser's own words, without a quotation of the text: that may be a plaintext.
fn syntax_text(error: &granit_parser::ScanError) -> String {
    let info = error.info();
    info.split_once(['\'', '"', '`']).map_or(info.clone(), |(before, _)| before.trim_end().to_owned())
}

/// A tag other than `!!str` asks for the eyes of YAML even on a quoted scalar.
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
    use std::fmt::Write as _;

    use super::*;

    fn parse(source: &str) -> Node {
        Node::parse(source).unwrap().unwrap()
    }

    fn refused(source: &str) -> NodeError {
        Node::parse(source).unwrap_err().0
    }

    #[test]
    fn every_node_knows_its_bytes() {
        let source = "é: 1\nkey: \"val\\n\" # c\nlist: [a, b]\n";
        let root = parse(source);
        assert_eq!(&source[root.get("key").unwrap().range.clone()], "\"val\\n\"");
        assert_eq!(&source[root.get("list").unwrap().range.clone()], "[a, b]");
        assert_eq!(root.get("key").unwrap().text(), Some("val\n"));
    }

    #[test]
    fn merge_keys_fill_in_what_is_absent() {
        let root = parse("base: &b {x: 1, y: 2}\nall: {<<: *b, x: 3}\n");
        let all = root.get("all").unwrap();
        assert_eq!(all.get("x").unwrap().text(), Some("3"));
        assert_eq!(all.get("y").unwrap().text(), Some("2"));
        assert!(all.get("y").unwrap().shared);
    }

    #[test]
    fn billion_laughs_are_refused_by_the_budget() {
        let mut source = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            writeln!(source, "a{level}: &a{level} [{}]", vec![before; 10].join(", ")).unwrap();
        }
        assert_eq!(refused(&source), NodeError::Budget);
    }

    #[test]
    fn what_is_not_a_mapping_of_distinct_texts_is_refused() {
        assert_eq!(refused("a: 1\na: 2\n"), NodeError::DuplicateKey("a".to_owned()));
        assert_eq!(refused("[a]: 1\n"), NodeError::KeyNotScalar);
        assert!(matches!(refused("a: b: c\n"), NodeError::Syntax(_)));
        assert!(matches!(refused("a:\n\tb: c\n"), NodeError::Syntax(_)));
    }

    #[test]
    fn a_tag_that_changes_what_a_scalar_means_is_refused() {
        assert_eq!(refused("a: !!binary aGk="), NodeError::BinaryTag);
        assert_eq!(refused("a: !<tag:yaml.org,2002:binary> 'aGk='"), NodeError::BinaryTag);
        assert_eq!(refused("a: !!timestamp 2024-01-01"), NodeError::ForeignTag);
        let plain = |source: &str| match &parse(source).get("a").unwrap().kind {
            NodeKind::Scalar { plain, .. } => *plain,
            other => panic!("{other:?}"),
        };
        assert_eq!((plain("a: !!str 5"), plain("a: !!int '5'"), plain("a: !own 5")), (false, true, false));
    }

    #[test]
    fn a_syntax_error_quotes_nothing_of_the_text() {
        for source in ["a: 'hunter2", "password: hunter2: x", "a: *hunter2", "a: !<hunter2", "{hunter2"] {
            let text = refused(source).to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
