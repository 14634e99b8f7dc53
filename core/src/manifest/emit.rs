//! YAML in the layout of Go's emitter, which upstream uses. Every YAML 1.1 reader reads the same texts back.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::scalar::wants_quotes;

const BEST_WIDTH: usize = 80;
const INDENT: usize = 2;
const MAX_SIMPLE_KEY_LENGTH: usize = 128;

/// Writes a mapping as one YAML document with a final newline.
pub(super) fn emit(mapping: &Map<String, Value>) -> String {
    let mut output = String::new();
    emit_mapping(&mut output, mapping, 0);
    output
}

fn emit_mapping(output: &mut String, mapping: &Map<String, Value>, indent: usize) {
    let mut entries: Vec<(&String, &Value)> = mapping.iter().collect();
    sort(&mut entries, |(a, _), (b, _)| natural_order(a, b));
    for (key, value) in entries {
        pad(output, indent);
        let start = output.len();
        let style = key_style(key);
        let simple = style.0 <= MAX_SIMPLE_KEY_LENGTH;
        if !simple {
            output.push_str("? ");
        }
        output.push_str(&style.1);
        if !simple {
            output.push('\n');
            pad(output, indent);
        }
        output.push(':');
        let column = if simple { indent + written(output, start) } else { indent + 1 };
        emit_value(output, value, indent, column);
    }
}

fn written(output: &str, start: usize) -> usize {
    output.get(start..).map_or(0, |text| text.chars().count())
}

/// Returns the key as written, and the length that decides whether it is a simple key.
fn key_style(key: &str) -> (usize, String) {
    let text = match style_of(key, true) {
        Style::Plain => key.to_owned(),
        Style::Single => single_quoted(key, None),
        Style::Literal | Style::Double => double_quoted(key, None),
    };
    (key.len(), text)
}

fn emit_value(output: &mut String, value: &Value, indent: usize, column: usize) {
    match value {
        Value::Object(mapping) if !mapping.is_empty() => {
            output.push('\n');
            emit_mapping(output, mapping, indent + INDENT);
            return;
        }
        Value::String(text) => {
            output.push(' ');
            emit_text(output, text, Position { column: column + 1, indent: indent + INDENT });
        }
        other => {
            output.push(' ');
            output.push_str(&flow_style(other));
        }
    }
    if !output.ends_with('\n') {
        output.push('\n');
    }
}

/// Returns JSON, which is also YAML in flow style: characters that YAML refuses or takes for line breaks are escaped.
fn flow_style(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text
}

/// Column at which a scalar begins, and the indentation of its continuation lines.
#[derive(Clone, Copy)]
struct Position {
    column: usize,
    indent: usize,
}

