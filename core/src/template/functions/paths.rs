//! Slash-separated paths, after Go's `path`.

use crate::template::context::{Args, Cx};
use crate::template::error::Outcome;
use crate::template::value::Value;

/// Returns the shortest equivalent path: no `.`, no resolvable `..`, no double slashes.
fn cleaned(cx: &mut Cx, path: &[u8]) -> Outcome<Vec<u8>> {
    let mut slashes = 0;
    cx.pieces(path, |piece| {
        slashes += memchr::memchr_iter(b'/', piece).count();
        Ok(())
    })?;
    cx.pay_for_elements(slashes)?;
    cx.meter.affords(path.len().saturating_mul(2))?;
    let is_rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    Ok(match (is_rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    })
}

fn last_element(path: &[u8]) -> &[u8] {
    let mut path = path;
    if path.is_empty() {
        return b".";
    }
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.is_empty() { b"/" } else { name }
}

pub(super) fn clean(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let path = cleaned(cx, args.text(0))?;
    cx.text(path)
}

pub(super) fn base(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    cx.text(last_element(args.text(0)))
}

pub(super) fn dir(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let path = args.text(0);
    cx.work(path.len())?;
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let path = cleaned(cx, path.get(..end).unwrap_or_default())?;
    cx.text(path)
}

pub(super) fn ext(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    let name = args.text(0).rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|byte| *byte == b'.');
    cx.text(dot.and_then(|dot| name.get(dot..)).unwrap_or_default())
}

pub(super) fn is_abs(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(args.text(0).starts_with(b"/")))
}
