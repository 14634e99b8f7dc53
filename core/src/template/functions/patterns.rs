//! Regular expressions in Go's syntax, translated to that of the `regex` crate.

use std::ops::Range;
use std::rc::Rc;

use super::automaton::{Groups, Hits};
use crate::template::compiled::{Automaton, COMPILED_SIZE, INVALID, TOO_LARGE};
use crate::template::context::{Args, Cx};
use crate::template::error::Outcome;
use crate::template::value::{ListType, Value, decode_rune, is_alphanumeric};
use crate::template::zeroizing::Buffer;

/// Maximum number of cached expressions.
const MAX_COMPILED: usize = 8;
/// Maximum length of an expression, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// Maximum number of character classes with thousands of characters in a case-insensitive expression.
const MAX_WIDE_CLASSES: usize = 8;
/// Bytes of the largest class while an expression is compiled.
const CLASS: usize = 8 << 10;
/// Steps that compiling costs at least.
const STEPS_TO_COMPILE: u64 = 2000;

fn compile(cx: &mut Cx, pattern: &[u8]) -> Outcome<Rc<Automaton>> {
    cx.work(pattern.len())?;
    if let Some(known) = cx.patterns.0.get(pattern) {
        return Ok(Rc::clone(known));
    }
    if pattern.len() > MAX_TEXT {
        return Err(TOO_LARGE);
    }
    cx.step(STEPS_TO_COMPILE + u64::try_from(pattern.len()).unwrap_or(0) * 16)?;
    let text = str::from_utf8(pattern).map_err(|_| INVALID)?;
    let translated = translate(text)?;
    if ignores_case(text) && wide_classes(text) > MAX_WIDE_CLASSES {
        return Err(TOO_LARGE);
    }
    cx.meter.affords(classes(text).saturating_mul(CLASS).saturating_add(2 * COMPILED_SIZE))?;
    let automaton = Rc::new(Automaton::new(&translated)?);
    cx.meter.allocate(automaton.memory())?;
    if cx.patterns.0.len() >= MAX_COMPILED {
        cx.patterns.0.clear();
    }
    cx.patterns.0.insert(pattern.to_vec(), Rc::clone(&automaton));
    Ok(automaton)
}

fn ignores_case(pattern: &str) -> bool {
    pattern.split("(?").skip(1).any(|group| {
        group.chars().take_while(|char| char.is_ascii_alphabetic() || *char == '-').any(|flag| flag == 'i')
    })
}

/// Returns an upper bound of the number of classes in an expression.
fn classes(pattern: &str) -> usize {
    pattern.matches(['\\', '[']).count()
}

/// Returns the number of classes that may hold thousands of characters, for each of which the other case is looked up.
fn wide_classes(pattern: &str) -> usize {
    let marks = ["\\p", "\\P", "\\x", "\\D", "\\S", "\\W", "[:^"];
    let named: usize = marks.iter().map(|mark| pattern.matches(mark).count()).sum();
    let ranges = pattern.split('-').skip(1).filter(|after| !after.starts_with(|char: char| char.is_ascii()));
    named + ranges.count()
}

