//! Comments cite the numbered pages in one form, and only what has a heading there.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use sealed_secrets_tests::sources::known_files;
use sealed_secrets_tests::workspace;

/// A page whose headings are cited by number.
struct Page {
    path: &'static str,
    /// The texts before and after the number of a heading.
    heading: (&'static str, &'static str),
    /// The word with which a citation refers to a heading of the page.
    noun: &'static str,
}

// The paths are in two parts so that they are not citations.
const PAGES: [Page; 2] = [
    Page { path: concat!("docs", "/compatibility.md"), heading: ("### ", " "), noun: "section" },
    Page { path: concat!("docs", "/rotation-rules.md"), heading: ("## Rule ", ": "), noun: "rule" },
];

/// Earlier forms of citation: these words and a number.
const FORMER: [&str; 2] = ["compatibility ", "rotation rule"];

/// Notations in which comments or prose may cite.
const CITING: [&str; 9] = ["rs", "md", "toml", "yaml", "yml", "go", "tpl", "json", "txt"];

/// Paths and texts of all files that may cite and that Git knows or is about to know.
fn files() -> Vec<(String, String)> {
    let files = known_files(&[]).unwrap().into_iter().filter(|path| CITING.contains(&ending(path)));
    let read = |path: String| fs::read_to_string(workspace::root().join(&path)).ok().map(|text| (path, text));
    files.filter_map(read).collect()
}

/// Returns the text after the last dot of a path.
fn ending(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The numbers of a page's headings.
fn numbers(page: &Page) -> BTreeSet<String> {
    let text = fs::read_to_string(workspace::root().join(page.path)).unwrap();
    let (before, behind) = page.heading;
    let headings = text.lines().filter_map(|line| line.strip_prefix(before)?.split_once(behind));
    headings.map(|(number, _)| number.to_owned()).filter(|number| leading_number(number) == *number).collect()
}

/// The text as one line, without the marks of comments: a citation may go over two lines.
fn flowing(text: &str) -> String {
    let words = |line: &str| line.trim_start().trim_start_matches(['/', '!', '#', '*']).trim().to_owned();
    text.lines().map(words).collect::<Vec<_>>().join(" ")
}

/// The number that the text begins with, such as `3` or `4.1`; empty if there is none.
fn leading_number(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// The numbers of a citation from what stands behind the page's path: `, rule 3`, or `, rules 1, 2 and 7`. `None` where it has
/// another form.
fn cited<'a>(page: &Page, behind: &'a str) -> Option<Vec<&'a str>> {
    let rest = behind.strip_prefix(", ")?.strip_prefix(page.noun)?;
    if let Some(one) = rest.strip_prefix(' ') {
        return Some(vec![leading_number(one)]).filter(|numbers| !numbers[0].is_empty());
    }
    let mut rest = rest.strip_prefix("s ")?;
    let mut all = Vec::new();
    loop {
        let number = leading_number(rest);
        if number.is_empty() {
            return None;
        }
        all.push(number);
        rest = &rest[number.len()..];
        let next = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and "));
        match next.filter(|next| next.starts_with(|letter: char| letter.is_ascii_digit())) {
            Some(next) => rest = next,
            None => return Some(all),
        }
    }
}

/// The result for one file: the number of citations, and the faults of some.
#[derive(Default)]
struct Found {
    citations: usize,
    wrong: Vec<String>,
}

/// The citations of a file. Links are checked elsewhere, so prose may also name a page without a number.
fn check(path: &str, text: &str) -> Found {
    let (text, is_prose) = (flowing(text), ending(path) == "md");
    let mut found = Found { wrong: former_citations(path, &text), ..Found::default() };
    for page in &PAGES {
        let known = numbers(page);
        for (at, _) in text.match_indices(page.path) {
            let behind = &text[at + page.path.len()..];
            let told = format!("{path}: {}{}", page.path, behind.chars().take(30).collect::<String>());
            let Some(cited) = cited(page, behind) else {
                let wrong = format!("{told}: not `{}, {} N`", page.path, page.noun);
                found.wrong.extend((!is_prose).then_some(wrong));
                continue;
            };
            found.citations += cited.len();
            let unknown = cited.iter().filter(|number| !known.contains(**number));
            found.wrong.extend(unknown.map(|number| format!("{told}: no {} {number}", page.noun)));
        }
    }
    found
}

/// Returns the citations in an earlier form.
fn former_citations(path: &str, text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for former in FORMER {
        for (at, _) in text.match_indices(former) {
            let behind = text[at + former.len()..].trim_start_matches('s').trim_start();
            let number = leading_number(behind);
            if !number.is_empty() {
                all.push(format!("{path}: {former}… {number}: a former form of citation"));
            }
        }
    }
    all
}

#[test]
fn every_citation_names_a_heading_and_has_the_one_form() {
    let all: Vec<_> = files().iter().map(|(path, text)| check(path, text)).collect();
    let wrong: Vec<_> = all.iter().flat_map(|found| &found.wrong).cloned().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let citations: usize = all.iter().map(|found| found.citations).sum();
    assert!(citations > 10, "only {citations} citations were found");
}

#[test]
fn the_pages_have_the_headings_that_are_cited_most() {
    let [compatibility, rules] = PAGES.map(|page| numbers(&page));
    for number in ["1.1", "1.2", "1.3", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6"] {
        assert!(compatibility.contains(number), "{number} is not among {compatibility:?}");
    }
    assert_eq!(rules, (1..=9).map(|number| number.to_string()).collect());
}

#[test]
fn a_citation_is_read_in_every_place_and_over_two_lines() {
    let [compatibility, rules] = PAGES.map(|page| page.path);
    for text in [
        format!("//! The format ({compatibility}, section 4.1)."),
        format!("/// As in {compatibility}, section 4.1: a text"),
        format!("/// Ends with {compatibility}, section 4.1."),
        format!("    /// Ends with {compatibility},\n    /// section 4.1 of the page"),
        format!("# {rules}, rule 2, and more"),
    ] {
        let found = check("a.rs", &text);
        assert_eq!((found.citations, found.wrong), (1, Vec::new()), "{text}");
    }
    assert_eq!(check("a.rs", &format!("({rules}, rules 1, 2, 5 and 7)")).citations, 4);
    assert!(check("a.md", &format!("[the page]({compatibility}) and `{rules}`")).wrong.is_empty());
}

#[test]
fn a_dangling_citation_is_found() {
    let [compatibility, rules] = PAGES.map(|page| page.path);
    for text in [
        format!("/// ({compatibility}, section 4.9)"),
        format!("/// ({compatibility}, section 41)"),
        format!("/// ({rules}, rule 10)"),
        format!("/// ({rules}, rules 1, 2 and 12)"),
        format!("/// ({rules}, rule\n/// 10)"),
        format!("/// ({compatibility} 4.1)"),
        format!("/// ({compatibility}, 4.1)"),
        format!("/// ({rules}#rule-3)"),
        format!("/// ({} 4.1)", "compatibility"),
        format!("/// ({}\n/// 4.1)", "compatibility"),
        format!("/// (key-{} 3)", "rotation rule"),
        format!("/// (key-{} 1, 2 and 7)", "rotation rules"),
    ] {
        assert_eq!(check("a.rs", &text).wrong.len(), 1, "{text}");
    }
}
