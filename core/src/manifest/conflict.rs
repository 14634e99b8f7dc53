//! Conflict markers of Git.

use memchr::memmem;

const OURS: &str = "<<<<<<<";
const BOUNDARY: &str = "=======";
const THEIRS: &str = ">>>>>>>";

/// Returns the line, from 1, of the first conflict with all of its markers. Some such texts are YAML, but not the intended one.
pub(crate) fn conflict_line(text: &str) -> Option<usize> {
    let begin = marker_line(text)?;
    let mut lines = text.lines().skip(begin);
    let is_whole = lines.any(|line| is_marker(line, BOUNDARY)) && lines.any(|line| is_marker(line, THEIRS));
    is_whole.then_some(begin)
}

/// Returns the line, from 1, of the first marker that begins a conflict.
pub(super) fn marker_line(text: &str) -> Option<usize> {
    memmem::find(text.as_bytes(), OURS.as_bytes())?;
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    lines.position(|line| is_marker(line, OURS)).map(|at| at + 1)
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::super::node::NodeError;
    use super::super::split::documents;
    use super::*;

    fn found(text: &str) -> (usize, usize) {
        let error = documents(text).unwrap_err();
        assert_eq!(error.cause, NodeError::Conflict, "{text}");
        (error.document, error.line)
    }

    #[test]
    fn a_conflict_is_named_by_the_line_of_its_first_marker_also_where_the_text_is_yaml() {
        let item = "kind: A\nspec:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> theirs\n";
        assert_eq!(found(item), (1, 3));
        assert_eq!(found(&item.replace('\n', "\r\n")), (1, 3));
        assert_eq!(found(&format!("\u{feff}{item}")), (1, 3));
        assert_eq!(found(&format!("# top\n---\nkind: B\n---\n{item}")), (2, 7));
        let between = "kind: A\n---\n<<<<<<< HEAD\n---\nkind: B\n---\n=======\n>>>>>>> theirs\n";
        assert_eq!(found(between), (2, 3));
        let json = "{\"a\": 1,\n<<<<<<< HEAD\n\"b\": 2,\n=======\n\"b\": 3\n>>>>>>> theirs\n}\n";
        assert_eq!(found(json), (1, 2));
        let ancestor = "a: 1\n<<<<<<< HEAD\nb: 1\n||||||| base\nb: 2\n=======\nb: 3\n>>>>>>> theirs\n";
        assert_eq!(found(ancestor), (1, 2));
        let template = "a: {{ .a }}\n<<<<<<< HEAD\nb: 1\n=======\nb: 3\n>>>>>>> theirs\n";
        assert_eq!(found(template), (1, 2));
    }

    #[test]
    fn a_marker_that_is_left_is_named_instead_of_the_mistake_that_it_causes() {
        assert_eq!(found("a: 1\n<<<<<<< HEAD\nb: 1\n"), (1, 2));
        assert_eq!(found("a: 1\nb: [\n<<<<<<<\n"), (1, 3));
    }

    #[test]
    fn texts_with_such_characters_within_a_value_have_no_conflict() {
        for text in [
            "a: |\n  <<<<<<< HEAD\n  x\n  =======\n  y\n  >>>>>>> theirs\n",
            "a: '<<<<<<< HEAD'\nb: =======\nc: '>>>>>>> theirs'\n",
            "# <<<<<<< HEAD\na: 1\n",
            "<<<<<<<<: a\n",
        ] {
            assert!(documents(text).is_ok(), "{text}");
        }
        assert_eq!(conflict_line("<<<<<<< a\n>>>>>>> b\n"), None);
    }
}
