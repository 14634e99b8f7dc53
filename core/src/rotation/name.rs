//! Names of key Secrets: that of a successor is a pure function of its predecessor.

use sha2::{Digest as _, Sha256};

/// Returns the name of the Secret for the next key.
///
/// A pure function of its arguments, so that all replicas agree and `create` lets one of them win (docs/rotation-rules.md,
/// rule 3): the prefix and the first 8 characters of lower-case base32 (RFC 4648) of SHA-256 over `seed`, a zero byte, and `n` in
/// decimal. `seed` is the fingerprint of the newest key; of the first key it is the UID of the installation. `n` counts the names
/// that are taken by objects other than usable keys.
#[must_use]
pub fn successor_name(prefix: &str, seed: &str, n: u32) -> String {
    let digest = Sha256::digest(format!("{seed}\0{n}"));
    format!("{prefix}{}", first_base32_characters(&digest))
}

/// Returns true if the name has the form of [`successor_name`] for this prefix.
#[must_use]
pub fn is_successor_name(prefix: &str, name: &str) -> bool {
    let is_base32 = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'2'..=b'7');
    name.strip_prefix(prefix).is_some_and(|suffix| suffix.len() == 8 && suffix.bytes().all(is_base32))
}

/// Returns the first 8 base32 characters, which encode the first 40 bits.
fn first_base32_characters(digest: &[u8]) -> String {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = digest.iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let groups = (0..8).rev().map(|group| usize::try_from(bits >> (5 * group) & 31).unwrap_or_default());
    groups.filter_map(|index| ALPHABET.get(index)).map(|letter| char::from(*letter)).collect()
}
