//! Comments that suppress rules in their document.

use memchr::memmem;

use super::rules::{NOT_CIPHERTEXT, PLAIN_SECRET, Rule};
use crate::manifest::Manifest;

const MARK: &str = "kubeseal-lint: ignore";
/// The comment of the older hook, for its two rules.
const FORMER_MARK: &str = "no-plain-secrets: ignore";

/// The rules that a document suppresses.
#[derive(Debug, Default)]
pub(super) struct Suppression<'t> {
    ids: Vec<&'t str>,
    has_former_mark: bool,
}

impl<'t> Suppression<'t> {
    /// Reads the comments of a document. `manifest` is the parsed document, if it can be parsed: the words of a key or a value are no
    /// comment.
    pub(super) fn of(text: &'t str, manifest: Option<&Manifest>) -> Self {
        let is_comment = |at: &usize| manifest.is_none_or(|manifest| !manifest.is_content(*at));
        let comments =
            |mark: &'static str| memmem::find_iter(text.as_bytes(), mark.as_bytes()).filter(is_comment);
        let mut suppression =
            Self { ids: Vec::new(), has_former_mark: comments(FORMER_MARK).next().is_some() };
        for at in comments(MARK) {
            let rest = text.get(at + MARK.len()..).unwrap_or_default().lines().next().unwrap_or_default();
            let words = rest.split([' ', ',']).filter(|word| !word.is_empty());
            suppression.ids.extend(words.take_while(|word| word.starts_with("KS")));
        }
        suppression
    }

    pub(super) fn covers(&self, rule: &Rule) -> bool {
        let is_by_former_mark =
            self.has_former_mark && [PLAIN_SECRET.id, NOT_CIPHERTEXT.id].contains(&rule.id);
        is_by_former_mark || self.ids.contains(&rule.id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::DUPLICATE;
    use super::*;

    #[test]
    fn named_rules_are_suppressed_and_no_others() {
        let covered = |text: &str| {
            let manifest = Manifest::parse(text).ok();
            let suppression = Suppression::of(text, manifest.as_ref());
            [PLAIN_SECRET, DUPLICATE, NOT_CIPHERTEXT].map(|rule| suppression.covers(rule))
        };
        assert_eq!(covered("# kubeseal-lint: ignore KS001\na: b\n"), [true, false, false]);
        assert_eq!(covered("# kubeseal-lint: ignore KS001, KS005 a test\n"), [true, true, false]);
        assert_eq!(covered("# kubeseal-lint: ignore\n# KS001\n"), [false; 3]);
        assert_eq!(covered("# no-plain-secrets: ignore\n"), [true, false, true]);
        assert_eq!(covered("a: b\n"), [false; 3]);
        assert_eq!(covered("a: [ # kubeseal-lint: ignore KS001\n"), [true, false, false]);
    }

    #[test]
    fn the_words_of_a_value_or_a_key_suppress_nothing() {
        let text = |words: &str| {
            [
                format!("a: '# {words}'\n"),
                format!("- b\n- |\n  # {words}\n  c\n"),
                format!("{{\"a\": [\"{words}\"]}}"),
                format!("\"{words}\": b\n"),
            ]
        };
        for text in ["no-plain-secrets: ignore", "kubeseal-lint: ignore KS001"].into_iter().flat_map(text) {
            let manifest = Manifest::parse(&text).unwrap();
            assert!(!Suppression::of(&text, Some(&manifest)).covers(PLAIN_SECRET), "{text}");
        }
        let text = "a: |\n  b\n# kubeseal-lint: ignore KS001\nc: d # no-plain-secrets: ignore\n";
        let manifest = Manifest::parse(text).unwrap();
        let suppression = Suppression::of(text, Some(&manifest));
        assert!(suppression.covers(NOT_CIPHERTEXT) && suppression.ids == ["KS001"]);
    }
}
