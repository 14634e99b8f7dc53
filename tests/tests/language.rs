//! The language of doc comments, of the CRDs' descriptions and of pages, by the rules that a program can check.

#![cfg(test)]

use std::fs;

use sealed_secrets_tests::sources::files_below;
use sealed_secrets_tests::workspace;

/// Words that begin an indirect question or a relative clause. A description begins with a noun or a verb instead.
const NOT_FIRST: [&str; 16] = [
    "What",
    "Whether",
    "Who",
    "Whoever",
    "One that",
    "Why",
    "How",
    "When",
    "Where",
    "Which",
    "That",
    "Returns what",
    "Returns whether",
    "Returns who",
    "Returns why",
    "Returns how",
];

/// The folders whose Rust sources are checked.
const SOURCES: [&str; 6] = ["core", "crds", "controller", "cli", "xtask", "tests"];

/// The folders with the CRDs, whose descriptions `kubectl explain` prints.
const CRDS: [&str; 2] = ["crds", "deploy"];

/// The pages that are checked, and folders of pages.
const PAGES: [&str; 7] =
    ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md", "docs", "deploy"];

/// The maximum number of characters in a line of prose.
const MAX_LINE_LENGTH: usize = 160;

/// Asserts that `faults` finds no line in these files; the message names each with its file.
fn assert_clean(paths: &[&str], extension: &str, rule: &str, faults: impl Fn(&str) -> Vec<usize>) {
    let mut messages = Vec::new();
    for path in paths {
        let found = files_below(&workspace::root().join(path), extension).unwrap();
        assert!(!found.is_empty(), "no file *.{extension} in {path}");
        for file in found {
            let text = fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(workspace::root()).unwrap().display();
            let lines = faults(&text).into_iter();
            messages.extend(lines.map(|line| {
                format!("{name}:{line}: {}", text.lines().nth(line - 1).unwrap_or_default().trim())
            }));
        }
    }
    assert!(messages.is_empty(), "{} lines: {rule}\n{}", messages.len(), messages.join("\n"));
}

fn begins_badly(description: &str) -> bool {
    NOT_FIRST.iter().any(|words| {
        description.strip_prefix(words).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// The numbers of the first lines of doc comments that begin with one of [`NOT_FIRST`], or with a heading such as `# Errors`.
fn bad_comments(source: &str) -> Vec<usize> {
    let mut above = None;
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.trim_start();
        let marker = ["///", "//!"].into_iter().find(|marker| line.starts_with(marker));
        if let Some(marker) = marker.filter(|_| marker != above)
            && (begins_badly(line[marker.len()..].trim_start()) || line[marker.len()..].starts_with(" # "))
        {
            faults.push(number);
        }
        above = marker;
    }
    faults
}

/// The numbers of the first lines of descriptions in a CRD that begin with one of [`NOT_FIRST`].
fn bad_descriptions(manifest: &str) -> Vec<usize> {
    if !manifest.lines().any(|line| line == "kind: CustomResourceDefinition") {
        return Vec::new();
    }
    let mut lines = (1..).zip(manifest.lines()).peekable();
    let mut faults = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some(text) = line.trim_start().strip_prefix("description:") else { continue };
        let text = text.trim_start();
        let is_block = text.starts_with(['|', '>']);
        let below = lines.peek().filter(|_| is_block);
        let (number, first) = below.map_or((number, text), |&(number, line)| (number, line.trim_start()));
        if begins_badly(first.trim_start_matches(['"', '\''])) {
            faults.push(number);
        }
    }
    faults
}

/// The numbers of the lines of a page that are longer than [`MAX_LINE_LENGTH`], outside of tables, headings, code blocks and HTML
/// comments, and without lines that consist mostly of links.
fn long_lines(page: &str) -> Vec<usize> {
    let (mut is_code, mut is_comment) = (false, false);
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let text = line.trim_start();
        let is_fence = text.starts_with("```");
        is_code ^= is_fence;
        is_comment |= !is_code && text.starts_with("<!--");
        let is_prose = !(is_code || is_fence || is_comment || text.starts_with(['|', '#']));
        is_comment &= !text.contains("-->");
        let length = line.chars().count();
        if is_prose && length > MAX_LINE_LENGTH && 2 * length_of_links(line) <= length {
            faults.push(number);
        }
    }
    faults
}

/// The number of characters in the links and bare URLs of a line.
fn length_of_links(line: &str) -> usize {
    let parts: Vec<&str> = line.split("](").collect();
    let links = parts.windows(2).map(|pair| {
        let label = pair[0].rsplit('[').next().unwrap_or_default();
        let target = pair[1].split(')').next().unwrap_or_default();
        label.chars().count() + target.chars().count() + "[]()".len()
    });
    let words = line.split_whitespace().filter(|word| word.contains("://") && !word.contains("]("));
    links.sum::<usize>() + words.map(|word| word.chars().count()).sum::<usize>()
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    let rule = "the first line of a doc comment names a thing or says what it does";
    assert_clean(&SOURCES, "rs", rule, bad_comments);
}

#[test]
fn descriptions_of_fields_begin_with_a_noun_or_a_verb() {
    assert_clean(&CRDS, "yaml", "a description names a thing or says what it does", bad_descriptions);
}

#[test]
fn lines_of_pages_fit_into_an_editor() {
    let rule = format!("prose has at most {MAX_LINE_LENGTH} characters in a line");
    assert_clean(&PAGES, "md", &rule, long_lines);
}

#[test]
fn a_bad_doc_comment_is_found() {
    let source = [
        "/// What it is.",
        "fn one() {}",
        "    /// Whole.",
        "    /// What follows.",
        "fn two() {}",
        "//! One that works.",
        "/// Whether it works.",
        "// Who",
        "/// Why it fails.",
        "fn three() {}",
        "/// Returns why it fails.",
        "fn four() {}",
        "/// # Errors",
        "/// When it fails.",
        "fn five() {}",
        "/// Fails.",
        "///",
        "/// # Errors",
    ];
    assert_eq!(bad_comments(&source.join("\n")), [1, 6, 7, 9, 11, 13]);
}

#[test]
fn a_bad_description_is_found() {
    let crd = "kind: CustomResourceDefinition\na:\n  description: What.\n  description: \"Who, if any.\"\n  \
               description: |-\n    Whether it is.\n  description: The key.\n";
    assert_eq!(bad_descriptions(crd), [3, 4, 6]);
    assert!(bad_descriptions("kind: Other\ndescription: What.\n").is_empty());
}

#[test]
fn a_long_line_of_prose_is_found() {
    let long = "word ".repeat(33);
    let link = format!("See [{long}](docs/guide.md).");
    let page =
        format!("{long}\n# {long}\n| {long}\n```\n{long}\n```\n<!-- a\n{long}\n-->\n{link}\n- {long}\n");
    assert_eq!(long_lines(&page), [1, 11]);
}