fn emit_text(output: &mut String, text: &str, place: Position) {
    match style_of(text, false) {
        Style::Plain => output.push_str(&folded(text, place)),
        Style::Single => output.push_str(&single_quoted(text, Some(place))),
        Style::Double => output.push_str(&double_quoted(text, Some(place))),
        Style::Literal => literal(output, text, place.indent),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style_of(text: &str, key: bool) -> Style {
    let analysis = Analysis::of(text);
    if wants_quotes(text) {
        Style::Double
    } else if text.contains('\n') {
        if analysis.block && !key { Style::Literal } else { Style::Double }
    } else if analysis.plain {
        Style::Plain
    } else if analysis.single {
        Style::Single
    } else {
        Style::Double
    }
}

/// Styles that can represent a text (YAML 1.1 sections 5 and 9, within block collections).
struct Analysis {
    plain: bool,
    single: bool,
    block: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let special =
            characters.iter().any(|&character| !is_printable(character) || is_unusual_break(character));
        let pairs = || characters.iter().zip(characters.iter().skip(1));
        let break_space = pairs().any(|(a, b)| *a == '\n' && *b == ' ');
        let space_break = pairs().any(|(a, b)| *a == ' ' && *b == '\n');
        let edge = |character: Option<&char>| matches!(character, Some(' ' | '\n'));
        let edges = edge(characters.first()) || edge(characters.last());
        let plain = !special && !space_break && !edges && !text.contains('\n') && !has_indicator(&characters);
        let single = !special && !space_break && !break_space;
        let block = !special && !space_break && characters.last() != Some(&' ');
        Self { plain, single, block }
    }
}

fn has_indicator(characters: &[char]) -> bool {
    let blank_after = |at: usize| characters.get(at + 1).is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
    let starts = |marker: &str| characters.iter().take(3).copied().eq(marker.chars());
    let first = match characters.first() {
        Some(
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`',
        ) => true,
        Some('?' | ':' | '-') => blank_after(0),
        _ => false,
    };
    let later = characters.iter().enumerate().skip(1).any(|(at, character)| match character {
        ':' => blank_after(at),
        '#' => {
            at.checked_sub(1).and_then(|before| characters.get(before)).is_some_and(|before| *before == ' ')
        }
        _ => false,
    });
    first || later || starts("---") || starts("...")
}

/// Returns true if Go's emitter writes the character unescaped: no tabs, and none beyond the basic plane.
fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn is_unusual_break(character: char) -> bool {
    matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Folds a text: a line break replaces the first single space beyond the best width.
fn folded(text: &str, place: Position) -> String {
    fold(text, Some(place), 0, str::to_owned)
}

fn single_quoted(text: &str, place: Option<Position>) -> String {
    format!("'{}'", fold(text, place, 1, |word| word.replace('\'', "''")))
}

fn double_quoted(text: &str, place: Option<Position>) -> String {
    format!("\"{}\"", fold(text, place, 1, |word| word.chars().map(escaped).collect()))
}

/// Writes `text` through `escape`, with line breaks at single spaces after the best width. `lead` is the width of any text before
/// it on the first line.
fn fold(text: &str, place: Option<Position>, lead: usize, escape: impl Fn(&str) -> String) -> String {
    let Some(place) = place else { return escape(text) };
    let mut output = String::new();
    let mut column = place.column + lead;
    let characters: Vec<char> = text.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied();
    for (index, character) in characters.iter().enumerate() {
        let inner = index > 0 && index + 1 < characters.len();
        let single_space =
            *character == ' ' && at(index.checked_sub(1)) != Some(' ') && at(Some(index + 1)) != Some(' ');
        if inner && single_space && column > BEST_WIDTH {
            output.push('\n');
            pad(&mut output, place.indent);
            column = place.indent;
            continue;
        }
        let piece = escape(character.encode_utf8(&mut [0; 4]));
        column += piece.chars().count();
        output.push_str(&piece);
    }
    output
}

fn escaped(character: char) -> String {
    match character {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        other if is_printable(other) => other.to_string(),
        other => match u32::from(other) {
            code @ 0..=0xff => format!("\\x{code:02X}"),
            code @ 0x100..=0xffff => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        },
    }
}

fn literal(output: &mut String, text: &str, indent: usize) {
    output.push('|');
    if text.starts_with([' ', '\n']) {
        output.push('2');
    }
    if !text.ends_with('\n') {
        output.push('-');
    } else if text == "\n" || text.ends_with("\n\n") {
        output.push('+');
    }
    output.push('\n');
    for line in text.split_inclusive('\n') {
        if line != "\n" {
            pad(output, indent);
        }
        output.push_str(line);
    }
}

fn pad(output: &mut String, columns: usize) {
    output.extend(std::iter::repeat_n(' ', columns));
}

/// Insertion sort. Go's order of keys has cycles (a1b < a2 < a10 < a1b), for which the library's sort may panic; a Secret has at
/// most some thousand keys.
pub(super) fn sort<T>(entries: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    for end in 1..entries.len() {
        let Some((last, sorted)) = entries.get(..=end).and_then(<[T]>::split_last) else { return };
        let at =
            sorted.iter().rposition(|entry| order(entry, last) != Ordering::Greater).map_or(0, |at| at + 1);
        if let Some(tail) = entries.get_mut(at..=end) {
            tail.rotate_right(1);
        }
    }
}

/// Compares two keys as Go's emitter does: runs of digits as numbers, letters after all other characters.
pub(super) fn natural_order(a: &str, b: &str) -> Ordering {
    let differs = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y);
    let Some(((at, x), y)) = differs else { return a.len().cmp(&b.len()) };
    if x.is_alphabetic() || y.is_alphabetic() {
        return x.is_alphabetic().cmp(&y.is_alphabetic()).then(x.cmp(&y));
    }
    let number = |text: &str| {
        let rest = text.get(at..).unwrap_or_default();
        let digits = rest.split(|character: char| !character.is_ascii_digit()).next().unwrap_or_default();
        (digits.parse::<u64>().unwrap_or_default(), digits.len())
    };
    number(a).cmp(&number(b)).then(x.cmp(&y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let mapping = Map::from_iter([("k".to_owned(), Value::from(text))]);
        emit(&mapping)
    }

    #[test]
    fn texts_are_written_as_upstream_writes_them() {
        let seen = [
            ("@x", "k: '@x'\n"),
            ("a: b", "k: 'a: b'\n"),
            ("a\\b", "k: a\\b\n"),
            ("it's \"q\"", "k: it's \"q\"\n"),
            ("a\r\nb", "k: \"a\\r\\nb\"\n"),
            ("\u{1}", "k: \"\\x01\"\n"),
            ("- a", "k: '- a'\n"),
            ("-", "k: '-'\n"),
            ("", "k: \"\"\n"),
            (" lead", "k: ' lead'\n"),
            ("x ", "k: 'x '\n"),
            ("a\tb", "k: \"a\\tb\"\n"),
            ("line1\nline2\n", "k: |\n  line1\n  line2\n"),
            ("line1\nline2", "k: |-\n  line1\n  line2\n"),
            ("\n", "k: |2+\n\n"),
            ("<y>&z", "k: <y>&z\n"),
            ("12:30:45", "k: \"12:30:45\"\n"),
            ("~", "k: \"~\"\n"),
            ("héllo \u{2028} 😀", "k: \"héllo \\L \\U0001F600\"\n"),
            ("? a", "k: '? a'\n"),
        ];
        for (text, wanted) in seen {
            assert_eq!(line(text), wanted);
        }
    }

    #[test]
    fn lists_are_json_without_the_characters_that_yaml_refuses_or_takes_for_line_breaks() {
        let list = Value::from(vec!["\u{e9}\u{7f}\u{85}\u{9f}\u{2028}\u{2029}\u{feff}\u{ffff}"]);
        let mapping = Map::from_iter([("k".to_owned(), list)]);
        assert_eq!(emit(&mapping), "k: [\"\u{e9}\\u007f\\u0085\\u009f\\u2028\\u2029\\ufeff\\uffff\"]\n");
    }

    #[test]
    fn ambiguous_scalars_are_quoted_where_upstream_does_not() {
        assert_eq!(line("="), "k: \"=\"\n");
        assert_eq!(line("<<"), "k: \"<<\"\n");
    }

    #[test]
    fn long_lines_break_at_a_space() {
        let text = format!("{} {} {}", "a".repeat(36), "b".repeat(45), "c".repeat(35));
        assert_eq!(line(&text), format!("k: {} {}\n  {}\n", "a".repeat(36), "b".repeat(45), "c".repeat(35)));
    }

    #[test]
    fn keys_are_ordered_by_number_and_letters_come_last() {
        let seen_in_upstream = [
            "_x", "1", "01", "10", "B", "a", "a-b", "a.b", "a_b", "a1-", "a2", "a02", "a10", "a10b", "ab",
            "b", "é",
        ];
        let mut keys = seen_in_upstream;
        keys.sort_unstable();
        sort(&mut keys, |a, b| natural_order(a, b));
        assert_eq!(keys, seen_in_upstream);
    }
}
