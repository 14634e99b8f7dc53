//! RSA public keys: used for sealing.

use rand::CryptoRng;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, RsaPublicKey};
use sha2::Sha256;
use thiserror::Error;

use super::Fingerprint;

/// RSA public key for sealing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: RsaPublicKey,
    fingerprint: Fingerprint,
}

/// Reason why a public key cannot be used for sealing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PublicKeyError {
    /// The bytes are not the DER of an RSA `SubjectPublicKeyInfo`.
    #[error("not a readable RSA public key")]
    Unreadable,
    /// The key is too weak, or larger than controllers support.
    #[error("an RSA key of {0} bits; sealing keys have 2048 to 8192 bits")]
    Size(usize),
}

impl PublicKey {
    /// Reads the DER form of an RSA `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// Returns an error if the bytes are something else, or the modulus has fewer than 2048 or more than 8192 bits.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let key = RsaPublicKey::from_public_key_der(der).map_err(|_| PublicKeyError::Unreadable)?;
        let bits = usize::try_from(key.n().bits()).unwrap_or(usize::MAX);
        if !(2048..=8192).contains(&bits) {
            return Err(PublicKeyError::Size(bits));
        }
        let fingerprint = Fingerprint::of_rsa(&key.e_bytes(), &key.n_bytes());
        Ok(Self { key, fingerprint })
    }

    /// Encrypts a session key with RSA-OAEP (SHA-256, MGF1 with SHA-256, RFC 8017 section 7.1.1). The result is as long as the
    /// modulus. `None` if `message` is longer than the padding allows, which no session key is.
    pub(crate) fn encrypt_oaep(
        &self,
        rng: &mut impl CryptoRng,
        label: &[u8],
        message: &[u8],
    ) -> Option<Vec<u8>> {
        self.key.encrypt(rng, Oaep::<Sha256>::new_with_label(label), message).ok()
    }

    /// Returns false if this key cannot have encrypted the block: it has another length, or is not below the modulus.
    pub(crate) fn may_have_encrypted(&self, block: &[u8]) -> bool {
        let modulus = self.key.n_bytes();
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        let modulus = modulus.get(zeros..).unwrap_or_default();
        block.len() == self.block_len() && block < modulus
    }

    /// Returns the fingerprint that identifies this key in messages.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the length of the modulus, and so of an encrypted block, in bytes.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.key.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SealingCertificate;

    const PEM: &str = include_str!("../../tests/data/rsa2048.crt");

    #[test]
    fn a_key_may_have_encrypted_each_block_of_its_length_below_its_modulus() {
        let certificate = SealingCertificate::from_pem(PEM.as_bytes()).unwrap();
        let key = certificate.public_key();
        let modulus = key.key.n_bytes().to_vec();
        assert_eq!((modulus.len(), modulus.last().unwrap() % 2), (256, 1), "the last byte can be made less");
        let with_last = |last: u8| [&modulus[..255], &[last]].concat();
        let last = modulus[255];
        for (block, may) in [
            (with_last(last), false),
            (with_last(last - 1), true),
            (vec![0xff; 256], false),
            (vec![0; 256], true),
            (vec![0; 255], false),
            (vec![0; 257], false),
        ] {
            assert_eq!(
                key.may_have_encrypted(&block),
                may,
                "{} bytes, the first is {}",
                block.len(),
                block[0]
            );
        }
    }
}
