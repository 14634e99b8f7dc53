//! `strconv.Quote` and its relatives.

use super::super::error::Outcome;
use super::super::value::{is_graphic, runes};
use super::super::zeroizing::Buffer;

/// A double-quoted Go string; printable characters stay as they are.
pub(crate) fn quote(text: &[u8], room: usize) -> Outcome<Buffer> {
    quote_with(text, false, room)
}

/// A double-quoted Go string of ASCII characters.
pub(crate) fn quote_ascii(text: &[u8], room: usize) -> Outcome<Buffer> {
    quote_with(text, true, room)
}

fn quote_with(text: &[u8], ascii: bool, room: usize) -> Outcome<Buffer> {
    let mut quoted = Buffer::new(room);
    quoted.push(b"\"")?;
    for rune in runes(text) {
        if rune.is_invalid() {
            let byte = text.get(rune.start).copied().unwrap_or_default();
            quoted.push(format!("\\x{byte:02x}").as_bytes())?;
        } else {
            push_escaped(&mut quoted, rune.char, '"', ascii)?;
        }
    }
    quoted.push(b"\"")?;
    Ok(quoted)
}

/// A single-quoted Go character.
pub(crate) fn quote_char(char: char, ascii: bool) -> String {
    let mut quoted = Buffer::new(16);
    // Twelve bytes at most: the buffer cannot overflow.
    let _ = quoted
        .push(b"'")
        .and_then(|()| push_escaped(&mut quoted, char, '\'', ascii))
        .and_then(|()| quoted.push(b"'"));
    String::from_utf8_lossy(quoted.as_slice()).into_owned()
}

fn push_escaped(output: &mut Buffer, char: char, quote: char, ascii: bool) -> Outcome<()> {
    if char == quote || char == '\\' {
        output.push(b"\\")?;
        return output.push_char(char);
    }
    if (char.is_ascii() || !ascii) && is_graphic(char) {
        return output.push_char(char);
    }
    let escape = match char {
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x0b' => "\\v".to_owned(),
        _ if char < ' ' || char == '\x7f' => format!("\\x{:02x}", u32::from(char)),
        _ if u32::from(char) < 0x10000 => format!("\\u{:04x}", u32::from(char)),
        _ => format!("\\U{:08x}", u32::from(char)),
    };
    output.push(escape.as_bytes())
}

/// Whether a string can stand between backquotes unchanged.
pub(crate) fn can_backquote(text: &[u8]) -> bool {
    runes(text).all(|rune| {
        !rune.is_invalid()
            && rune.char != '\u{feff}'
            && rune.char != '`'
            && rune.char != '\x7f'
            && (rune.char >= ' ' || rune.char == '\t')
    })
}
