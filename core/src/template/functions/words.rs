//! Letter case and word boundaries, after Go's `unicode`, `goutils` and `xstrings`.

use std::sync::LazyLock;

use regex::Regex;

use crate::template::context::{Args, Cx, short};
use crate::template::error::Outcome;
use crate::template::value::{Rune, Value, push_rune, runes};

/// Maximum length of a text to split into words, in bytes. Each character is looked up in several tables.
const MAX_LENGTH: usize = 64 << 10;

/// Go's one-to-one upper case. Letters whose full mapping differs are listed.
fn to_upper(char: char) -> char {
    match char {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shift(char, 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shift(char, 9),
        '\u{1f88}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => char,
        _ => single(char.to_uppercase(), char),
    }
}

fn to_lower(char: char) -> char {
    if char == '\u{130}' { 'i' } else { single(char.to_lowercase(), char) }
}

fn to_title(char: char) -> char {
    match char {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => char,
        _ => to_upper(char),
    }
}

fn shift(char: char, by: u32) -> char {
    char::from_u32(u32::from(char) + by).unwrap_or(char)
}

fn single(mut mapped: impl Iterator<Item = char>, otherwise: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(char), None) => char,
        _ => otherwise,
    }
}

macro_rules! class {
    ($name:ident, $pattern:literal, $in_ascii:expr) => {
        fn $name(char: char) -> bool {
            static CLASS: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).unwrap());
            if char.is_ascii() {
                return $in_ascii(char);
            }
            CLASS.is_match(char.encode_utf8(&mut [0; 4]))
        }
    };
}

class!(is_letter, r"^\pL$", |char: char| char.is_ascii_alphabetic());
class!(is_upper, r"^\p{Lu}$", |char: char| char.is_ascii_uppercase());
class!(is_lower, r"^\p{Ll}$", |char: char| char.is_ascii_lowercase());
class!(is_titlecase, r"^\p{Lt}$", |_| false);
class!(is_digit, r"^\p{Nd}$", |char: char| char.is_ascii_digit());
class!(is_number, r"^\pN$", |char: char| char.is_ascii_digit());
class!(is_punctuation, r"^\pP$", is_ascii_punctuation);

/// Returns true for punctuation. Unlike the standard library, excludes symbols.
fn is_ascii_punctuation(char: char) -> bool {
    char.is_ascii_punctuation() && !"$+<=>^`|~".contains(char)
}

pub(super) fn upper(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let upper = cx.map_characters(args.text(0), to_upper)?;
    cx.finish(upper)
}

pub(super) fn lower(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let lower = cx.map_characters(args.text(0), to_lower)?;
    cx.finish(lower)
}

pub(super) fn title(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut previous = ' ';
    let title = cx.map_characters(args.text(0), |char| {
        let begins_word = is_separator(previous);
        previous = char;
        if begins_word { to_title(char) } else { char }
    })?;
    cx.finish(title)
}

fn is_separator(char: char) -> bool {
    if char.is_ascii() {
        return !(char.is_ascii_alphanumeric() || char == '_');
    }
    !is_letter(char) && !is_digit(char) && char.is_whitespace()
}

pub(super) fn untitle(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut begins_word = true;
    let untitled = cx.map_characters(args.text(0), |char| {
        let is_first = std::mem::replace(&mut begins_word, char.is_whitespace());
        if is_first { to_lower(char) } else { char }
    })?;
    cx.finish(untitled)
}

pub(super) fn swapcase(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut after_space = true;
    let swapped = cx.map_characters(args.text(0), |char| {
        if is_upper(char) || is_titlecase(char) {
            after_space = false;
            to_lower(char)
        } else if is_lower(char) {
            if std::mem::replace(&mut after_space, false) { to_title(char) } else { to_upper(char) }
        } else {
            after_space = char.is_whitespace();
            char
        }
    })?;
    cx.finish(swapped)
}

/// Treats bytes as characters, like `nospace`.
pub(super) fn initials(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut letters = String::new();
    let mut after_space = true;
    cx.pieces(args.text(0), |piece| {
        for char in piece.iter().copied().map(char::from) {
            if !char.is_whitespace() && after_space {
                letters.push(char);
            }
            after_space = char.is_whitespace();
        }
        Ok(())
    })?;
    cx.text(letters)
}

