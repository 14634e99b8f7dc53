//! `wrap` and `abbrev`, after Go's `goutils`.

use super::strings::find;
use crate::template::context::{Args, Cx};
use crate::template::error::Outcome;
use crate::template::value::Value;

pub(super) fn wrap(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    wrapped(cx, args.text(1), args.int(0), b"\n", false)
}

pub(super) fn wrap_with(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let newline: &[u8] = if args.text(1).is_empty() { b"\n" } else { args.text(1) };
    wrapped(cx, args.text(2), args.int(0), newline, true)
}

fn wrapped(cx: &mut Cx, text: &[u8], width: i64, newline: &[u8], breaks_words: bool) -> Outcome<Value> {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut output = cx.buffer();
    let mut rest = text;
    while rest.len() > width {
        if let Some(after_space) = rest.strip_prefix(b" ") {
            cx.step(1)?;
            rest = after_space;
            continue;
        }
        cx.work(width.saturating_add(newline.len()))?;
        let fitting = rest.get(..=width).unwrap_or(rest);
        let space_within = fitting.iter().rposition(|byte| *byte == b' ');
        let beyond = rest.get(width..).unwrap_or_default();
        let (length, skipped) = match space_within {
            Some(space) => (space, 1),
            None if breaks_words => (width, 0),
            None => match find(beyond, b" ") {
                Some(space) => {
                    cx.work(space)?;
                    (width + space, 1)
                }
                None => break,
            },
        };
        output.push(rest.get(..length).unwrap_or_default())?;
        output.push(newline)?;
        rest = rest.get(length + skipped..).unwrap_or_default();
    }
    output.push(rest)?;
    cx.finish(output)
}

pub(super) fn abbrev(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (width, text) = (args.int(0), args.text(1));
    cx.meter.affords(text.len().saturating_mul(2))?;
    match usize::try_from(width) {
        Ok(width) if width >= 4 => cx.text(abbreviated(text, 0, width)),
        _ => cx.text(text),
    }
}

pub(super) fn abbrevboth(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (left, right, text) = (args.int(0), args.int(1), args.text(2));
    cx.meter.affords(text.len().saturating_mul(2))?;
    if right < 4 || (left > 0 && right < 7) {
        return cx.text(text);
    }
    let left = usize::try_from(left).unwrap_or(0);
    cx.text(abbreviated(text, left, usize::try_from(right).unwrap_or(usize::MAX)))
}

fn abbreviated(text: &[u8], offset: usize, width: usize) -> Vec<u8> {
    if text.len() <= width {
        return text.to_vec();
    }
    let kept = width - 3;
    let offset = offset.min(text.len()).min(text.len() - kept);
    if offset <= 4 {
        return [text.get(..kept).unwrap_or_default(), b"..."].concat();
    }
    if offset + kept < text.len() {
        let tail = text.get(offset..).unwrap_or_default();
        let tail = if kept < 4 { Vec::new() } else { abbreviated(tail, 0, kept) };
        return [b"...".as_slice(), &tail].concat();
    }
    [b"...", text.get(text.len() - kept..).unwrap_or_default()].concat()
}
