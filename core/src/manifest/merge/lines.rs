//! A version as lines, in which items with lines of their own are known by key.

use super::view::{ObjectView, objects_of};

/// A line, or the lines of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line with its line break.
    Text(String),
    Item(ItemLine),
}

/// The lines of an item, without its key, value and receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ItemLine {
    /// Number of the object among those that are merged.
    pub(super) object: usize,
    pub(super) key: String,
    pub(super) indentation: String,
    /// Comment after the value, without the receipt.
    pub(super) comment: String,
    pub(super) line_break: String,
}

impl ItemLine {
    fn is(&self, object: usize, key: &str) -> bool {
        self.object == object && self.key == key
    }
}

/// The lines of one version.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    line_break: &'static str,
}

impl Lines {
    /// Splits a text. `wanted` are the indices of objects, and their numbers. `None` if it cannot be parsed.
    pub(super) fn of(text: &str, wanted: &[(usize, usize)]) -> Option<Self> {
        let objects = objects_of(text)?;
        let find = |(index, number): &(usize, usize)| {
            objects.iter().find(|object| object.index == *index).map(|object| (object, *number))
        };
        let wanted: Vec<(&ObjectView, usize)> = wanted.iter().map(find).collect::<Option<_>>()?;
        let mut spans: Vec<_> = wanted
            .iter()
            .flat_map(|(object, number)| object.spans.iter().map(move |span| (span, *number)))
            .collect();
        spans.sort_by_key(|(span, _)| span.body.start);
        let (mut lines, mut at) = (Vec::new(), 0);
        for (span, object) in spans {
            let before = text.get(at..span.body.start)?;
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            lines.extend(before.get(..start)?.split_inclusive('\n').map(|line| Line::Text(line.to_owned())));
            let end = span.receipt.end;
            let rest = text.get(end..)?;
            let length =
                ["\r\n", "\n"].into_iter().find(|newline| rest.starts_with(newline)).map_or(0, str::len);
            lines.push(Line::Item(ItemLine {
                object,
                key: span.key.clone(),
                indentation: before.get(start..)?.to_owned(),
                comment: text.get(span.body.end..span.receipt.start)?.to_owned(),
                line_break: rest.get(..length)?.to_owned(),
            }));
            at = end + length;
        }
        lines.extend(text.get(at..)?.split_inclusive('\n').map(|line| Line::Text(line.to_owned())));
        Some(Self { lines, line_break: if text.contains("\r\n") { "\r\n" } else { "\n" } })
    }

    /// Returns the lines of an item.
    pub(super) fn find(&self, object: usize, key: &str) -> Option<&ItemLine> {
        self.items().find(|item| item.is(object, key))
    }

    fn items(&self) -> impl Iterator<Item = &ItemLine> {
        self.lines.iter().filter_map(|line| if let Line::Item(item) = line { Some(item) } else { None })
    }

    fn position(&self, found: impl Fn(&ItemLine) -> bool) -> Option<usize> {
        self.lines.iter().position(|line| matches!(line, Line::Item(item) if found(item)))
    }

    /// Inserts the items of an object that this version does not have, each after the one before it in `order`. `comment` is the
    /// comment of a new item. `None` if the object has no item at all.
    pub(super) fn insert_missing(
        &mut self,
        object: usize,
        order: &[String],
        comment: impl Fn(&str) -> String,
    ) -> Option<()> {
        let mut previous: Option<&String> = None;
        for key in order {
            if self.find(object, key).is_none() {
                let first = self.position(|item| item.object == object)?;
                let indentation = match self.lines.get(first) {
                    Some(Line::Item(item)) => item.indentation.clone(),
                    _ => return None,
                };
                let (key, comment) = (key.clone(), comment(key));
                let new =
                    ItemLine { object, key, indentation, comment, line_break: self.line_break.to_owned() };
                match previous {
                    Some(previous) => self.insert_after(previous, new)?,
                    None => self.lines.insert(self.above_comments(first), Line::Item(new)),
                }
            }
            previous = Some(key);
        }
        Some(())
    }

    fn insert_after(&mut self, previous: &str, mut new: ItemLine) -> Option<()> {
        let at = self.position(|item| item.is(new.object, previous))?;
        let Some(Line::Item(item)) = self.lines.get_mut(at) else { return None };
        if item.line_break.is_empty() {
            item.line_break = std::mem::take(&mut new.line_break);
        }
        self.lines.insert(at + 1, Line::Item(new));
        Some(())
    }

    /// Returns the position of the comments directly above this line, which belong to it.
    fn above_comments(&self, line: usize) -> usize {
        let before = self.lines.get(..line).unwrap_or_default().iter().rev();
        let is_comment =
            |line: &&Line| matches!(line, Line::Text(text) if text.trim_start().starts_with('#'));
        line - before.take_while(is_comment).count()
    }

    /// Removes items. If the last line goes and had no line break, the line before it loses its own.
    pub(super) fn remove(&mut self, object: usize, is_removed: impl Fn(&str) -> bool) {
        let is_open = matches!(self.lines.last(), Some(Line::Item(item)) if item.line_break.is_empty());
        self.lines.retain(
            |line| !matches!(line, Line::Item(item) if item.object == object && is_removed(&item.key)),
        );
        match self.lines.last_mut() {
            Some(Line::Item(item)) if is_open => item.line_break.clear(),
            Some(Line::Text(text)) if is_open => text.truncate(text.trim_end_matches(['\r', '\n']).len()),
            _ => {}
        }
    }

    /// Returns true if the versions differ in items only, which they have in the same order.
    pub(super) fn has_same_text(&self, other: &Self) -> bool {
        let common = |lines: &Self, other: &Self| -> Vec<Line> {
            let kept = lines.lines.iter().filter(|line| match line {
                Line::Text(_) => true,
                Line::Item(item) => other.find(item.object, &item.key).is_some(),
            });
            let without_break = |line: &Line| match line {
                Line::Text(text) => Line::Text(text.clone()),
                Line::Item(item) => Line::Item(ItemLine { line_break: String::new(), ..item.clone() }),
            };
            kept.map(without_break).collect()
        };
        self.is_open() == other.is_open() && common(self, other) == common(other, self)
    }

    /// Returns true if the last line has no line break.
    fn is_open(&self) -> bool {
        match self.lines.last() {
            Some(Line::Text(text)) => !text.ends_with('\n'),
            Some(Line::Item(item)) => item.line_break.is_empty(),
            None => false,
        }
    }
}
