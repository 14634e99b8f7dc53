//! Decodes UTF-8 as Go does: an invalid byte counts as U+FFFD of width one.

use std::sync::LazyLock;

use regex::Regex;

/// A decoded character: its offset, the character, and its width in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rune {
    pub(crate) start: usize,
    pub(crate) char: char,
    pub(crate) width: usize,
}

impl Rune {
    /// Returns true for a byte that is not part of valid UTF-8.
    pub(crate) const fn is_invalid(self) -> bool {
        self.char == char::REPLACEMENT_CHARACTER && self.width == 1
    }
}

/// Decodes the first character of `bytes`; `None` if empty.
pub(crate) fn decode_rune(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let expected = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Some((char::REPLACEMENT_CHARACTER, 1)),
    };
    let decoded = bytes
        .get(..expected)
        .and_then(|bytes| str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    Some(decoded.map_or((char::REPLACEMENT_CHARACTER, 1), |char| (char, expected)))
}

/// Decodes all characters of `bytes`.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let (char, width) = decode_rune(bytes.get(start..)?)?;
        let rune = Rune { start, char, width };
        start += width;
        Some(rune)
    })
}

pub(crate) fn push_rune(output: &mut Vec<u8>, char: char) {
    output.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_graphic(char: char) -> bool {
    #[expect(clippy::unwrap_used, reason = "a constant pattern")]
    static GRAPHIC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\pL\pM\pN\pP\pS ]$").unwrap());
    if char.is_ascii() {
        return char == ' ' || char.is_ascii_graphic();
    }
    GRAPHIC.is_match(char.encode_utf8(&mut [0; 4]))
}

/// Returns true for characters of names in templates: letters, digits and the underscore.
pub(crate) fn is_alphanumeric(char: char) -> bool {
    #[expect(clippy::unwrap_used, reason = "a constant pattern")]
    static ALPHANUMERIC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\pL\p{Nd}]$").unwrap());
    if char.is_ascii() {
        return char == '_' || char.is_ascii_alphanumeric();
    }
    ALPHANUMERIC.is_match(char.encode_utf8(&mut [0; 4]))
}
