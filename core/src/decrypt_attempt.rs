//! Order in which keys are tried on an item, and the limit on private-key operations.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::Fingerprint;
use crate::crypto::envelope::Envelope;
use crate::keyring::{KeyRing, RingKey};
use crate::label::Label;

/// Keys of a ring in the order in which they are tried. The key that decrypted the previous item comes first.
pub(crate) struct KeyOrder {
    keys: Vec<Arc<RingKey>>,
}

/// Result of trying keys on one item.
pub(crate) enum DecryptAttempt {
    /// The plaintext and the key that decrypted it.
    Decrypted(Zeroizing<Vec<u8>>, Fingerprint),
    /// All keys were tried.
    NoKey,
    /// The operations are used up and some keys were not tried.
    OutOfOperations,
}

impl KeyOrder {
    /// Orders the keys newest first, after those with a fingerprint in `preferred`, which keep the order given there.
    pub(crate) fn new(ring: &KeyRing, preferred: &[String]) -> Self {
        let mut keys: Vec<_> = ring.iter().cloned().collect();
        let place = |key: &Arc<RingKey>| {
            preferred.iter().position(|text| text == key.fingerprint().as_str()).unwrap_or(preferred.len())
        };
        keys.sort_by_key(place);
        Self { keys }
    }

    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tries the keys from index `tried` on and advances it. Each private-key operation takes one of `operations`; a key whose
    /// modulus length does not match the item costs none.
    pub(crate) fn decrypt(
        &mut self,
        envelope: &Envelope<'_>,
        label: &Label,
        tried: &mut usize,
        operations: &mut usize,
    ) -> DecryptAttempt {
        while let Some(key) = self.keys.get(*tried) {
            if key.key_pair().public_key().block_len() == envelope.block_len() {
                let Some(left) = operations.checked_sub(1) else { return DecryptAttempt::OutOfOperations };
                *operations = left;
                if let Some(plaintext) = envelope.decrypt(key.key_pair(), label) {
                    let fingerprint = key.fingerprint().clone();
                    self.prefer(*tried);
                    return DecryptAttempt::Decrypted(plaintext, fingerprint);
                }
            }
            *tried += 1;
        }
        DecryptAttempt::NoKey
    }

    fn prefer(&mut self, place: usize) {
        if let Some(beginning) = self.keys.get_mut(..=place) {
            beginning.rotate_right(1);
        }
    }
}
