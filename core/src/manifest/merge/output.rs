//! The merged text: placeholders of items become items or conflicts.

use super::super::remove::{Removal, remove};
use super::item::{ItemState, Resolution};
use super::lines::{ItemLine, Line, Lines};
use super::plan::MergedObject;
use super::versions::{Conflict, Markers, ThreeWay};
use super::view::objects_of;

/// A character that no manifest contains. It encloses the number of an item in its placeholder.
pub(super) const EDGE: char = '\u{1}';
/// Value of an item that is removed at last, to leave `{}`.
const LAST: &str = "kubeseal-removes-this";

/// An item of the result by its number.
pub(super) struct Slots<'m> {
    objects: &'m [MergedObject],
    keys: Vec<(usize, &'m str)>,
}

/// The choice between the sides of a conflict.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    /// Both, with markers.
    Marked,
    /// One of them.
    One,
}

impl<'m> Slots<'m> {
    pub(super) fn of(objects: &'m [MergedObject]) -> Self {
        let objects_with_lines = objects.iter().enumerate().filter(|(_, object)| object.is_lines);
        let keys = objects_with_lines
            .flat_map(|(number, object)| object.order.iter().map(move |key| (number, key.as_str())))
            .collect();
        Self { objects, keys }
    }

    /// Returns the lines with a placeholder for each item.
    pub(super) fn placeholders(&self, lines: &Lines) -> String {
        let written = |line: &Line| match line {
            Line::Text(line) => line.clone(),
            Line::Item(ItemLine { object, key, indentation, comment, line_break }) => {
                let number = self.keys.iter().position(|slot| *slot == (*object, key.as_str()));
                let number = number.unwrap_or(usize::MAX);
                format!("{indentation}{EDGE}{number}{EDGE}{comment}{line_break}")
            }
        };
        lines.lines.iter().map(written).collect()
    }

    /// Replaces the placeholders. `None` if a conflict of an item is within a conflict of the text.
    pub(super) fn filled(
        &self,
        text: &str,
        markers: &Markers,
        has_text_conflicts: bool,
        sides: Sides,
    ) -> Option<(String, Vec<Conflict>)> {
        let (mut output, mut conflicts, mut is_inside) = (String::new(), Vec::new(), false);
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        for line in text.split_inclusive('\n') {
            if has_text_conflicts {
                is_inside |= markers.is_marker(line, '<');
                is_inside &= !markers.is_marker(line, '>');
            }
            let Some(place) = Placeholder::of(line) else {
                output.push_str(line);
                continue;
            };
            let (object, key) = *self.keys.get(place.number)?;
            let merged = self.objects.get(object)?;
            match merged.resolutions.get(key)? {
                Resolution::Item(state) => output.push_str(&place.filled(state)),
                Resolution::Absent if has_text_conflicts => {}
                Resolution::Absent => output.push_str(&place.with_last(key)),
                Resolution::Conflict if is_inside => return None,
                Resolution::Conflict => {
                    let states = merged.states(key);
                    if sides == Sides::One {
                        output.push_str(
                            &states
                                .ours
                                .or(states.theirs)
                                .map_or_else(String::new, |state| place.filled(state)),
                        );
                        continue;
                    }
                    let line = output.matches('\n').count() + 1;
                    conflicts.push(Conflict { line, key: key.to_owned() });
                    output.push_str(&place.conflict(&states, markers, newline));
                }
            }
        }
        let output = if has_text_conflicts { output } else { without_last(output)? };
        Some((output, conflicts))
    }
}

/// A line with the placeholder of an item.
struct Placeholder<'l> {
    number: usize,
    indentation: &'l str,
    comment: &'l str,
    line_break: &'l str,
}

impl<'l> Placeholder<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let mut parts = line.split(EDGE);
        let (indentation, number, rest) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let comment = rest.trim_end_matches(['\r', '\n']);
        Some(Self { number, indentation, comment, line_break: rest.get(comment.len()..)? })
    }

    fn filled(&self, state: &ItemState) -> String {
        let Self { indentation, comment, line_break, .. } = self;
        format!("{indentation}{}{comment}{}{line_break}", state.body, state.receipt)
    }

    fn with_last(&self, key: &str) -> String {
        let Self { indentation, comment, line_break, .. } = self;
        format!("{indentation}{}: {LAST}{comment}{line_break}", serde_json::Value::from(key))
    }

    fn conflict(&self, states: &ThreeWay<Option<&ItemState>>, markers: &Markers, newline: &str) -> String {
        let line_break = if self.line_break.is_empty() { newline } else { self.line_break };
        let own = Placeholder { line_break, ..*self };
        let filled = |state: Option<&ItemState>| state.map_or_else(String::new, |state| own.filled(state));
        let marker = |character, label| markers.line(character, label) + newline;
        let base =
            if markers.has_base { marker('|', Markers::BASE) + &filled(states.base) } else { String::new() };
        [
            marker('<', Markers::OURS),
            filled(states.ours),
            base,
            marker('=', ""),
            filled(states.theirs),
            marker('>', Markers::THEIRS),
        ]
        .concat()
    }
}

/// Removes the items that stand for none, so that their mappings are `{}`.
fn without_last(text: String) -> Option<String> {
    if !text.contains(LAST) {
        return Some(text);
    }
    let is_last = |state: &ItemState| state.value.as_deref() == Some(LAST);
    let objects = objects_of(&text)?;
    let removal = |(index, key): (usize, &String)| Removal {
        object: index,
        path: vec!["spec".to_owned(), "encryptedData".to_owned(), key.clone()],
    };
    let removals: Vec<Removal> = objects
        .iter()
        .flat_map(|object| object.items.iter().map(|(key, state)| (object.index, key, state)))
        .filter(|(_, _, state)| is_last(state))
        .map(|(index, key, _)| removal((index, key)))
        .collect();
    remove(&text, &removals).ok()
}
