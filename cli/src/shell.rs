//! Commands for a shell.

/// A text in single quotes, which a shell takes as one word and evaluates in no part.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A text as one word: as it is if a shell takes it so, else in quotes.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_and_all_others_are_one_word_that_is_not_evaluated() {
        for text in ["prod-eu", "clusters/prod.pem", "arn:aws:eks:eu-1:1:cluster/x", "user@host"] {
            assert_eq!(word(text), text);
        }
        for (text, wanted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("$(touch x)", "'$(touch x)'"),
            ("`x`;&|<>*?~#!", "'`x`;&|<>*?~#!'"),
            ("it's", "'it'\\''s'"),
            ("é", "'é'"),
        ] {
            assert_eq!(word(text), wanted);
            assert_eq!(shlex::split(&word(text)).unwrap(), [text]);
        }
    }
}