/// Rewrites syntax that Go and the `regex` crate interpret differently: in Go, classes are ASCII, `\Q…\E` quotes, and set
/// operations do not exist.
fn translate(pattern: &str) -> Outcome<String> {
    let mut output = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    let mut repeated = false;
    // True after an opening parenthesis, which `\Q\E` may separate from a `?` that does not begin flags then.
    let mut opens_group = false;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = repetition(rest).filter(|_| !in_class) {
            if repeated || opens_group || has_too_many_repetitions(rest) {
                return Err(INVALID);
            }
            repeated = true;
            let (operator, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            output.push_str(operator);
            rest = after;
            continue;
        }
        repeated = false;
        if !in_class && first == '{' {
            output.push_str("\\{");
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if !in_class && first == '(' && has_foreign_flags(rest) {
            return Err(INVALID);
        }
        if !in_class && rest.starts_with("(?") {
            output.push_str("(?");
            opens_group = false;
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        let (piece, length) = match first {
            '\\' => escape(rest, in_class)?,
            '[' if in_class => class_in_class(rest),
            '[' => class_opening(rest),
            '&' | '~' | '-' if in_class && rest.get(1..).is_some_and(|next| next.starts_with(first)) => {
                (format!("\\{first}"), 1)
            }
            _ => (first.to_string(), first.len_utf8()),
        };
        in_class = match first {
            '[' if !in_class => true,
            ']' => false,
            _ => in_class,
        };
        opens_group = !in_class && piece == "(" || opens_group && piece.is_empty();
        output.push_str(&piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(output)
}

/// Translates `[`, `[^`, and a `]` or `-` at the start of the class.
fn class_opening(rest: &str) -> (String, usize) {
    let negated = usize::from(rest.get(1..).is_some_and(|rest| rest.starts_with('^')));
    let opening = rest.get(..=negated).unwrap_or("[");
    match rest.get(negated + 1..).and_then(|rest| rest.chars().next()) {
        Some(literal @ (']' | '-')) => (format!("{opening}\\{literal}"), negated + 2),
        _ => (opening.to_owned(), negated + 1),
    }
}

/// Translates `[` in a class, which is literal unless it begins `[:name:]`.
fn class_in_class(rest: &str) -> (String, usize) {
    let named = rest.strip_prefix("[:").and_then(|inner| inner.find(":]")).map(|end| end + 4);
    match named.and_then(|length| rest.get(..length).map(|text| (text.to_owned(), length))) {
        Some(class) => class,
        None => ("\\[".to_owned(), 1),
    }
}

fn escape(rest: &str, in_class: bool) -> Outcome<(String, usize)> {
    let Some(escaped) = rest.chars().nth(1) else {
        return Err(INVALID);
    };
    let (digits, words, spaces) = ("0-9", "0-9A-Za-z_", "\\t\\n\\x0C\\r ");
    let class = |set: &str, negated: bool| match (in_class, negated) {
        (true, false) => set.to_owned(),
        (_, true) => format!("[^{set}]"),
        (false, false) => format!("[{set}]"),
    };
    let text = match escaped {
        'd' => class(digits, false),
        'D' => class(digits, true),
        'w' => class(words, false),
        'W' => class(words, true),
        's' => class(spaces, false),
        'S' => class(spaces, true),
        'b' | 'B' if !in_class => format!("(?-u:\\{escaped})"),
        'Q' if !in_class => {
            let inner = rest.get(2..).unwrap_or_default();
            let end = inner.find("\\E").unwrap_or(inner.len());
            let literal = regex::escape(inner.get(..end).unwrap_or_default());
            return Ok((literal, (2 + end + 2).min(rest.len())));
        }
        'u' | 'U' | 'b' | 'B' | 'E' | 'C' | 'Q' | '<' | '>' | '8' | '9' => return Err(INVALID),
        '1'..='7'
            if !rest.get(2..3).is_some_and(|next| next.starts_with(|digit: char| digit.is_digit(8))) =>
        {
            return Err(INVALID);
        }
        _ => rest.get(..1 + escaped.len_utf8()).unwrap_or_default().to_owned(),
    };
    Ok((text, 1 + escaped.len_utf8()))
}

/// Returns the length of a repetition operator at the start, including the `?` that makes it lazy.
fn repetition(rest: &str) -> Option<usize> {
    let length = match rest.chars().next()? {
        '*' | '+' | '?' => 1,
        '{' => bounds(rest)?.1,
        _ => return None,
    };
    let lazy = rest.get(length..).is_some_and(|rest| rest.starts_with('?'));
    Some(length + usize::from(lazy))
}

/// Returns the text inside `{n}`, `{n,}` or `{n,m}` and its length with the braces. Other braces are literal in Go.
fn bounds(rest: &str) -> Option<(&str, usize)> {
    let (inner, _) = rest.strip_prefix('{')?.split_once('}')?;
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!low.is_empty() && is_number(low) && is_number(high)).then_some((inner, inner.len() + 2))
}

fn has_too_many_repetitions(rest: &str) -> bool {
    let numbers = bounds(rest).map_or("", |(inner, _)| inner).split(',');
    numbers
        .filter(|number| !number.is_empty())
        .any(|number| !number.parse::<u32>().is_ok_and(|number| number <= 1000))
}

/// Returns true for flags that the `regex` crate supports and Go does not.
fn has_foreign_flags(rest: &str) -> bool {
    let Some(flags) = rest.strip_prefix("(?") else {
        return false;
    };
    let length = flags.find(|char: char| !char.is_ascii_alphabetic() && char != '-').unwrap_or(flags.len());
    let is_flags = flags.get(length..).is_some_and(|rest| rest.starts_with([':', ')']));
    is_flags && flags.get(..length).is_some_and(|flags| flags.contains(['u', 'x', 'R']))
}

pub(super) fn is_match(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    compile(cx, args.text(0))?.is_match(cx, args.text(1)).map(Value::Bool)
}

pub(super) fn is_match_or_false(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match is_match(cx, args) {
        Err(failure) if failure == INVALID => Ok(Value::Bool(false)),
        matched => matched,
    }
}

pub(super) fn find(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let automaton = compile(cx, args.text(0))?;
    let found = automaton.find(cx, args.text(1), 0)?;
    cx.text(found.and_then(|found| args.text(1).get(found)).unwrap_or_default())
}

pub(super) fn find_all(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let automaton = compile(cx, args.text(0))?;
    let limit = usize::try_from(args.int(2)).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut hits = Hits::new(&automaton, args.text(1));
    while found.len() < limit
        && let Some(hit) = hits.next(cx)?
    {
        cx.pay_for_elements(1)?;
        found.push(cx.text(args.text(1).get(hit).unwrap_or_default())?);
    }
    if found.is_empty() { cx.nil_list(ListType::Text) } else { cx.list(ListType::Text, found) }
}

pub(super) fn split(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let automaton = compile(cx, args.text(0))?;
    let (text, limit) = (args.text(1), args.int(2));
    if limit == 0 {
        return cx.nil_list(ListType::Text);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    if text.is_empty() && !args.text(0).is_empty() {
        let empty = cx.text("")?;
        return cx.list(ListType::Text, vec![empty]);
    }
    let mut hits = Hits::new(&automaton, text);
    while pieces.len() + 1 < limit
        && let Some(hit) = hits.next(cx)?
    {
        end = hit.start;
        if hit.end != 0 {
            cx.pay_for_elements(1)?;
            pieces.push(cx.text(text.get(start..end).unwrap_or_default())?);
        }
        start = hit.end;
    }
    if end != text.len() {
        pieces.push(cx.text(text.get(start..).unwrap_or_default())?);
    }
    cx.list(ListType::Text, pieces)
}

fn replace(
    cx: &mut Cx,
    args: &Args,
    mut expand: impl FnMut(&mut Cx, &mut Buffer, &Automaton, &Range<usize>) -> Outcome<()>,
) -> Outcome<Value> {
    let automaton = compile(cx, args.text(0))?;
    let text = args.text(1);
    let mut output = cx.buffer();
    let mut last = 0;
    let mut hits = Hits::new(&automaton, text);
    while let Some(hit) = hits.next(cx)? {
        cx.work(hit.start.saturating_sub(last))?;
        output.push(text.get(last..hit.start).unwrap_or_default())?;
        expand(cx, &mut output, &automaton, &hit)?;
        last = hit.end;
    }
    output.push(text.get(last..).unwrap_or_default())?;
    cx.finish(output)
}

pub(super) fn replace_all(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (text, template) = (args.text(1), args.text(2));
    if !template.contains(&b'$') {
        return replace_all_literal(cx, args);
    }
    let mut groups: Option<Groups> = None;
    replace(cx, args, |cx, output, automaton, hit| {
        let groups = match &mut groups {
            Some(groups) => groups,
            none => none.insert(automaton.groups(cx)?),
        };
        groups.find(cx, text, hit)?;
        expand(cx, output, template, text, groups)
    })
}

pub(super) fn replace_all_literal(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    replace(cx, args, |cx, output, _, _| {
        cx.work(args.text(2).len())?;
        output.push(args.text(2))
    })
}

/// Expands `$1`, `$name`, `${name}` and `$$`.
fn expand(cx: &mut Cx, output: &mut Buffer, template: &[u8], text: &[u8], groups: &Groups) -> Outcome<()> {
    let mut rest = template;
    cx.work(template.len())?;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        output.push(rest.get(..dollar).unwrap_or_default())?;
        rest = rest.get(dollar + 1..).unwrap_or_default();
        cx.step(1)?;
        if let Some(after) = rest.strip_prefix(b"$") {
            output.push(b"$")?;
            rest = after;
            continue;
        }
        match group_name(rest) {
            Some((name, length)) => {
                let group = match name.parse::<usize>() {
                    Ok(number) => groups.numbered(text, number),
                    Err(_) => groups.named(text, name),
                };
                cx.scan(length.saturating_add(group.len()))?;
                output.push(group)?;
                rest = rest.get(length..).unwrap_or_default();
            }
            None => output.push(b"$")?,
        }
    }
    output.push(rest)
}

/// Returns the name after a `$` and the length of its text, braces included.
fn group_name(rest: &[u8]) -> Option<(&str, usize)> {
    let in_braces = rest.strip_prefix(b"{");
    let text = in_braces.unwrap_or(rest);
    let mut length = 0;
    while let Some((char, width)) =
        text.get(length..).and_then(decode_rune).filter(|(char, _)| is_alphanumeric(*char))
    {
        debug_assert!(char.len_utf8() == width, "only valid characters are alphanumeric");
        length += width;
    }
    let name =
        text.get(..length).filter(|name| !name.is_empty()).and_then(|name| str::from_utf8(name).ok())?;
    match in_braces {
        None => Some((name, length)),
        Some(inner) => (inner.get(length) == Some(&b'}')).then_some((name, length + 2)),
    }
}

pub(super) fn quote_meta(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut output = cx.buffer();
    cx.pieces(args.text(0), |piece| {
        piece.iter().try_for_each(|byte| {
            if b"\\.+*?()|[]{}^$".contains(byte) {
                output.push(b"\\")?;
            }
            output.push(&[*byte])
        })
    })?;
    cx.finish(output)
}
