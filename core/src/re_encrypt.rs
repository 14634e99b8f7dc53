//! Checks that an object decrypts, and encrypts its items to another key. Both are exposed over HTTP.
//!
//! Templates are not read, and no result names the item or key that failed, so that neither call can serve as an oracle. Work is
//! bounded: it ends at the first item that does not decrypt, and after `max(items + keys, 200)` private-key operations. It can be
//! done in slices.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use sealed_secrets_crds::SealedSecret;

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

    /// Returns true if there is no ciphertext.
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

/// Selection of items that are encrypted again.
#[derive(Clone, Copy, Debug)]
pub enum Renewal<'a> {
    /// None: it is only checked that they decrypt.
    Nothing,
    /// Those that another key than this one decrypts.
    Stale(&'a PublicKey),
    /// All, to this key.
    All(&'a PublicKey),
}

impl<'a> Renewal<'a> {
    /// Returns the key to which an item is encrypted that `key` decrypts.
    fn target(self, key: &Fingerprint) -> Option<&'a PublicKey> {
        match self {
            Self::Nothing => None,
            Self::Stale(target) => Some(target).filter(|target| target.fingerprint() != key),
            Self::All(target) => Some(target),
        }
    }
}

/// Encrypts items of one object again, each with a fresh session key and under its current label. `None` if an item does not
/// decrypt, or the result is not wanted any more.
#[must_use]
pub fn re_encrypt(
    random: &mut impl CryptoRng,
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    renewal: Renewal<'_>,
    wanted: Wanted<'_>,
) -> Option<ReEncrypted> {
    let mut work = ReEncryption::new(ring, renewal);
    work.add(sealed, v1_data);
    work.advance(random, renewal, usize::MAX, wanted);
    work.into_outcomes().pop()?
}

/// The same for several objects, in slices. Between these it holds the decoded ciphertexts that are left, and the new ones.
pub struct ReEncryption {
    keys: KeyOrder,
    waiting: VecDeque<Waiting>,
    /// For each object its new ciphertexts; `None` if it waits, or does not decrypt.
    outcomes: Vec<Option<ReEncrypted>>,
}

/// An object with items that wait for their decryption.
struct Waiting {
    /// Its index in the outcomes.
    index: usize,
    label: Label,
    items: VecDeque<Item>,
    /// For the first item: the index of the next key.
    tried: usize,
    /// Number of private-key operations that are left.
    operations: usize,
    renewed: ReEncrypted,
}

/// A ciphertext and its name; `spec.data` has none.
type Item = (Option<String>, Vec<u8>);

/// Result of one slice of an object.
enum Progress {
    /// The operations are used up, or the result is not wanted any more.
    Paused,
    /// An item does not decrypt.
    Failed,
    Finished(ReEncrypted),
}

impl ReEncryption {
    /// Begins without objects.
    #[must_use]
    pub fn new(ring: &KeyRing, renewal: Renewal<'_>) -> Self {
        let preferred = match renewal {
            Renewal::Stale(key) => vec![key.fingerprint().to_string()],
            Renewal::Nothing | Renewal::All(_) => Vec::new(),
        };
        Self { keys: KeyOrder::new(ring, &preferred), waiting: VecDeque::new(), outcomes: Vec::new() }
    }

    /// Adds an object. One with an item that is no ciphertext does not decrypt.
    pub fn add(&mut self, sealed: &SealedSecret, v1_data: V1Data) {
        let (items, index) = (ciphertexts(sealed, v1_data), self.outcomes.len());
        let is_empty = items.as_ref().is_some_and(VecDeque::is_empty);
        self.outcomes.push(is_empty.then(ReEncrypted::default));
        let Some(items) = items.filter(|_| !is_empty) else { return };
        self.waiting.push_back(Waiting {
            index,
            label: Label::of(sealed),
            operations: items.len().saturating_add(self.keys.len()).max(FREE_OPERATIONS),
            items,
            tried: 0,
            renewed: ReEncrypted::default(),
        });
    }

    /// Returns the memory of the objects, in bytes.
    #[must_use]
    pub fn heap(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(Waiting::heap).sum();
        waiting + self.outcomes.len() * size_of::<Option<ReEncrypted>>()
    }

