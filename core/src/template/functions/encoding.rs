//! Base64, base32 and JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::template::context::{Args, Cx, PIECE};
use crate::template::error::{Failure, Outcome};
use crate::template::json::{Style, decode, encode};
use crate::template::value::Value;
use crate::template::zeroizing::Buffer;

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn b64enc(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.work(args.text(0).len())?;
    cx.meter.affords(args.text(0).len().saturating_mul(4) / 3)?;
    cx.text(base64(args.text(0)))
}

/// Decodes base64. Invalid input gives Go's error text.
pub(super) fn b64dec(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match decode_base64(cx, args.text(0))? {
        Ok(bytes) => cx.text(bytes),
        Err(position) => cx.text(format!("illegal base64 data at input byte {position}")),
    }
}

/// Decodes as Go does: newlines are skipped, padding is required, trailing bits are ignored. The error is the offset at which Go
/// stops.
pub(super) fn decode_base64(cx: &mut Cx, text: &[u8]) -> Outcome<Result<Vec<u8>, usize>> {
    cx.meter.affords(text.len())?;
    let mut group = Group::default();
    let mut end = text.len();
    let mut output = Vec::with_capacity(text.len() / 4 * 3);
    for (number, piece) in text.chunks(PIECE).enumerate() {
        cx.scan(piece.len())?;
        if let Some(position) = piece.iter().position(|letter| !group.take(*letter, &mut output)) {
            end = number * PIECE + position;
            break;
        }
    }
    Ok(group.finished(text, end, output))
}

/// Up to four base64 letters that were read.
#[derive(Default)]
struct Group {
    bits: u32,
    count: usize,
}

impl Group {
    /// Adds one letter. Returns false if it is not a base64 letter.
    fn take(&mut self, letter: u8, output: &mut Vec<u8>) -> bool {
        let Some(value) = base64_value(letter) else {
            return matches!(letter, b'\r' | b'\n');
        };
        self.bits = (self.bits << 6) | u32::from(value);
        self.count += 1;
        if self.count == 4 {
            output.extend(self.bits.to_be_bytes().iter().skip(1));
            *self = Self::default();
        }
        true
    }

    /// Returns the decoded bytes if only padding follows at `end` of `text`, after the last letter.
    fn finished(self, text: &[u8], end: usize, mut output: Vec<u8>) -> Result<Vec<u8>, usize> {
        let Self { bits, count } = self;
        let padding = text.get(end..).unwrap_or_default();
        let mut padding = (end..).zip(padding).filter(|(_, letter)| !matches!(letter, b'\r' | b'\n'));
        let Some((position, letter)) = padding.next() else {
            return if count == 0 { Ok(output) } else { Err(text.len() - count) };
        };
        if *letter != b'=' || count < 2 {
            return Err(position);
        }
        if count == 2 {
            let (second, letter) = padding.next().ok_or(text.len())?;
            if *letter != b'=' {
                return Err(second - 1);
            }
        }
        output.extend((bits << (6 * (4 - count))).to_be_bytes().iter().skip(1).take(count - 1));
        padding.next().map_or(Ok(output), |(garbage, _)| Err(garbage))
    }
}

/// Decodes base32 like base64, but with error offsets that do not count newlines.
fn decode_base32(cx: &mut Cx, text: &[u8]) -> Outcome<Result<Vec<u8>, usize>> {
    cx.meter.affords(text.len().saturating_mul(2))?;
    let mut letters = Vec::with_capacity(text.len());
    cx.pieces(text, |piece| {
        letters.extend(piece.iter().filter(|letter| !matches!(letter, b'\r' | b'\n')));
        Ok(())
    })?;
    let mut output = Vec::with_capacity(letters.len() / 8 * 5);
    for start in (0..letters.len()).step_by(8) {
        cx.scan(8)?;
        match decode_base32_group(&letters, start, &mut output) {
            Err(position) => return Ok(Err(position)),
            Ok(count) if count < 8 => break,
            Ok(_) => {}
        }
    }
    Ok(Ok(output))
}

