//! Go's readings of texts, which flags of the original accept. Durations are in [`crate::template::parse_duration`].

/// Reads a boolean as Go's `strconv.ParseBool` does; `None` for a text that is none.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_have_twelve_spellings_and_no_other() {
        assert!(["1", "t", "T", "TRUE", "true", "True"].iter().all(|text| parse_bool(text) == Some(true)));
        assert!(
            ["0", "f", "F", "FALSE", "false", "False"].iter().all(|text| parse_bool(text) == Some(false))
        );
        assert!(["", "yes", "tRUE", " true", "2"].iter().all(|text| parse_bool(text).is_none()));
    }
}
