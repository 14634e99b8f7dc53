//! Input and output of a merge.

/// The three versions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreeWay<T> {
    /// The common ancestor.
    pub base: T,
    /// The version that the other one is merged into.
    pub ours: T,
    /// The version that is merged.
    pub theirs: T,
}

impl<T> ThreeWay<T> {
    /// Converts each version; `None` if one conversion gives `None`.
    pub(super) fn try_map<U>(self, mut convert: impl FnMut(T) -> Option<U>) -> Option<ThreeWay<U>> {
        Some(ThreeWay { base: convert(self.base)?, ours: convert(self.ours)?, theirs: convert(self.theirs)? })
    }

    pub(super) fn map<U>(self, mut convert: impl FnMut(T) -> U) -> ThreeWay<U> {
        ThreeWay { base: convert(self.base), ours: convert(self.ours), theirs: convert(self.theirs) }
    }

    pub(super) fn as_ref(&self) -> ThreeWay<&T> {
        ThreeWay { base: &self.base, ours: &self.ours, theirs: &self.theirs }
    }

    pub(super) fn each(&self) -> [&T; 3] {
        [&self.base, &self.ours, &self.theirs]
    }
}

/// The form of conflict markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Characters of a marker, 7 by default.
    pub size: usize,
    /// True if a conflict shows the common ancestor, as `merge.conflictStyle` may say.
    pub has_base: bool,
}

impl Markers {
    /// The label of our version.
    pub const OURS: &'static str = "ours";
    /// The label of the common ancestor.
    pub const BASE: &'static str = "base";
    /// The label of their version.
    pub const THEIRS: &'static str = "theirs";

    /// Returns the line of a marker without a line break.
    pub(super) fn line(&self, character: char, label: &str) -> String {
        let marker: String = std::iter::repeat_n(character, self.size).collect();
        if label.is_empty() { marker } else { format!("{marker} {label}") }
    }

    /// Returns true if the line is a marker of this character.
    pub(super) fn is_marker(&self, line: &str, character: char) -> bool {
        let rest = line.trim_start_matches(character);
        line.len() - rest.len() == self.size * character.len_utf8()
            && (rest.trim().is_empty() || rest.starts_with(' '))
    }
}

/// The result of a merge of texts, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMerge {
    /// The text, with markers around conflicts.
    pub text: String,
    /// True if there is no conflict.
    pub is_clean: bool,
}

/// An item that both sides changed, or one changed and the other removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Line of its first marker in the merged text, from 1.
    pub line: usize,
    /// Key of the item.
    pub key: String,
}

/// A merged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The text, with markers around conflicts.
    pub text: String,
    /// True if there is no conflict.
    pub is_clean: bool,
    /// The conflicts of items, unless the whole text was merged line by line.
    pub conflicts: Vec<Conflict>,
}
