//! The text of a file, wiped when dropped if it may hold a plaintext.

use std::mem;
use std::ops::Deref;

use memchr::memmem;
use sealed_secrets_crds::names::SEALED_SECRET_KIND;
use zeroize::Zeroizing;

/// Text of a file. Wiping is as slow as parsing, and almost all texts of a repository hold SealedSecrets and nothing to hide.
#[derive(Clone)]
pub enum FileText {
    /// Text that may hold a plaintext.
    Wiped(Zeroizing<String>),
    /// Text with SealedSecrets that mentions nothing else that is secret.
    Sealed(String),
}

impl FileText {
    /// Returns the text, which is wiped from now on.
    #[must_use]
    pub fn into_wiped(self) -> Zeroizing<String> {
        match self {
            Self::Wiped(text) => text,
            Self::Sealed(text) => Zeroizing::new(text),
        }
    }
}

impl From<Zeroizing<String>> for FileText {
    fn from(mut text: Zeroizing<String>) -> Self {
        if is_sealed(&text) { Self::Sealed(mem::take(&mut *text)) } else { Self::Wiped(text) }
    }
}

impl Deref for FileText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Wiped(text) => text,
            Self::Sealed(text) => text,
        }
    }
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
    fn only_texts_with_nothing_secret_but_sealed_secrets_are_not_wiped() {
        let is_wiped = |text: &str| {
            let read = FileText::from(Zeroizing::new(text.to_owned()));
            assert_eq!(&*read, text);
            matches!(read, FileText::Wiped(_))
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