/// Decodes the group of letters at `start`. Returns its number of letters, or the offset of the error.
fn decode_base32_group(letters: &[u8], start: usize, output: &mut Vec<u8>) -> Result<usize, usize> {
    let after = letters.len() - start;
    let mut bits = 0_u64;
    let mut count = 0;
    for (position, letter) in letters.iter().skip(start).take(8).enumerate() {
        if *letter == b'=' && position >= 2 && after - position - 1 < 8 {
            break;
        }
        bits = (bits << 5) | u64::from(base32_value(*letter).ok_or(start + position)?);
        count += 1;
    }
    check_base32_padding(letters, start, count)?;
    let bytes = (bits << (40 - 5 * count)).to_be_bytes();
    output.extend(bytes.iter().skip(3).take(count * 5 / 8));
    Ok(count)
}

fn check_base32_padding(letters: &[u8], start: usize, count: usize) -> Result<(), usize> {
    let padding = letters.get(start + count..).unwrap_or_default();
    if count == 8 {
        return Ok(());
    }
    if padding.is_empty() {
        return Err(start);
    }
    if padding.len() + count < 8 {
        return Err(letters.len());
    }
    let stray = padding.iter().take(8 - count).position(|letter| *letter != b'=');
    if let Some(stray) = stray {
        return Err(start + count + stray - 1);
    }
    if matches!(count, 1 | 3 | 6) { Err(start + count) } else { Ok(()) }
}

pub(super) fn b32enc(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut output = cx.buffer();
    for chunk in args.text(0).chunks(5) {
        cx.scan(chunk.len())?;
        let mut group = [0; 8];
        for (slot, byte) in group.iter_mut().skip(3).zip(chunk) {
            *slot = *byte;
        }
        let bits = u64::from_be_bytes(group);
        let letters = (chunk.len() * 8).div_ceil(5);
        for position in 0..8 {
            let index = usize::try_from((bits >> (35 - 5 * position)) & 31).unwrap_or(0);
            let letter = LETTERS.get(index).copied().unwrap_or_default();
            output.push(&[if position < letters { letter } else { b'=' }])?;
        }
    }
    cx.finish(output)
}

pub(super) fn b32dec(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match decode_base32(cx, args.text(0))? {
        Ok(bytes) => cx.text(bytes),
        Err(position) => cx.text(format!("illegal base32 data at input byte {position}")),
    }
}

fn base64_value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn base32_value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'2'..=b'7' => Some(letter - b'2' + 26),
        _ => None,
    }
}

/// Returns the encoded JSON, or an empty string for values that JSON cannot represent.
fn or_empty(cx: &mut Cx, encoded: Outcome<Buffer>) -> Outcome<Value> {
    match encoded {
        Ok(json) => cx.finish(json),
        Err(failure) if failure.class == crate::template::Class::FunctionFailed => cx.text(""),
        Err(failure) => Err(failure),
    }
}

pub(super) fn to_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let encoded = encode(cx, args.any(0), Style::Compact);
    or_empty(cx, encoded)
}

pub(super) fn to_pretty_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let encoded = encode(cx, args.any(0), Style::Pretty);
    or_empty(cx, encoded)
}

pub(super) fn must_to_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let json = encode(cx, args.any(0), Style::Compact)?;
    cx.finish(json)
}

pub(super) fn must_to_pretty_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let json = encode(cx, args.any(0), Style::Pretty)?;
    cx.finish(json)
}

pub(super) fn must_to_raw_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let json = encode(cx, args.any(0), Style::Raw)?;
    cx.finish(json)
}

/// Decodes JSON. Invalid input gives nil.
pub(super) fn from_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    match decode(cx, args.text(0)) {
        Err(Failure { class: crate::template::Class::FunctionFailed, .. }) => Ok(Value::Nil),
        decoded => decoded,
    }
}

pub(super) fn must_from_json(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    decode(cx, args.text(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_base64_error_counts_newlines_as_go_does() {
        let mut output = Vec::new();
        let mut group = Group::default();
        let end = b"admin\n".iter().position(|letter| !group.take(*letter, &mut output)).unwrap_or(6);
        assert_eq!(group.finished(b"admin\n", end, output), Err(5));
    }
}