/// `goutils` treats bytes as characters, and so changes non-ASCII text when it removes anything.
pub(super) fn nospace(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = args.text(0);
    let mut kept = cx.buffer();
    let mut has_space = false;
    cx.pieces(text, |piece| {
        let chars = piece.iter().map(|byte| char::from(*byte));
        has_space |= chars.clone().any(char::is_whitespace);
        chars.filter(|char| !char.is_whitespace()).try_for_each(|char| kept.push_char(char))
    })?;
    if has_space {
        return cx.finish(kept);
    }
    drop(kept);
    cx.text(text)
}

fn is_connector(char: char) -> bool {
    char == '-' || char == '_' || char.is_whitespace()
}

pub(super) fn camelcase(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut output = Vec::new();
    let text = short(args.text(0), MAX_LENGTH)?;
    cx.step(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    let mut rest = runes(text).map(|rune| rune.char).peekable();
    let mut last = None;
    while let Some(connector) = rest.next_if(|char| is_connector(*char)) {
        push_rune(&mut output, connector);
        last = Some(connector);
    }
    let Some(first) = rest.next() else {
        // `xstrings` writes the last character twice if all are connectors.
        if let Some(last) = last {
            push_rune(&mut output, last);
        }
        return cx.text(output);
    };
    let mut in_upper_case = is_upper(first);
    let mut previous = to_upper(first);
    for next in rest {
        let mut current = next;
        if is_connector(previous) && is_connector(next) {
            push_rune(&mut output, previous);
        } else if is_connector(previous) {
            in_upper_case = is_upper(next);
            current = to_upper(next);
        } else {
            if in_upper_case && is_upper(next) {
                current = to_lower(next);
            } else if in_upper_case {
                in_upper_case = false;
            }
            push_rune(&mut output, previous);
        }
        previous = current;
    }
    push_rune(&mut output, previous);
    cx.text(output)
}

pub(super) fn snakecase(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    separated(cx, args, '_')
}

pub(super) fn kebabcase(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    separated(cx, args, '-')
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WordKind {
    Nothing,
    Invalid,
    Number,
    Upper,
    Alphabetic,
    Connector,
    Punctuation,
    Other,
}

use WordKind::{Alphabetic, Connector, Invalid, Nothing, Number, Other, Punctuation, Upper};

/// Splits `text` into words.
struct Words<'t> {
    rest: &'t [u8],
}

impl<'t> Words<'t> {
    fn next(&mut self) -> (WordKind, &'t [u8]) {
        let (kind, length) = next_word(self.rest);
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        (kind, word)
    }
}

fn separated(cx: &mut Cx, args: &Args, connector: char) -> Outcome<Value> {
    let text = short(args.text(0), MAX_LENGTH)?;
    cx.step(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    cx.meter.affords(text.len().saturating_mul(8))?;
    let mut output = Vec::with_capacity(text.len() + text.len() / 4);
    let mut words = Words { rest: text };
    let (mut kind, mut word) = words.next();
    while !words.rest.is_empty() {
        if kind != Connector {
            push_lower(&mut output, kind, word, connector);
        }
        let (previous_kind, previous) = (kind, word);
        (kind, word) = words.next();
        match previous_kind {
            Number => {
                (kind, word) = join_word(&mut output, &mut words, (kind, word), connector);
            }
            Connector => push_lower(&mut output, previous_kind, previous, connector),
            Punctuation => {}
            _ if kind != Number => {
                if !matches!(kind, Connector | Punctuation) {
                    push_rune(&mut output, connector);
                }
            }
            _ => (kind, word) = after_letters(&mut output, &mut words, (kind, word), connector),
        }
    }
    push_lower(&mut output, kind, word, connector);
    cx.text(output)
}

/// Writes adjacent letters and numbers as one word.
fn join_word<'t>(
    output: &mut Vec<u8>,
    words: &mut Words<'t>,
    mut next: (WordKind, &'t [u8]),
    connector: char,
) -> (WordKind, &'t [u8]) {
    while matches!(next.0, Alphabetic | Number) {
        push_lower(output, next.0, next.1, connector);
        next = words.next();
    }
    if !matches!(next.0, Nothing | Invalid | Punctuation | Connector) {
        push_rune(output, connector);
    }
    next
}

/// Writes a number after letters as part of their word, unless lower-case letters follow it.
fn after_letters<'t>(
    output: &mut Vec<u8>,
    words: &mut Words<'t>,
    number: (WordKind, &'t [u8]),
    connector: char,
) -> (WordKind, &'t [u8]) {
    if words.rest.is_empty() {
        return number;
    }
    let next = words.next();
    if next.0 != Alphabetic {
        push_lower(output, Number, number.1, connector);
        if !matches!(next.0, Connector | Punctuation) {
            push_rune(output, connector);
        }
        return next;
    }
    push_rune(output, connector);
    push_lower(output, Number, number.1, connector);
    join_word(output, words, next, connector)
}

fn push_lower(output: &mut Vec<u8>, kind: WordKind, word: &[u8], connector: char) {
    if !matches!(kind, Upper | Connector) {
        output.extend_from_slice(word);
        return;
    }
    for rune in runes(word) {
        let char = if is_connector(rune.char) { connector } else { to_lower(rune.char) };
        push_rune(output, char);
    }
}

/// Iterates over characters as `xstrings` does: invalid UTF-8 bytes belong to the next character, at the end to the last one.
fn readable(text: &[u8], previous: char) -> impl Iterator<Item = Rune> {
    let (mut start, mut previous) = (0, previous);
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let valid = runes(rest).find(|rune| rune.char != char::REPLACEMENT_CHARACTER);
        let (char, width) = valid.map_or((previous, rest.len()), |rune| (rune.char, rune.start + rune.width));
        let rune = Rune { start, char, width };
        start += width;
        previous = char;
        Some(rune)
    })
}

