//! Search for plaintext in all objects of a Git repository.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sealed_secrets_tests::{Error, Laptop, Result};

/// A text that the repository does hold: the search must find it, or it would prove nothing.
const PRESENT: &str = "kind: SealedSecret";

/// Succeeds if none of the repository's objects holds one of `values`, plain or in base64.
pub(crate) fn hides(laptop: &Laptop, values: &[&str]) -> Result<()> {
    let objects = laptop.bytes("cd git && git cat-file --batch-all-objects --batch --unordered")?;
    if !contains(&objects, PRESENT) {
        return Err(Error::Invalid(
            "the search did not even find the SealedSecret: it proves nothing".into(),
        ));
    }
    for value in values {
        if let Some(form) = forms(value).into_iter().find(|form| contains(&objects, form)) {
            return Err(Error::Invalid(format!("the repository holds {form:?}")));
        }
    }
    Ok(())
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// The value itself, and the part of its base64 that does not depend on the surrounding text.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    for before in 0..3 {
        let encoded = BASE64_STANDARD.encode([" ".repeat(before).as_str(), value].concat());
        let first = (before * 8).div_ceil(6);
        let last = (before + value.len()) * 8 / 6;
        forms.extend(encoded.get(first..last).map(str::to_owned));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_base64_at_every_offset() {
        for before in ["", "a", "ab", "abc", "password: "] {
            for after in ["", "x", "xy"] {
                let encoded = BASE64_STANDARD.encode(format!("{before}hunter2{after}"));
                let found = forms("hunter2").iter().any(|form| contains(encoded.as_bytes(), form));
                assert!(found, "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn other_text_is_not_found() {
        let encoded = BASE64_STANDARD.encode("a SealedSecret holds nothing");
        assert!(!forms("hunter2").iter().any(|form| contains(encoded.as_bytes(), form)));
    }
}
