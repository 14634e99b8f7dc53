//! In which order keys are tried on an item, and how many private-key operations that may take.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::Fingerprint;
use crate::crypto::envelope::Envelope;
use crate::keyring::{KeyRing, SealingKey};
use crate::label::Label;

/// The keys of a ring in the order in which they are tried: the one that opened the previous item comes first.
pub(crate) struct KeyOrder {
    keys: Vec<Arc<SealingKey>>,
}

/// What came of trying keys on one item.
pub(crate) enum Trial {
    /// This key opens it.
    Opened(Zeroizing<Vec<u8>>, Fingerprint),
    /// Every key was tried.
    NoKey,
    /// The operations are used up and some keys are left.
    OutOfOperations,
}

impl KeyOrder {
    /// Newest first, but those with a fingerprint in `preferred` before all others, in that order.
    pub(crate) fn new(ring: &KeyRing, preferred: &[String]) -> Self {
        let mut keys: Vec<_> = ring.iter().cloned().collect();
        let place = |key: &Arc<SealingKey>| {
            preferred.iter().position(|text| text == key.fingerprint().as_str()).unwrap_or(preferred.len())
        };
        keys.sort_by_key(place);
        Self { keys }
    }

    /// Tries the keys from the place `tried` on, and moves that place. Each private-key operation takes one of `operations`; a
    /// key whose modulus does not fit the item costs none.
    pub(crate) fn open(
        &mut self,
        envelope: &Envelope<'_>,
        label: &Label,
        tried: &mut usize,
        operations: &mut usize,
    ) -> Trial {
        while let Some(key) = self.keys.get(*tried) {
            if key.key_pair().public_key().block_len() == envelope.block_len() {
                let Some(left) = operations.checked_sub(1) else { return Trial::OutOfOperations };
                *operations = left;
                if let Some(plaintext) = envelope.open(key.key_pair(), label) {
                    let fingerprint = key.fingerprint().clone();
                    self.prefer(*tried);
                    return Trial::Opened(plaintext, fingerprint);
                }
            }
            *tried += 1;
        }
        Trial::NoKey
    }

    fn prefer(&mut self, place: usize) {
        if let Some(beginning) = self.keys.get_mut(..=place) {
            beginning.rotate_right(1);
        }
    }
}
