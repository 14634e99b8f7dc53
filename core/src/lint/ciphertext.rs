//! The form of a sealed item, as far as it shows without a private key.

use crate::crypto::PublicKey;
use crate::crypto::envelope::{BLOCKS, Envelope};
use crate::decryption::{ItemError, decode};

/// Returns the reason why a text cannot be a sealed item.
pub(super) fn refused(text: &str) -> Option<String> {
    if text.trim_start().starts_with("<sealed ") {
        return Some("it is the placeholder of a ciphertext".to_owned());
    }
    let bytes = match decode(text) {
        Ok(bytes) => bytes,
        Err(ItemError::NotBase64(at)) => return Some(format!("it is not base64, at byte {at}")),
        Err(_) => return Some("it is not base64".to_owned()),
    };
    match Envelope::parse(&bytes) {
        Ok(envelope) if envelope.has_known_block() => None,
        Err(_) if bytes.len() >= 2 && looks_cut(&bytes) => Some("it is cut short".to_owned()),
        _ => Some("it is base64, but no ciphertext of kubeseal".to_owned()),
    }
}

/// True if the length field is that of a ciphertext.
fn looks_cut(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)));
    length.is_some_and(|length| BLOCKS.contains(&length))
}

/// Returns true if the item cannot be sealed with this key: its block has another length, or is not below the modulus.
pub(super) fn is_of_other_key(text: &str, key: &PublicKey) -> bool {
    let Ok(bytes) = decode(text) else { return false };
    Envelope::parse(&bytes).is_ok_and(|envelope| !envelope.may_be_of(key))
}
