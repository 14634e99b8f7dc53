//! Strings as bytes: cutting, joining, searching and padding.

use std::collections::HashSet;
use std::ops::Range;

use super::conversion::to_text;
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::format;
use crate::template::value::{Bytes, Entries, ListType, MapType, Value, decode_rune};

const NEGATIVE_COUNT: Failure = Failure::function("negative count");
const OUT_OF_RANGE: Failure = Failure::function("out of range");

pub(super) fn hello(cx: &mut Cx, _: &Args) -> Outcome<Value> {
    cx.text("Hello!")
}

/// Returns the offset of the first `needle` in `text`.
pub(super) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

pub(super) fn contains(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len().saturating_add(args.text(1).len()))?;
    Ok(Value::Bool(find(args.text(1), args.text(0)).is_some()))
}

pub(super) fn has_prefix(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    Ok(Value::Bool(args.text(1).starts_with(args.text(0))))
}

pub(super) fn has_suffix(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    Ok(Value::Bool(args.text(1).ends_with(args.text(0))))
}

pub(super) fn trim(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let trimmed = trim_matches(cx, args.text(0), char::is_whitespace)?;
    cx.text(trimmed)
}

pub(super) fn trim_all(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut cutset = HashSet::new();
    cx.characters(args.text(0), |rune| {
        cutset.insert(rune.char);
        Ok(())
    })?;
    let trimmed = trim_matches(cx, args.text(1), |char| cutset.contains(&char))?;
    cx.text(trimmed)
}

fn trim_matches<'t>(cx: &mut Cx, text: &'t [u8], cut: impl Fn(char) -> bool) -> Outcome<&'t [u8]> {
    let mut kept: Option<Range<usize>> = None;
    cx.characters(text, |rune| {
        if !cut(rune.char) {
            let start = kept.as_ref().map_or(rune.start, |kept| kept.start);
            kept = Some(start..rune.start + rune.width);
        }
        Ok(())
    })?;
    Ok(kept.and_then(|kept| text.get(kept)).unwrap_or_default())
}

pub(super) fn trim_prefix(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = args.text(1);
    cx.work(args.text(0).len())?;
    cx.text(text.strip_prefix(args.text(0)).unwrap_or(text))
}

pub(super) fn trim_suffix(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let text = args.text(1);
    cx.work(args.text(0).len())?;
    cx.text(text.strip_suffix(args.text(0)).unwrap_or(text))
}

pub(super) fn trunc(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (text, count) = (args.text(1), args.int(0));
    let length = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if length >= text.len() {
        return cx.text(text);
    }
    let range = if count < 0 { text.len() - length..text.len() } else { 0..length };
    cx.text(text.get(range).unwrap_or_default())
}

pub(super) fn substr(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (start, end, text) = (args.int(0), args.int(1), args.text(2));
    let (start, end) = match (usize::try_from(start), usize::try_from(end)) {
        (Err(_), Ok(end)) => (0, end),
        (Err(_), Err(_)) => return Err(OUT_OF_RANGE),
        (Ok(start), Ok(end)) if end <= text.len() => (start, end),
        (Ok(start), _) => (start, text.len()),
    };
    cx.text(text.get(start..end).ok_or(OUT_OF_RANGE)?)
}

pub(super) fn repeat(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let count = usize::try_from(args.int(0)).map_err(|_| NEGATIVE_COUNT)?;
    let mut output = cx.buffer();
    if !args.text(1).is_empty() {
        output.push_repeated(args.text(1), count)?;
    }
    cx.finish(output)
}

pub(super) fn replace(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut output = cx.buffer();
    let (old, new, text) = (args.text(0), args.text(1), args.text(2));
    cx.work(text.len().saturating_add(old.len()))?;
    if old.is_empty() {
        cx.characters(text, |rune| {
            output.push(new)?;
            output.push(text.get(rune.start..rune.start + rune.width).unwrap_or_default())
        })?;
        output.push(new)?;
        return cx.finish(output);
    }
    let mut done = 0;
    for position in memchr::memmem::find_iter(text, old) {
        cx.work(new.len().saturating_add(position - done))?;
        output.push(text.get(done..position).unwrap_or_default())?;
        output.push(new)?;
        done = position + old.len();
    }
    output.push(text.get(done..).unwrap_or_default())?;
    cx.finish(output)
}

