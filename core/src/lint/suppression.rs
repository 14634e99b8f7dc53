//! Comments that suppress rules in their document.

use super::rules::{NOT_CIPHERTEXT, PLAIN_SECRET, Rule};

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
    pub(super) fn of(text: &'t str) -> Self {
        let mut suppression = Self { ids: Vec::new(), has_former_mark: text.contains(FORMER_MARK) };
        // Searching for the first occurrence is faster than for all of them.
        let marks = text.contains(MARK).then(|| text.match_indices(MARK));
        for (at, _) in marks.into_iter().flatten() {
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
            let suppression = Suppression::of(text);
            [PLAIN_SECRET, DUPLICATE, NOT_CIPHERTEXT].map(|rule| suppression.covers(rule))
        };
        assert_eq!(covered("# kubeseal-lint: ignore KS001\na: b\n"), [true, false, false]);
        assert_eq!(covered("# kubeseal-lint: ignore KS001, KS005 a test\n"), [true, true, false]);
        assert_eq!(covered("# kubeseal-lint: ignore\n# KS001\n"), [false; 3]);
        assert_eq!(covered("# no-plain-secrets: ignore\n"), [true, false, true]);
        assert_eq!(covered("a: b\n"), [false; 3]);
    }
}
