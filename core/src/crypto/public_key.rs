use rand::CryptoRng;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, RsaPublicKey};
use sha2::Sha256;
use thiserror::Error;

use super::Fingerprint;

/// An RSA public key that can seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: RsaPublicKey,
    fingerprint: Fingerprint,
}

/// Why a public key cannot seal.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PublicKeyError {
    /// Not the DER of an RSA `SubjectPublicKeyInfo`.
    #[error("not a readable RSA public key")]
    Unreadable,
    /// Too weak, or larger than any controller opens.
    #[error("an RSA key of {0} bits; sealing keys have 2048 to 8192 bits")]
    Size(usize),
}

impl PublicKey {
    /// Reads the DER form of an RSA `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// When it is not one, or its modulus is not of 2048 to 8192 bits.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let key = RsaPublicKey::from_public_key_der(der).map_err(|_| PublicKeyError::Unreadable)?;
        let bits = usize::try_from(key.n().bits()).unwrap_or(usize::MAX);
        if !(2048..=8192).contains(&bits) {
            return Err(PublicKeyError::Size(bits));
        }
        let fingerprint = Fingerprint::of_rsa(&key.e_bytes(), &key.n_bytes());
        Ok(Self { key, fingerprint })
    }

    /// Encrypts a session key with RSA-OAEP (SHA-256, MGF1 with SHA-256, RFC 8017 section 7.1.1). The result is as long as
    /// the modulus. `None` when `message` is longer than the padding allows, which no session key is.
    pub(crate) fn encrypt_oaep(
        &self,
        rng: &mut impl CryptoRng,
        label: &[u8],
        message: &[u8],
    ) -> Option<Vec<u8>> {
        self.key.encrypt(rng, Oaep::<Sha256>::new_with_label(label), message).ok()
    }

    /// The fingerprint that names this key in messages.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Length of the modulus, and so of an encrypted block, in bytes.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.key.size()
    }
}
