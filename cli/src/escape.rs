//! Escaping of untrusted text for a terminal: every invisible or control character is written as `\u{1b}`.

/// Escapes one line, line breaks and tabs included.
pub(crate) fn line(text: &str) -> String {
    text.split_inclusive(['"', '\'', '\\']).map(escaped_piece).collect()
}

/// Escapes a text; line breaks stay.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Escapes a piece that has quotes and backslashes at its end only; these stay unchanged.
fn escaped_piece(piece: &str) -> String {
    let body = piece.trim_end_matches(['"', '\'', '\\']);
    let end = piece.strip_prefix(body).unwrap_or_default();
    let mut escaped = String::with_capacity(piece.len());
    for character in body.escape_debug() {
        if is_invisible(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped + end
}

/// Invisible characters that are letters, marks or symbols: all of the Unicode property `Default_Ignorable_Code_Point` (Unicode 17),
/// and the blank Braille pattern. The others are control and format characters, which the standard library escapes.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_of_any_language_stays() {
        for text in ["", "it's \"C:\\x\"", "Grüße, 世界, שלום, नमस्ते 🦀", "e\u{301}t\u{e9}", "a = b; c|d"]
        {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn whatever_changes_how_a_terminal_shows_text_is_escaped() {
        let hidden = (0..0x20).chain(0x7f..0xa0).chain([0xad, 0x61c, 0x200b, 0x2066, 0xe0041, 0xfeff]);
        let marks =
            (0x200e..0x2010).chain(0x2028..0x202f).chain(0x2066..0x206a).chain([0xa0, 0x3164, 0xfe0f]);
        for character in hidden.chain(marks).filter_map(char::from_u32) {
            let escaped = line(&format!("a{character}b"));
            assert!(escaped.is_ascii() && escaped.len() > 3 && escaped.starts_with("a\\"), "{escaped}");
        }
        assert_eq!(line("\u{1b}[2K\r\n\t\0"), "\\u{1b}[2K\\r\\n\\t\\0");
    }

    #[test]
    fn only_text_in_lines_keeps_its_line_breaks() {
        assert_eq!(lines("a\u{1b}\nb\tc\r\n"), "a\\u{1b}\nb\\tc\\r\n");
    }
}
