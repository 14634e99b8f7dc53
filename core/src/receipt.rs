//! Receipts: comments that name the key and the place of a sealed item.
//!
//! ```text
//! # kubeseal: SHA256:q3Zt0aBcDeFgHiJk strict shop/db 1f0c9a2e71b0
//! ```
//!
//! A receipt is an unsigned hint. It holds nothing about the value.

use std::fmt;
use std::str::FromStr;

use sealed_secrets_crds::Scope;
use sha2::{Digest as _, Sha256};

use crate::crypto::Fingerprint;
use crate::label::Label;

/// Start of a receipt, up to the fingerprint.
pub const MARK: &str = "# kubeseal: ";
const ALGORITHM: &str = "SHA256:";
const FINGERPRINT_CHARACTERS: usize = 16;
const DIGEST_BYTES: usize = 6;
/// The place of an item that decrypts anywhere.
const ANYWHERE: &str = "*";

/// Key, scope, place and ciphertext of a sealed item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    fingerprint: String,
    scope: Scope,
    place: String,
    digest: String,
}

/// The text is not a [`Receipt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseReceiptError;

impl Receipt {
    /// Creates the receipt of an item that was sealed to this key in this scope, namespace and name. `ciphertext` is the item's
    /// base64 text.
    #[must_use]
    pub fn new(key: &Fingerprint, scope: Scope, namespace: &str, name: &str, ciphertext: &str) -> Self {
        let fingerprint = short_fingerprint(key.as_str()).to_owned();
        Self { fingerprint, scope, place: place(scope, namespace, name), digest: digest(ciphertext) }
    }

    /// Returns the algorithm and the first 16 characters of the key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns the scope.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns `NAMESPACE/NAME`, `NAMESPACE` or `*`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns true if this is the receipt of that ciphertext; otherwise it is stale.
    #[must_use]
    pub fn is_of(&self, ciphertext: &str) -> bool {
        self.digest == digest(ciphertext)
    }
}

/// Returns the place in which an item decrypts: `NAMESPACE/NAME`, `NAMESPACE` or `*`, by its scope.
#[must_use]
pub fn place(scope: Scope, namespace: &str, name: &str) -> String {
    match scope {
        Scope::ClusterWide => ANYWHERE.to_owned(),
        _ => Label::new(scope, namespace, name).to_string(),
    }
}

/// Returns 12 hexadecimal digits of the SHA-256 of an item's base64 text.
#[must_use]
pub fn digest(ciphertext: &str) -> String {
    let hash = Sha256::digest(ciphertext.as_bytes());
    let digits = hash.iter().take(DIGEST_BYTES).flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Returns the algorithm and the first 16 characters of a fingerprint.
#[must_use]
pub fn short_fingerprint(fingerprint: &str) -> &str {
    fingerprint.get(..ALGORITHM.len() + FINGERPRINT_CHARACTERS).unwrap_or(fingerprint)
}

impl fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{MARK}{} {} {} {}", self.fingerprint, self.scope, self.place, self.digest)
    }
}

impl FromStr for Receipt {
    type Err = ParseReceiptError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.strip_prefix(MARK).ok_or(ParseReceiptError)?.split(' ').collect();
        let [fingerprint, scope, place, digest] = words.as_slice() else { return Err(ParseReceiptError) };
        let scope = Scope::ALL.into_iter().find(|known| known.as_str() == *scope).ok_or(ParseReceiptError)?;
        let is_right = is_fingerprint(fingerprint) && is_place(scope, place) && is_digest(digest);
        if !is_right {
            return Err(ParseReceiptError);
        }
        Ok(Self {
            fingerprint: (*fingerprint).to_owned(),
            scope,
            place: (*place).to_owned(),
            digest: (*digest).to_owned(),
        })
    }
}

fn is_fingerprint(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.strip_prefix(ALGORITHM)
        .is_some_and(|rest| rest.len() == FINGERPRINT_CHARACTERS && rest.bytes().all(is_base64))
}

fn is_place(scope: Scope, text: &str) -> bool {
    let is_filled = |part: &str| !part.is_empty() && !part.contains('/');
    match scope {
        Scope::Strict => {
            text.split_once('/').is_some_and(|(namespace, name)| is_filled(namespace) && is_filled(name))
        }
        Scope::NamespaceWide => is_filled(text) && text != ANYWHERE,
        Scope::ClusterWide => text == ANYWHERE,
    }
}

fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 2 * DIGEST_BYTES && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";

    fn receipt(scope: Scope) -> Receipt {
        Receipt::new(&KEY.parse().unwrap(), scope, "shop", "db", "AgB0")
    }

    #[test]
    fn a_receipt_names_key_scope_place_and_the_hash_of_the_ciphertext() {
        // printf AgB0 | sha256sum
        let texts = Scope::ALL.map(|scope| receipt(scope).to_string());
        let expected = ["strict shop/db", "namespace-wide shop", "cluster-wide *"]
            .map(|place| format!("# kubeseal: SHA256:q3Zt0aBcDeFgHiJk {place} 0c2f7a213463"));
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_receipt_reads_back_and_belongs_to_its_own_ciphertext_only() {
        for scope in Scope::ALL {
            let written = receipt(scope);
            let read: Receipt = written.to_string().parse().unwrap();
            assert_eq!(read, written);
            assert!(read.is_of("AgB0") && !read.is_of("AgB1"));
        }
    }

    #[test]
    fn anything_else_is_no_receipt() {
        let good = receipt(Scope::Strict).to_string();
        let wide = receipt(Scope::NamespaceWide).to_string();
        for (from, to) in [
            ("# kubeseal: ", "#kubeseal: "),
            ("Jk ", "J "),
            ("Jk ", "J! "),
            ("strict", "Strict"),
            ("strict", "cluster-wide"),
            ("shop/db", "shop"),
            ("shop/db", "shop/db/x"),
            ("shop/db", "/db"),
            (" 0c2f", " 0C2F"),
            (" 0c2f", "  0c2f"),
            ("3463", "34630"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            assert_eq!(text.parse::<Receipt>(), Err(ParseReceiptError), "{text}");
        }
        assert_eq!(wide.replace(" shop ", " * ").parse::<Receipt>(), Err(ParseReceiptError));
    }
}
