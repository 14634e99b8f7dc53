//! `strconv.Quote` and its relatives.

use super::super::context::Cx;
use super::super::error::Outcome;
use super::super::value::is_graphic;
use super::super::zeroizing::Buffer;

/// Returns a double-quoted Go string. Printable characters stay unescaped.
pub(crate) fn quote(cx: &mut Cx, text: &[u8]) -> Outcome<Buffer> {
    quote_with(cx, text, false)
}

/// Returns a double-quoted Go string of ASCII characters.
pub(crate) fn quote_ascii(cx: &mut Cx, text: &[u8]) -> Outcome<Buffer> {
    quote_with(cx, text, true)
}

fn quote_with(cx: &mut Cx, text: &[u8], ascii: bool) -> Outcome<Buffer> {
    let mut quoted = cx.buffer();
    quoted.push(b"\"")?;
    cx.characters(text, |rune| {
        if rune.is_invalid() {
            let byte = text.get(rune.start).copied().unwrap_or_default();
            return quoted.push(format!("\\x{byte:02x}").as_bytes());
        }
        push_escaped(&mut quoted, rune.char, '"', ascii)
    })?;
    quoted.push(b"\"")?;
    Ok(quoted)
}

/// Returns a single-quoted Go character.
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

/// Returns true if a string can be written between backquotes unchanged.
pub(crate) fn can_backquote(cx: &mut Cx, text: &[u8]) -> Outcome<bool> {
    let mut can = true;
    cx.characters(text, |rune| {
        can &= !rune.is_invalid()
            && rune.char != '\u{feff}'
            && rune.char != '`'
            && rune.char != '\x7f'
            && (rune.char >= ' ' || rune.char == '\t');
        Ok(())
    })?;
    Ok(can)
}