    /// Continues with at most so many private-key operations, and returns the number of those that were made. CPU-bound.
    pub fn advance(
        &mut self,
        random: &mut impl CryptoRng,
        renewal: Renewal<'_>,
        operations: usize,
        wanted: Wanted<'_>,
    ) -> usize {
        let mut left = operations;
        while let Some(object) = self.waiting.front_mut() {
            let outcome = match object.advance(random, renewal, &mut self.keys, &mut left, wanted) {
                Progress::Paused => break,
                Progress::Failed => None,
                Progress::Finished(renewed) => Some(renewed),
            };
            if let Some(place) = self.outcomes.get_mut(object.index) {
                *place = outcome;
            }
            self.waiting.pop_front();
        }
        operations - left
    }

    /// Returns true if no object waits.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the new ciphertexts of each object, in the order in which they were added; `None` if it does not decrypt.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Option<ReEncrypted>> {
        self.outcomes
    }
}

impl Waiting {
    fn advance(
        &mut self,
        random: &mut impl CryptoRng,
        renewal: Renewal<'_>,
        keys: &mut KeyOrder,
        left: &mut usize,
        wanted: Wanted<'_>,
    ) -> Progress {
        while let Some((name, ciphertext)) = self.items.pop_front() {
            let Ok(envelope) = Envelope::parse(&ciphertext) else { return Progress::Failed };
            let (plaintext, key) = match self.decrypt(&envelope, keys, left, wanted) {
                DecryptAttempt::Decrypted(plaintext, key) => (plaintext, key),
                DecryptAttempt::NoKey => return Progress::Failed,
                DecryptAttempt::OutOfOperations => {
                    self.items.push_front((name, ciphertext));
                    return Progress::Paused;
                }
            };
            self.tried = 0;
            if let Some(target) = renewal.target(&key) {
                let Ok(sealed) = envelope::seal(random, target, &self.label, &plaintext) else {
                    return Progress::Failed;
                };
                self.renewed.add(name, STANDARD.encode(sealed));
            }
        }
        Progress::Finished(std::mem::take(&mut self.renewed))
    }

    /// Tries keys on an item, as long as there are operations left and the result is wanted.
    fn decrypt(
        &mut self,
        envelope: &Envelope<'_>,
        keys: &mut KeyOrder,
        left: &mut usize,
        wanted: Wanted<'_>,
    ) -> DecryptAttempt {
        while *left > 0 && wanted() {
            if self.operations == 0 {
                return DecryptAttempt::NoKey;
            }
            let mut operation = 1;
            let attempt = keys.decrypt(envelope, &self.label, &mut self.tried, &mut operation);
            *left -= 1 - operation;
            self.operations -= 1 - operation;
            if !matches!(attempt, DecryptAttempt::OutOfOperations) {
                return attempt;
            }
        }
        DecryptAttempt::OutOfOperations
    }

    fn heap(&self) -> usize {
        let bytes = |(name, ciphertext): &Item| name.as_ref().map_or(0, String::len) + ciphertext.len();
        let items: usize = self.items.iter().map(|item| bytes(item) + size_of::<Item>()).sum();
        size_of::<Self>() + self.label.as_bytes().len() + items
    }
}

/// Returns the decoded items by key, `spec.data` without one. `None` if an item is not framed as a ciphertext, or both fields are
/// used.
fn ciphertexts(sealed: &SealedSecret, v1_data: V1Data) -> Option<VecDeque<Item>> {
    let items = &sealed.spec.encrypted_data;
    let framed = |bytes: Vec<u8>| Envelope::parse(&bytes).is_ok().then_some(bytes);
    match (&sealed.spec.data, v1_data) {
        (None, _) => {
            items.iter().map(|(key, text)| Some((Some(key.clone()), framed(decode(text).ok()?)?))).collect()
        }
        (Some(data), V1Data::Accepted) if items.is_empty() => {
            Some(VecDeque::from([(None, framed(data.0.clone())?)]))
        }
        (Some(_), _) => None,
    }
}
