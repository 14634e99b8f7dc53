//! Fingerprint of a public key, in the form of `ssh-keygen`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// SSH-style SHA-256 fingerprint of an RSA public key, `SHA256:` and 43 characters of unpadded base64.
///
/// Equal to `ssh-keygen -lf` and to upstream's log lines (RFC 4253 section 6.6 for the hashed bytes). Clones share their text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// Computes the fingerprint from exponent and modulus, both unsigned big-endian.
    #[must_use]
    pub(crate) fn of_rsa(exponent: &[u8], modulus: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for field in [b"ssh-rsa".to_vec(), mpint(exponent), mpint(modulus)] {
            hasher.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            hasher.update(&field);
        }
        Self(format!("SHA256:{}", STANDARD_NO_PAD.encode(hasher.finalize())).into())
    }

    /// Returns the text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a [`Fingerprint`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("expected a fingerprint: SHA256: and 43 characters of base64")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = text.strip_prefix("SHA256:").and_then(|digest| STANDARD_NO_PAD.decode(digest).ok());
        let is_sha256 = digest.is_some_and(|bytes| bytes.len() == 32);
        if is_sha256 { Ok(Self(text.into())) } else { Err(ParseFingerprintError) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Encodes an mpint (RFC 4251 section 5): no leading zero bytes, except one before a set highest bit.
fn mpint(unsigned: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = unsigned.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = digits.first().is_some_and(|first| first & 0x80 != 0).then_some(0);
    sign.into_iter().chain(digits).collect()
}
