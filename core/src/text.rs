//! Limits on texts.

/// Returns the longest prefix of at most `bytes` bytes that ends at a character boundary.
#[must_use]
pub fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn a_prefix_ends_at_a_character_boundary() {
        assert_eq!(["", "a", "aé", "aéb"].map(|text| prefix(text, 2)), ["", "a", "a", "a"]);
        assert_eq!((prefix("aéb", 3), prefix("aéb", 9)), ("aé", "aéb"));
    }
}
