//! Formats integers and hexadecimal dumps.

use super::super::context::Cx;
use super::super::error::Outcome;
use super::super::value::is_graphic;
use super::super::zeroizing::Buffer;
use super::flags::Flags;
use super::quote::quote_char;

/// Formats an integer without padding to the width. `negative` is `None` for unsigned types. Returns `None` if the verb does not
/// apply.
pub(super) fn integer(
    flags: &Flags,
    magnitude: u64,
    negative: Option<bool>,
    verb: char,
) -> Option<Outcome<Vec<u8>>> {
    let digits = match verb {
        'v' if flags.sharp_v && negative.is_none() => {
            return Some(Ok(format!("{magnitude:#x}").into_bytes()));
        }
        'v' | 'd' => magnitude.to_string(),
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' => return Some(Ok(character(magnitude, negative).to_string().into_bytes())),
        'q' => return Some(Ok(quote_char(character(magnitude, negative), flags.plus).into_bytes())),
        'U' => return Some(Ok(unicode(flags, magnitude, negative))),
        _ => return None,
    };
    let is_negative = negative == Some(true);
    let has_sign = is_negative || flags.plus || flags.space;
    let mut least = flags.precision.unwrap_or(0);
    if flags.precision == Some(0) && magnitude == 0 {
        return Some(Ok(Vec::new()));
    }
    if flags.precision.is_none() && flags.zero && !flags.minus {
        least = flags.width.unwrap_or(0).saturating_sub(usize::from(has_sign));
    }
    Some(Ok(assemble(flags, &digits, least, verb, is_negative)))
}

fn assemble(flags: &Flags, digits: &str, least: usize, verb: char, is_negative: bool) -> Vec<u8> {
    let zeros = least.saturating_sub(digits.len());
    let prefix = match verb {
        'O' => "0o",
        'b' if flags.sharp => "0b",
        'o' if flags.sharp && zeros == 0 && !digits.starts_with('0') => "0",
        'x' if flags.sharp => "0x",
        'X' if flags.sharp => "0X",
        _ => "",
    };
    let octal_mark =
        if verb == 'O' && flags.sharp && zeros == 0 && !digits.starts_with('0') { "0" } else { "" };
    let sign = match (is_negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    [sign, prefix, octal_mark, &"0".repeat(zeros), digits].concat().into_bytes()
}

fn character(magnitude: u64, negative: Option<bool>) -> char {
    let code = u32::try_from(magnitude).ok().filter(|_| negative != Some(true));
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unicode(flags: &Flags, magnitude: u64, negative: Option<bool>) -> Vec<u8> {
    let code = if negative == Some(true) { magnitude.wrapping_neg() } else { magnitude };
    let least = flags.precision.unwrap_or(4).max(4);
    let hex = format!("{code:X}");
    let mut text = format!("U+{}{hex}", "0".repeat(least.saturating_sub(hex.len())));
    let printed =
        u32::try_from(code).ok().and_then(char::from_u32).filter(|char| flags.sharp && is_graphic(*char));
    if let Some(char) = printed {
        text.extend([' ', '\'', char, '\'']);
    }
    text.into_bytes()
}

/// Formats a string with `%x`, padded to the width.
pub(super) fn hex_of_bytes(cx: &mut Cx, flags: &Flags, bytes: &[u8], upper: bool) -> Outcome<Buffer> {
    let printed = bytes.get(..flags.precision.unwrap_or(bytes.len())).unwrap_or(bytes);
    let prefix: &[u8] = if upper { b"0X" } else { b"0x" };
    let mut hex = cx.buffer();
    cx.pieces(printed, |piece| {
        for byte in piece {
            let is_first = hex.len() == 0;
            if flags.space && !is_first {
                hex.push(b" ")?;
            }
            if flags.sharp && (flags.space || is_first) {
                hex.push(prefix)?;
            }
            hex.push(if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }.as_bytes())?;
        }
        Ok(())
    })?;
    let missing = flags.width.unwrap_or(0).saturating_sub(hex.len());
    let filler: &[u8] = if flags.zero && !flags.minus { b"0" } else { b" " };
    cx.work(missing.saturating_add(hex.len()))?;
    let mut padded = cx.buffer();
    if !flags.minus || printed.is_empty() {
        padded.push_repeated(filler, missing)?;
        padded.push(hex.as_slice())?;
        return Ok(padded);
    }
    padded.push(hex.as_slice())?;
    padded.push_repeated(b" ", missing)?;
    Ok(padded)
}
