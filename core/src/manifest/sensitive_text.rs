//! Texts of files and of their values, wiped when dropped if they may hold a plaintext.

use std::mem;
use std::ops::Deref;

use memchr::memmem;
use sealed_secrets_crds::names::SEALED_SECRET_KIND;
use zeroize::Zeroizing;

/// Text that is wiped when dropped, unless it is public. Wiping is as slow as parsing, and ciphertexts and the files that hold them are
/// most of the bytes of a repository.
#[derive(Clone, PartialEq, Eq)]
pub enum SensitiveText {
    /// Text that may hold a plaintext.
    Wiped(Zeroizing<String>),
    /// Text that holds ciphertexts alone.
    Public(String),
}

/// Length of the shortest ciphertext in base64, of a key of 2048 bits.
const MIN_CIPHERTEXT: usize = 370;

/// The first three characters of a ciphertext without the last one, which is `A` to `D`: the length of the RSA block, 0x0100, 0x0180
/// or 0x0200. Of random base64, one text in some 20,000 begins so.
const BEGINNINGS: [&[u8]; 3] = [b"AQ", b"AY", b"Ag"];

impl SensitiveText {
    /// The text of a scalar. It is public if it is long and begins as the ciphertexts of RSA keys of 2048 to 4096 bits do, without a
    /// blank.
    #[must_use]
    pub fn of_scalar(text: String) -> Self {
        Self::new(is_ciphertext(&text), Zeroizing::new(text))
    }

    /// The text of a file. It is public if it has SealedSecrets and mentions nothing else that is secret.
    #[must_use]
    pub fn of_file(text: Zeroizing<String>) -> Self {
        Self::new(is_sealed(&text), text)
    }

    fn new(is_public: bool, mut text: Zeroizing<String>) -> Self {
        if is_public { Self::Public(mem::take(&mut *text)) } else { Self::Wiped(text) }
    }

    /// Returns the text, which is wiped from now on.
    #[must_use]
    pub fn into_wiped(self) -> Zeroizing<String> {
        match self {
            Self::Wiped(text) => text,
            Self::Public(text) => Zeroizing::new(text),
        }
    }
}

impl Deref for SensitiveText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Wiped(text) => text,
            Self::Public(text) => text,
        }
    }
}

fn is_ciphertext(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins_as_ciphertext = bytes.first_chunk::<3>().is_some_and(|[first, second, third]| {
        BEGINNINGS.contains(&&[*first, *second][..]) && (b'A'..=b'D').contains(third)
    });
    begins_as_ciphertext && bytes.len() >= MIN_CIPHERTEXT && !bytes.contains(&b' ')
}

/// Returns true if the text has a SealedSecret, and neither a Secret nor a `secretGenerator`.
fn is_sealed(text: &str) -> bool {
    let (rest, word) = ("ecret", SEALED_SECRET_KIND.as_bytes());
    let mut found = memmem::find_iter(text.as_bytes(), rest).peekable();
    let is_of_kind = |at: usize| {
        let begin = at.checked_sub(word.len() - rest.len());
        begin.and_then(|begin| text.as_bytes().get(begin..)).is_some_and(|text| text.starts_with(word))
    };
    found.peek().is_some() && found.all(is_of_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wiped_unless_it_has_the_form_of_a_ciphertext() {
        let is_wiped =
            |text: &str| matches!(SensitiveText::of_scalar(text.to_owned()), SensitiveText::Wiped(_));
        let long = "a".repeat(400);
        for begin in ["AgA", "AgB", "AQC", "AYD"] {
            assert!(!is_wiped(&format!("{begin}{long}")), "{begin}");
        }
        for text in ["hunter2", "AgB", &long, &format!("AgZ{long}"), &format!("AgB {long}")] {
            assert!(is_wiped(text), "{text}");
        }
    }

    #[test]
    fn only_texts_with_nothing_secret_but_sealed_secrets_are_not_wiped() {
        let is_wiped = |text: &str| {
            let read = SensitiveText::of_file(Zeroizing::new(text.to_owned()));
            assert_eq!(&*read, text);
            matches!(read, SensitiveText::Wiped(_))
        };
        assert!(!is_wiped("kind: SealedSecret\n---\n{\"kind\":\"SealedSecret\"}"));
        for text in [
            "kind: Secret\n",
            "ecret",
            "kind: SealedSecret\n---\nkind: Secret\n",
            "kind: SealedSecret\n---\nsecretGenerator: []\n",
            "kind: SealedSecret\nspec: {template: {data: {secret: a}}}\n",
            "password: a\n",
            "",
        ] {
            assert!(is_wiped(text), "{text}");
        }
    }
}
