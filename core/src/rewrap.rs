//! Whether an object opens, and its items sealed anew: what may be asked over HTTP.
//!
//! Nothing here looks at templates, and no answer tells which item or key failed, so that nobody can use it as an oracle.
//! Work is bounded: it ends at the first item that does not open, and after `max(items + keys, 200)` private-key operations.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use sealed_secrets_crds::SealedSecret;
use zeroize::Zeroizing;

use crate::crypto::PublicKey;
use crate::crypto::envelope::{self, Envelope};
use crate::keyring::KeyRing;
use crate::label::Label;
use crate::opening::{V1Data, decode};
use crate::trial::{KeyOrder, Trial};

/// An ordinary object may use this many operations however many keys its items need.
const FREE_OPERATIONS: usize = 200;

/// The ciphertexts of an object under another key; labels, scope and everything else stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// The items of `spec.encryptedData`, base64.
    pub encrypted_data: BTreeMap<String, String>,
    /// The deprecated `spec.data`, base64, where the object has one.
    pub data: Option<String>,
}

/// Asked before each private-key operation whether anybody still wants the answer; after `false` nothing opens any more.
pub type Wanted<'a> = &'a dyn Fn() -> bool;

/// Whether every item opens under the object's own label.
#[must_use]
pub fn opens(sealed: &SealedSecret, ring: &KeyRing, v1_data: V1Data, wanted: Wanted<'_>) -> bool {
    ciphertexts(sealed, v1_data).is_some_and(|ciphertexts| {
        let mut opener = Opener::new(ring, ciphertexts.len(), wanted);
        let label = Label::of(sealed);
        ciphertexts.iter().all(|(_, ciphertext)| opener.open(ciphertext, &label).is_some())
    })
}

/// Every item sealed anew to `key`, each with a fresh session key, under the label that it opens with. `None` when anything
/// does not open.
#[must_use]
pub fn rewrap(
    random: &mut impl CryptoRng,
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    key: &PublicKey,
    wanted: Wanted<'_>,
) -> Option<Rewrapped> {
    let ciphertexts = ciphertexts(sealed, v1_data)?;
    let mut opener = Opener::new(ring, ciphertexts.len(), wanted);
    let label = Label::of(sealed);
    let mut rewrapped = Rewrapped::default();
    for (name, ciphertext) in ciphertexts {
        let plaintext = opener.open(&ciphertext, &label)?;
        let text = STANDARD.encode(envelope::seal(random, key, &label, &plaintext).ok()?);
        match name {
            Some(name) => drop(rewrapped.encrypted_data.insert(name, text)),
            None => rewrapped.data = Some(text),
        }
    }
    Some(rewrapped)
}

/// The decoded items by key, or the one of `spec.data` without; `None` when one is not base64, or both fields are used.
fn ciphertexts(sealed: &SealedSecret, v1_data: V1Data) -> Option<Vec<(Option<String>, Vec<u8>)>> {
    let items = &sealed.spec.encrypted_data;
    match (&sealed.spec.data, v1_data) {
        (None, _) => items.iter().map(|(key, text)| Some((Some(key.clone()), decode(text).ok()?))).collect(),
        (Some(data), V1Data::Accepted) if items.is_empty() => Some(vec![(None, data.0.clone())]),
        (Some(_), _) => None,
    }
}

/// Opens one ciphertext after the other; the key that worked last is tried first.
struct Opener<'a> {
    keys: KeyOrder,
    operations_left: usize,
    wanted: Wanted<'a>,
}

impl<'a> Opener<'a> {
    fn new(ring: &KeyRing, items: usize, wanted: Wanted<'a>) -> Self {
        let operations_left = items.saturating_add(ring.len()).max(FREE_OPERATIONS);
        Self { keys: KeyOrder::new(ring, &[]), operations_left, wanted }
    }

    fn open(&mut self, ciphertext: &[u8], label: &Label) -> Option<Zeroizing<Vec<u8>>> {
        let envelope = Envelope::parse(ciphertext).ok()?;
        let mut tried = 0;
        while self.operations_left > 0 && (self.wanted)() {
            self.operations_left -= 1;
            match self.keys.open(&envelope, label, &mut tried, &mut 1) {
                Trial::Opened(plaintext, _) => return Some(plaintext),
                Trial::NoKey => return None,
                Trial::OutOfOperations => {}
            }
        }
        None
    }
}