fn next_word(text: &[u8]) -> (WordKind, usize) {
    let Some(Rune { char: first, width, .. }) = readable(text, char::REPLACEMENT_CHARACTER).next() else {
        return (Nothing, 0);
    };
    let run = |belongs: fn(char) -> bool| {
        let end = readable(text, first).find(|rune| !belongs(rune.char));
        end.map_or(text.len(), |rune| rune.start)
    };
    match first {
        char::REPLACEMENT_CHARACTER => (Invalid, width),
        _ if is_connector(first) => (Connector, run(is_connector)),
        _ if is_punctuation(first) => (Punctuation, run(is_punctuation)),
        _ if is_upper(first) => (Upper, upper_word(text, first, width)),
        _ if is_alphabetic(first) => (Alphabetic, run(|char| is_alphabetic(char) && !is_upper(char))),
        _ if is_number(first) => (Number, run(is_number)),
        _ => (Other, run(is_other)),
    }
}

fn is_other(char: char) -> bool {
    !is_connector(char) && !is_alphabetic(char) && !is_number(char) && !is_punctuation(char)
}

/// Returns the length of the first word: all of `Word`, and `HTTP` of `HTTPStatus`.
fn upper_word(text: &[u8], first: char, first_width: usize) -> usize {
    let rest = text.get(first_width..).unwrap_or_default();
    let Some(last) = readable(rest, first).take_while(|rune| is_upper(rune.char)).last() else {
        let small = readable(rest, first).find(|rune| !is_alphabetic(rune.char) || is_upper(rune.char));
        return first_width + small.map_or(rest.len(), |rune| rune.start);
    };
    let end = last.start + last.width;
    let letter_follows = readable(rest.get(end..).unwrap_or_default(), last.char)
        .next()
        .is_some_and(|rune| is_alphabetic(rune.char));
    first_width + if letter_follows { last.start } else { end }
}

/// Returns true for letters except Chinese, Japanese and Korean ones.
fn is_alphabetic(char: char) -> bool {
    let is_cjk = matches!(char,
        '\u{3034}'..'\u{30ff}' | '\u{3105}'..='\u{312d}' | '\u{31a0}'..='\u{31ba}' | '\u{3400}'..='\u{4db5}'
        | '\u{4e00}'..='\u{9fcc}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{fad9}' | '\u{20000}'..='\u{2f800}');
    is_letter(char) && !is_cjk
}