pub(super) fn plural(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.text(args.text(usize::from(args.int(2) != 1)))
}

pub(super) fn indent(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    indented(cx, args, b"")
}

pub(super) fn nindent(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    indented(cx, args, b"\n")
}

fn indented(cx: &mut Cx, args: &Args, before: &[u8]) -> Outcome<Value> {
    let spaces = usize::try_from(args.int(0)).map_err(|_| NEGATIVE_COUNT)?;
    let mut output = cx.buffer();
    output.push(before)?;
    cx.work(args.text(1).len())?;
    for (number, line) in args.text(1).split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            output.push(b"\n")?;
        }
        cx.work(spaces.saturating_add(line.len()))?;
        output.push_repeated(b" ", spaces)?;
        output.push(line)?;
    }
    cx.finish(output)
}

/// `strings.SplitN`; any negative count means all pieces.
pub(super) fn pieces(cx: &mut Cx, text: &[u8], separator: &[u8], limit: i64) -> Outcome<Vec<Value>> {
    let limit = if limit < 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let mut pieces = Vec::new();
    let mut rest = text;
    let separators = memchr::memmem::Finder::new(separator);
    cx.work(text.len().saturating_add(separator.len()))?;
    if limit == 0 || (separator.is_empty() && text.is_empty()) {
        return Ok(pieces);
    }
    while pieces.len() + 1 < limit {
        let (length, skipped) = match separator {
            [] => match decode_rune(rest) {
                Some((_, width)) if width < rest.len() => (width, 0),
                _ => break,
            },
            _ => match separators.find(rest) {
                Some(position) => (position, separator.len()),
                None => break,
            },
        };
        let piece = rest.get(..length).unwrap_or_default();
        rest = rest.get(length + skipped..).unwrap_or_default();
        cx.pay_for_elements(1)?;
        pieces.push(cx.text(piece)?);
    }
    pieces.push(cx.text(rest)?);
    Ok(pieces)
}

pub(super) fn split_list(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let pieces = pieces(cx, args.text(1), args.text(0), -1)?;
    cx.list(ListType::Text, pieces)
}

pub(super) fn split(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let pieces = pieces(cx, args.text(1), args.text(0), -1)?;
    numbered(cx, pieces)
}

pub(super) fn splitn(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let pieces = pieces(cx, args.text(2), args.text(0), args.int(1))?;
    numbered(cx, pieces)
}

/// Returns a map with the keys `_0`, `_1`, …
fn numbered(cx: &mut Cx, pieces: Vec<Value>) -> Outcome<Value> {
    let mut entries = Entries::new();
    for (number, piece) in pieces.into_iter().enumerate() {
        cx.pay_for_entry(number)?;
        entries.insert(Bytes::from(format!("_{number}")), piece);
    }
    cx.map(MapType::Text, entries)
}

/// Joins the texts of all non-nil values, each transformed by `change`, with spaces.
fn spaced(cx: &mut Cx, args: &Args, change: impl Fn(&mut Cx, Bytes) -> Outcome<Bytes>) -> Outcome<Value> {
    let mut output = cx.buffer();
    for (position, value) in args.from(0).iter().filter(|value| !matches!(value, Value::Nil)).enumerate() {
        if position > 0 {
            output.push(b" ")?;
        }
        let text = to_text(cx, value)?;
        cx.work(text.len())?;
        cx.meter.affords(output.len().saturating_add(text.len().saturating_mul(2)))?;
        output.push(&change(cx, text)?)?;
    }
    cx.finish(output)
}

pub(super) fn cat(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    spaced(cx, args, |_, text| Ok(text))
}

pub(super) fn quote(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    spaced(cx, args, |cx, text| Ok(format::quote(cx, &text)?.into_bytes().into()))
}

pub(super) fn squote(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    spaced(cx, args, |cx, text| {
        let mut quoted = cx.buffer();
        quoted.push(b"'")?;
        quoted.push(&text)?;
        quoted.push(b"'")?;
        Ok(quoted.into_bytes().into())
    })
}
