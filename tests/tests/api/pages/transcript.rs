//! The commands of a page, with the output that it shows.

use std::fmt;

use sealed_secrets_tests::workspace;

/// A command of a `console` block, and the lines below it.
pub(super) struct Step {
    page: String,
    line: usize,
    /// The nearest heading above.
    pub(super) section: String,
    pub(super) command: String,
    /// The shown output; `…` stands for any text. Empty if the page shows none: then any output is allowed.
    pub(super) shown: String,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, line {}:\n$ {}\n{}", self.page, self.line, self.command, self.shown)
    }
}

impl Step {
    /// Returns true if the page shows an error, a finding, or a SealedSecret that does not decrypt.
    pub(super) fn fails(&self) -> bool {
        ["error: ", "error[", ": does not decrypt"].iter().any(|sign| self.shown.contains(sign))
    }
}

/// All steps of a page of this repository, in their order.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(workspace::root().join(page)).unwrap();
    let steps = steps_of(page, &text);
    assert!(!steps.is_empty(), "{page} has no commands");
    steps
}

fn steps_of(page: &str, text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut section = "";
    let mut in_console = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if let Some(heading) = line.strip_prefix('#').filter(|_| !in_console) {
            section = heading.trim_start_matches('#').trim();
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            let (page, section, command) = (page.to_owned(), section.to_owned(), command.to_owned());
            steps.push(Step { page, line: index + 1, section, command, shown: String::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| in_console) {
            let goes_on = step.shown.is_empty() && step.command.ends_with('\\');
            let part = if goes_on { &mut step.command } else { &mut step.shown };
            part.push_str(if goes_on { "\n" } else { "" });
            part.push_str(line);
            part.push_str(if goes_on { "" } else { "\n" });
        }
    }
    steps
}

/// Returns true if `said` matches `shown`, in which each `…` stands for any text; surrounding white space is ignored.
pub(super) fn matches(shown: &str, said: &str) -> bool {
    let (shown, said) = (shown.trim(), said.trim());
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_read_as_people_read_it() {
    let page =
        "Text.\n## Part\n```console\n$ a \\\n    b\nshown\nmore\n$ c\n```\n```yaml\n$ no: command\n```\n";
    let steps = steps_of("page", page);
    let read: Vec<_> = steps.iter().map(|step| (&step.command[..], &step.shown[..], step.line)).collect();
    assert_eq!(read, [("a \\\n    b", "shown\nmore\n", 4), ("c", "", 8)]);
    assert_eq!(steps[0].section, "Part");
}

#[test]
fn the_output_equals_the_page_except_for_ellipses() {
    for (shown, said) in
        [("a\n", "a"), ("a…", "a"), ("a … c", "a b\n c"), ("…b…", "abc"), ("a\n…", "a\nb\nc")]
    {
        assert!(matches(shown, said), "{shown:?} {said:?}");
    }
    for (shown, said) in [("a", "ab"), ("b", "ab"), ("a…c", "ab"), ("a…b…c", "ac"), ("a…a", "a")] {
        assert!(!matches(shown, said), "{shown:?} {said:?}");
    }
}
