//! Random text and numbers, from the caller's random bytes.

use std::ops::RangeInclusive;

use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{Value, push_rune};

/// Returns a uniform number below `bound`, which must not be 0.
pub(super) fn below(cx: &mut Cx, bound: u64) -> u64 {
    // Numbers from the incomplete last interval of the range are drawn again, to avoid a bias.
    let unfair = (u64::MAX % bound + 1) % bound;
    loop {
        let mut bytes = [0; 8];
        cx.fill_random(&mut bytes);
        let drawn = u64::from_ne_bytes(bytes);
        if drawn <= u64::MAX - unfair {
            return drawn % bound;
        }
    }
}

fn characters(cx: &mut Cx, args: &Args, alphabet: &[RangeInclusive<u8>]) -> Outcome<Value> {
    let count = usize::try_from(args.int(0)).unwrap_or(0);
    let alphabet: Vec<u8> = alphabet.iter().cloned().flatten().collect();
    let mut output = cx.buffer();
    if count > cx.meter.room() {
        return Err(Failure::budget("a value is too large"));
    }
    for _ in 0..count {
        cx.step(1)?;
        let drawn = below(cx, u64::try_from(alphabet.len()).unwrap_or(1).max(1));
        let letter = usize::try_from(drawn).ok().and_then(|drawn| alphabet.get(drawn)).copied();
        output.push(&[letter.unwrap_or_default()])?;
    }
    cx.finish(output)
}

pub(super) fn alpha(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    characters(cx, args, &[b'a'..=b'z', b'A'..=b'Z'])
}

pub(super) fn numeric(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    characters(cx, args, &[b'0'..=b'9'])
}

pub(super) fn alphanumeric(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    characters(cx, args, &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9'])
}

pub(super) fn ascii(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    characters(cx, args, &[b' '..=b'~'])
}

/// Returns random bytes in base64.
pub(super) fn bytes(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let count = usize::try_from(args.int(0)).map_err(|_| Failure::function("negative count"))?;
    if count > cx.meter.room() / 2 {
        return Err(Failure::budget("a value is too large"));
    }
    cx.work(count)?;
    let mut bytes = vec![0; count];
    cx.fill_random(&mut bytes);
    cx.text(super::encoding::base64(&bytes))
}

pub(super) fn int(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let (low, high) = (args.int(0), args.int(1));
    let width = high.checked_sub(low).and_then(|width| u64::try_from(width).ok()).filter(|width| *width > 0);
    let drawn = below(cx, width.ok_or(Failure::function("the upper bound must be above the lower"))?);
    Ok(Value::int(low.wrapping_add(i64::try_from(drawn).unwrap_or(0))))
}

pub(super) fn shuffle(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.meter.allocate(args.text(0).len().saturating_mul(size_of::<char>()))?;
    let mut letters: Vec<char> = Vec::with_capacity(args.text(0).len());
    cx.characters(args.text(0), |rune| {
        letters.push(rune.char);
        Ok(())
    })?;
    for position in (1..letters.len()).rev() {
        cx.step(1)?;
        let other = below(cx, u64::try_from(position).unwrap_or(0) + 1);
        letters.swap(position, usize::try_from(other).unwrap_or(0));
    }
    let mut output = Vec::with_capacity(args.text(0).len());
    for letter in letters {
        push_rune(&mut output, letter);
    }
    cx.text(output)
}

pub(super) fn uuid(cx: &mut Cx, _: &Args) -> Outcome<Value> {
    let mut bytes = [0; 16];
    cx.fill_random(&mut bytes);
    // Version 4 and the variant (RFC 9562, section 5.4).
    let value = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{value:032x}");
    let groups =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
    cx.text(groups.join("-"))
}
