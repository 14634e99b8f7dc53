//! Checks that an object decrypts, and encrypts its items to another key. Both are exposed over HTTP.
//!
//! Templates are not read, and no result names the item or key that failed, so that neither call can serve as an oracle. Work is
//! bounded: it ends at the first item that does not decrypt, and after `max(items + keys, 200)` private-key operations.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use sealed_secrets_crds::SealedSecret;
use zeroize::Zeroizing;

use crate::crypto::envelope::{self, Envelope};
use crate::crypto::{Fingerprint, PublicKey};
use crate::decrypt_attempt::{DecryptAttempt, KeyOrder};
use crate::decryption::{V1Data, decode};
use crate::keyring::KeyRing;
use crate::label::Label;

/// Operations allowed for any object, however many keys its items need.
const FREE_OPERATIONS: usize = 200;

/// The ciphertexts of an object under another key. Labels, scope and everything else stay the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReEncrypted {
    /// The items of `spec.encryptedData`, base64.
    pub encrypted_data: BTreeMap<String, String>,
    /// The deprecated `spec.data`, base64, if the object has it.
    pub data: Option<String>,
}

impl ReEncrypted {
    /// Returns the number of ciphertexts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.encrypted_data.len() + usize::from(self.data.is_some())
    }

    /// Returns true if there is not ciphertext.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a ciphertext; `None` is the key of `spec.data`.
    fn add(&mut self, name: Option<String>, text: String) {
        match name {
            Some(name) => drop(self.encrypted_data.insert(name, text)),
            None => self.data = Some(text),
        }
    }
}

/// Called before each private-key operation; false cancels the request, and no further item is decrypted.
pub type Wanted<'a> = &'a dyn Fn() -> bool;

/// Returns true if all items decrypt under the object's own label.
#[must_use]
pub fn can_decrypt(sealed: &SealedSecret, ring: &KeyRing, v1_data: V1Data, wanted: Wanted<'_>) -> bool {
    ciphertexts(sealed, v1_data).is_some_and(|ciphertexts| {
        let mut decryptor = Decryptor::new(ring, ciphertexts.len(), wanted);
        let label = Label::of(sealed);
        ciphertexts.iter().all(|(_, ciphertext)| decryptor.decrypt(ciphertext, &label).is_some())
    })
}

/// Encrypts all items to `key`, each with a fresh session key and under its current label. `None` if an item does not decrypt.
#[must_use]
pub fn re_encrypt(
    random: &mut impl CryptoRng,
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    key: &PublicKey,
    wanted: Wanted<'_>,
) -> Option<ReEncrypted> {
    let ciphertexts = ciphertexts(sealed, v1_data)?;
    let mut decryptor = Decryptor::new(ring, ciphertexts.len(), wanted);
    let label = Label::of(sealed);
    let mut re_encrypted = ReEncrypted::default();
    for (name, ciphertext) in ciphertexts {
        let (plaintext, _) = decryptor.decrypt(&ciphertext, &label)?;
        re_encrypted.add(name, STANDARD.encode(envelope::seal(random, key, &label, &plaintext).ok()?));
    }
    Some(re_encrypted)
}

/// Encrypts stale items to the key `newest`, each with a fresh session key and under its current label: those that another key of
/// the ring decrypts. The result has no other items. `None` if an item does not decrypt. `operations` grows by the number of
/// private-key operations in either case.
#[must_use]
pub fn re_encrypt_stale(
    random: &mut impl CryptoRng,
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    newest: &PublicKey,
    wanted: Wanted<'_>,
    operations: &mut usize,
) -> Option<ReEncrypted> {
    let ciphertexts = ciphertexts(sealed, v1_data)?;
    let preferred = [newest.fingerprint().to_string()];
    let mut decryptor = Decryptor::preferring(ring, &preferred, ciphertexts.len(), wanted);
    let stale = stale_items(random, ciphertexts, &Label::of(sealed), newest, &mut decryptor);
    *operations = operations.saturating_add(decryptor.operations);
    stale
}

fn stale_items(
    random: &mut impl CryptoRng,
    ciphertexts: Vec<(Option<String>, Vec<u8>)>,
    label: &Label,
    newest: &PublicKey,
    decryptor: &mut Decryptor<'_>,
) -> Option<ReEncrypted> {
    let mut stale = ReEncrypted::default();
    for (name, ciphertext) in ciphertexts {
        let (plaintext, key) = decryptor.decrypt(&ciphertext, label)?;
        if key != *newest.fingerprint() {
            stale.add(name, STANDARD.encode(envelope::seal(random, newest, label, &plaintext).ok()?));
        }
    }
    Some(stale)
}

/// Returns the decoded items by key, `spec.data` without one. `None` if an item is not base64, or both fields are used.
fn ciphertexts(sealed: &SealedSecret, v1_data: V1Data) -> Option<Vec<(Option<String>, Vec<u8>)>> {
    let items = &sealed.spec.encrypted_data;
    match (&sealed.spec.data, v1_data) {
        (None, _) => items.iter().map(|(key, text)| Some((Some(key.clone()), decode(text).ok()?))).collect(),
        (Some(data), V1Data::Accepted) if items.is_empty() => Some(vec![(None, data.0.clone())]),
        (Some(_), _) => None,
    }
}

/// Decrypts one ciphertext after the other. The most recently used key is tried first.
struct Decryptor<'a> {
    keys: KeyOrder,
    /// Private-key operations so far.
    operations: usize,
    most_operations: usize,
    wanted: Wanted<'a>,
}

impl<'a> Decryptor<'a> {
    fn new(ring: &KeyRing, items: usize, wanted: Wanted<'a>) -> Self {
        Self::preferring(ring, &[], items, wanted)
    }

    /// Creates a decryptor that tries keys with these fingerprints first.
    fn preferring(ring: &KeyRing, preferred: &[String], items: usize, wanted: Wanted<'a>) -> Self {
        let most_operations = items.saturating_add(ring.len()).max(FREE_OPERATIONS);
        Self { keys: KeyOrder::new(ring, preferred), operations: 0, most_operations, wanted }
    }

    /// Returns the plaintext and the key that decrypted it.
    fn decrypt(&mut self, ciphertext: &[u8], label: &Label) -> Option<(Zeroizing<Vec<u8>>, Fingerprint)> {
        let envelope = Envelope::parse(ciphertext).ok()?;
        let mut tried = 0;
        while self.operations < self.most_operations && (self.wanted)() {
            self.operations += 1;
            match self.keys.decrypt(&envelope, label, &mut tried, &mut 1) {
                DecryptAttempt::Decrypted(plaintext, key) => return Some((plaintext, key)),
                DecryptAttempt::NoKey => return None,
                DecryptAttempt::OutOfOperations => {}
            }
        }
        None
    }
}
