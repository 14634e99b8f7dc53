//! The wire format of a sealed item (docs/compatibility.md, section 4.1).
//!
//! ```text
//! item  = length || block || body
//! length = 2 bytes, big-endian: the length of block
//! block  = RSA-OAEP(SHA-256, MGF1 SHA-256, label) of a fresh 32-byte session key
//! body   = AES-256-GCM(session key, nonce = 12 zero bytes, no associated data) of the plaintext: ciphertext || 16-byte tag
//! ```
//!
//! The nonce may be zero because every session key seals exactly one plaintext. That is the invariant of [`seal`]: it has no
//! way to reuse one.

use aes_gcm::aead::Aead as _;
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use rand::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{KeyPair, PublicKey};
use crate::label::Label;

const LENGTH_BYTES: usize = 2;
const SESSION_KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Lengths of the RSA block for keys of 2048 to 8192 bits, in bytes.
pub const BLOCKS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The item is not framed as a sealed item. Lengths are in bytes of the decoded item.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FramingError {
    /// The item has no bytes.
    #[error("there is no text; put the base64 text here that kubeseal writes")]
    Empty,
    /// The item is shorter than the length field.
    #[error("it is {0} bytes long, too short for a sealed item")]
    TooShort(usize),
    /// The item ends before the RSA block or the authentication tag is complete.
    #[error("it is cut short: {actual} bytes, and at least {needed} are needed")]
    CutShort {
        /// Length of the item.
        actual: usize,
        /// Length that the length field requires.
        needed: usize,
    },
}

/// The plaintext could not be sealed, because it is longer than AES-GCM allows (64 GiB).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the value is too long to be encrypted")]
pub struct SealValueError;

/// A sealed item, split into its parts but not decrypted.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    block: &'a [u8],
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Splits the bytes of an item.
    ///
    /// # Errors
    /// Returns an error if the bytes end too early. Surplus bytes look like a longer body and fail on decryption.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FramingError> {
        if bytes.is_empty() {
            return Err(FramingError::Empty);
        }
        let (length, rest) =
            bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(FramingError::TooShort(bytes.len()))?;
        let length = usize::from(u16::from_be_bytes(*length));
        let needed = LENGTH_BYTES + length + TAG_BYTES;
        match rest.split_at_checked(length) {
            Some((block, body)) if body.len() >= TAG_BYTES => Ok(Self { block, body }),
            _ => Err(FramingError::CutShort { actual: bytes.len(), needed }),
        }
    }

    /// Returns the length of the RSA block in bytes. Only a key with a modulus of that length can decrypt it.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.block.len()
    }

    /// Returns true if the RSA block is as long as that of a key of 2048 to 8192 bits.
    #[must_use]
    pub fn has_known_block(&self) -> bool {
        BLOCKS.contains(&self.block.len())
    }

    /// Returns the length of the plaintext in bytes.
    #[must_use]
    pub fn value_len(&self) -> usize {
        self.body.len().saturating_sub(TAG_BYTES)
    }

    /// Returns false if the block cannot be encrypted with this key: it has another length, or is not below the modulus.
    #[must_use]
    pub fn may_be_of(&self, key: &PublicKey) -> bool {
        key.may_have_encrypted(self.block)
    }

    /// Decrypts the item with one private-key operation. `None` if key or label do not match; the cause is not reported, so that
    /// no caller can become an oracle.
    #[must_use]
    pub fn decrypt(&self, key: &KeyPair, label: &Label) -> Option<Zeroizing<Vec<u8>>> {
        let session_key = key.decrypt_oaep(label.as_bytes(), self.block)?;
        let cipher = Aes256Gcm::new_from_slice(&session_key).ok()?;
        cipher.decrypt(&Nonce::default(), self.body).ok().map(Zeroizing::new)
    }
}

/// Seals `plaintext` under `label` to `key`, with a session key drawn from `rng` for this call only.
///
/// # Errors
/// Returns an error if the plaintext is longer than AES-GCM allows.
pub fn seal(
    rng: &mut impl CryptoRng,
    key: &PublicKey,
    label: &Label,
    plaintext: &[u8],
) -> Result<Vec<u8>, SealValueError> {
    let mut session_key = Zeroizing::new([0; SESSION_KEY_BYTES]);
    rng.fill_bytes(&mut *session_key);
    let block = key.encrypt_oaep(rng, label.as_bytes(), &*session_key).ok_or(SealValueError)?;
    let cipher = Aes256Gcm::new_from_slice(&*session_key).map_err(|_| SealValueError)?;
    let body = cipher.encrypt(&Nonce::default(), plaintext).map_err(|_| SealValueError)?;
    let length = u16::try_from(block.len()).map_err(|_| SealValueError)?;
    Ok([length.to_be_bytes().as_slice(), &block, &body].concat())
}
