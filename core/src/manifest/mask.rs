//! Masks the expressions of Go and Helm templates, so that the rest can be parsed.

use std::ops::Range;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
/// Digits of the number in a mask, which keeps masked keys distinct.
const DIGITS: usize = 3;

/// A text with masked expressions: as many bytes and lines as the original.
#[derive(Clone, Debug)]
pub(super) struct Masked {
    pub(super) text: String,
    /// Byte ranges of the expressions.
    pub(super) expressions: Vec<Range<usize>>,
}

/// Replaces each expression by a word of as many bytes, and blanks lines that have no other text but a comment. `None` if there is
/// no expression, or one has no end.
pub(super) fn mask(text: &str) -> Option<Masked> {
    let expressions = expressions(text)?;
    if expressions.is_empty() {
        return None;
    }
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for (number, range) in expressions.iter().enumerate() {
        masked.push_str(text.get(end..range.start)?);
        push_word(&mut masked, text.get(range.clone())?, number);
        end = range.end;
    }
    masked.push_str(text.get(end..)?);
    Some(Masked { text: with_blank_lines(&masked, &expressions)?, expressions })
}

/// Byte ranges of all expressions, with their braces. `None` if one has no end.
fn expressions(text: &str) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text.get(at..)?.find(OPEN) {
        let start = at + open;
        let length = length_of_expression(text.get(start..)?)?;
        found.push(start..start + length);
        at = start + length;
    }
    Some(found)
}

/// Length of the expression at the start of the text. Braces in strings and comments do not end it.
fn length_of_expression(text: &str) -> Option<usize> {
    let inner = text.get(OPEN.len()..)?;
    let begin = inner.strip_prefix('-').unwrap_or(inner).trim_start();
    if begin.starts_with("/*") {
        let comment = text.find("*/")?;
        return Some(comment + text.get(comment..)?.find(CLOSE)? + CLOSE.len());
    }
    let mut quote = None;
    let mut is_escaped = false;
    let mut previous = None;
    for (at, character) in inner.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some('"' | '\'') if character == '\\' => is_escaped = true,
            Some(open) if open == character => quote = None,
            None if matches!(character, '"' | '\'' | '`') => quote = Some(character),
            None if character == '}' && previous == Some('}') => return Some(OPEN.len() + at + 1),
            _ => {}
        }
        previous = quote.is_none().then_some(character);
    }
    None
}

/// Writes a word as long as the expression; its line breaks stay.
fn push_word(masked: &mut String, expression: &str, number: usize) {
    let word = format!("x{number:0>DIGITS$}");
    let mut word = word.bytes();
    for byte in expression.bytes() {
        let replaced = if matches!(byte, b'\n' | b'\r') { byte } else { word.next().unwrap_or(b'x') };
        masked.push(char::from(replaced));
    }
}

/// Blanks the expressions of lines that hold nothing else.
fn with_blank_lines(masked: &str, expressions: &[Range<usize>]) -> Option<String> {
    let mut output = String::with_capacity(masked.len());
    let mut pending = expressions.iter().peekable();
    let mut start = 0;
    for line in masked.split_inclusive('\n') {
        let end = start + line.len();
        while pending.next_if(|range| range.end <= start).is_some() {}
        let here = pending.clone().take_while(|range| range.start < end);
        let here: Vec<Range<usize>> =
            here.map(|range| range.start.max(start) - start..range.end.min(end) - start).collect();
        output.push_str(&if is_only(line, &here)? { blanked(line, &here)? } else { line.to_owned() });
        start = end;
    }
    Some(output)
}

/// True if the line has expressions, and nothing else but a comment.
fn is_only(line: &str, expressions: &[Range<usize>]) -> Option<bool> {
    let mut rest = String::new();
    let mut end = 0;
    for range in expressions {
        rest.push_str(line.get(end..range.start)?);
        end = range.end;
    }
    rest.push_str(line.get(end..)?);
    let rest = rest.trim();
    Some(!expressions.is_empty() && (rest.is_empty() || rest.starts_with('#')))
}

fn blanked(line: &str, expressions: &[Range<usize>]) -> Option<String> {
    let mut output = String::with_capacity(line.len());
    let mut end = 0;
    for range in expressions {
        output.push_str(line.get(end..range.start)?);
        let blank = |character: char| if character.is_ascii_whitespace() { character } else { ' ' };
        output.extend(line.get(range.clone())?.chars().map(blank));
        end = range.end;
    }
    output.push_str(line.get(end..)?);
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        mask(text).unwrap().text
    }

    #[test]
    fn an_expression_becomes_a_word_of_its_length_and_a_line_of_its_own_becomes_blank() {
        let text = "{{- if .Values.on }}\nname: {{ .Release.Name }}-db\n  {{- end }} # why\na: b\n";
        let found = masked(text);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!((lines[0].trim(), lines[1]), ("", "name: x001xxxxxxxxxxxxxxx-db"));
        assert_eq!(found.len(), text.len());
        assert!(found.ends_with(" # why\na: b\n") && !found.contains("{{"));
    }

    #[test]
    fn braces_in_strings_and_comments_end_nothing() {
        for expression in [
            "{{ \"}}\" }}",
            "{{ `}}` }}",
            "{{ '}' }}",
            "{{/* }} \" */}}",
            "{{- /* x */ -}}",
            "{{ \"\\\"}}\" }}",
            "{{}}",
        ] {
            let found = mask(&format!("a: {expression}b\n")).unwrap();
            let [range] = &found.expressions[..] else { panic!("one expression in {expression}") };
            assert_eq!(range, &(3..3 + expression.len()), "{expression}");
            assert!(found.text.ends_with("b\n"), "{}", found.text);
        }
    }

    #[test]
    fn an_expression_over_several_lines_keeps_them() {
        let text = "a: {{ .x\n  | quote }}\n{{/*\n two\n*/}}\nb: c\n";
        let found = masked(text);
        assert_eq!(
            found.lines().map(str::len).collect::<Vec<_>>(),
            text.lines().map(str::len).collect::<Vec<_>>()
        );
        assert!(found.starts_with("a: x000x\n            \n") && found.ends_with("b: c\n"), "{found}");
    }

    #[test]
    fn masked_keys_differ() {
        assert_eq!(masked("{{ .a }}: 1\n{{ .b }}: 2\n"), "x000xxxx: 1\nx001xxxx: 2\n");
    }

    #[test]
    fn a_text_without_a_complete_expression_is_not_masked() {
        for text in ["a: b\n", "{ { } }", "a: {{ .x\n", "a: {{ \"}}\n", "{{/* }}"] {
            assert!(mask(text).is_none(), "{text}");
        }
    }
}
