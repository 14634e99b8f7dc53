//! Decrypts the items of an object: in slices, so that an object with many items or a ring with many keys does not block others,
//! and with the most recently used key first.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sealed_secrets_crds::SealedSecret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::Fingerprint;
use crate::crypto::envelope::{Envelope, FramingError};
use crate::decrypt_attempt::{DecryptAttempt, KeyOrder};
use crate::keyring::KeyRing;
use crate::label::Label;
use crate::names::shown_key;
use crate::text::prefix;

/// Maximum length of all item names in one sentence of an error, in bytes.
const MAX_LIST_LENGTH: usize = 2_000;

/// Maximum number of items in a shortened error.
const MAX_ITEMS: usize = 100;

/// Maximum length of a key in a Secret, in bytes.
const MAX_KEY_LENGTH: usize = 253;

/// Maximum number of lines in an error text; the first lines are the most important.
const MAX_LINES: usize = 20;

/// Go's `StdEncoding`: padding required, surplus bits in the last character ignored.
const GO_STD_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Plaintext items by key. Wiped when dropped; deliberately without `Debug`.
pub type DecryptedItems = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Policy for the deprecated field `spec.data`, one ciphertext for a whole Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum V1Data {
    /// Decrypt it, the default of upstream's controller.
    #[default]
    Accepted,
    /// Refuse it, as with `--accept-deprecated-v1-data=false`.
    Refused,
}

/// Reason why one item does not decrypt. `Display` gives upstream's sentence.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ItemError {
    /// The text is not standard, padded base64. Contains the offset of the first invalid byte.
    #[error("illegal base64 data at input byte {0}")]
    NotBase64(usize),
    /// The bytes are not framed as an item, so no key was tried.
    #[error("no key could decrypt secret")]
    Framing(FramingError),
    /// All keys of the ring were tried.
    #[error("no key could decrypt secret")]
    NoKey,
}

/// Items of an object that do not decrypt, by key. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemErrors {
    by_key: BTreeMap<String, ItemError>,
    /// Number of further items that are not listed.
    more: usize,
}

impl ItemErrors {
    fn all(by_key: BTreeMap<String, ItemError>) -> Self {
        Self { by_key, more: 0 }
    }

    /// Iterates over keys and causes, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ItemError)> {
        self.by_key.iter().map(|(key, cause)| (key.as_str(), cause))
    }

    /// Replaces keys that the API server rejects by one word: they may be values at the wrong place.
    #[must_use]
    pub fn without_invalid_keys(self) -> Self {
        let described = |(key, cause): (String, ItemError)| (shown_key(&key).to_owned(), cause);
        Self { by_key: self.by_key.into_iter().map(described).collect(), more: self.more }
    }

    /// Limits the items, those without a matching key first, and counts the others. Truncates keys that are longer than any
    /// Secret allows.
    fn shortened(self) -> Self {
        let count = self.by_key.len() + self.more;
        let mut all: Vec<_> = self.by_key.into_iter().collect();
        all.sort_by_key(|(_, cause)| *cause != ItemError::NoKey);
        let mut left = MAX_LIST_LENGTH;
        let fits = |(key, _): &(String, ItemError)| {
            let fits = key.len() <= left;
            left = left.saturating_sub(key.len());
            fits
        };
        let cut = |(mut key, cause): (String, ItemError)| {
            key.truncate(prefix(&key, MAX_KEY_LENGTH).len());
            (key, cause)
        };
        let by_key: BTreeMap<_, _> = all.into_iter().map(cut).take(MAX_ITEMS).take_while(fits).collect();
        Self { more: count - by_key.len(), by_key }
    }

    /// Returns a limited number of lines of the text. Keys may contain line breaks of their own.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.sentences();
        lines.extend(self.details());
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.truncate(MAX_LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        if self.more > 0 {
            lines.push(format!("{} more items do not decrypt", self.more));
        }
        lines
    }

    /// Returns upstream's text: equal sentences grouped as `sentence (key, key)`, one line each.
    fn sentences(&self) -> Vec<String> {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (key, cause) in self.iter() {
            groups.entry(cause.to_string()).or_default().push(key);
        }
        // "no key" comes first: health checks match the beginning of the message.
        groups.into_iter().rev().map(|(text, keys)| format!("{text} ({})", listed(&keys))).collect()
    }

    fn details(&self) -> impl Iterator<Item = String> {
        self.iter().filter_map(|(key, cause)| match cause {
            ItemError::Framing(framing) => Some(format!("spec.encryptedData[{key:?}]: {framing}")),
            ItemError::NotBase64(_) | ItemError::NoKey => None,
        })
    }
}

/// Joins the keys up to the length limit, and adds the number of the others.
fn listed(keys: &[&str]) -> String {
    let mut left = MAX_LIST_LENGTH;
    let fits = |key: &&str| {
        let fits = key.len() <= left;
        left = left.saturating_sub(key.len());
        fits
    };
    let named: Vec<&str> = keys.iter().copied().take_while(fits).collect();
    match keys.len() - named.len() {
        0 => named.join(", "),
        more if named.is_empty() => format!("{more} items"),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

impl fmt::Display for ItemErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines().join("\n"))
    }
}

/// Reason why an object does not decrypt. No variant carries plaintext.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecryptionError {
    /// Some items do not decrypt.
    #[error("{0}")]
    Items(ItemErrors),
    /// The deprecated `spec.data` does not decrypt.
    #[error("{0}")]
    V1(ItemError),
    /// Both fields are set; upstream's wording.
    #[error("cannot use the field 'encryptedData' and the deprecated field 'data' at the same time")]
    BothFields,
    /// `spec.data` is refused; upstream's wording.
    #[error("using deprecated 'data' field, use 'encryptedData' or flip the feature flag")]
    V1Refused,
}

impl DecryptionError {
    /// Drops most items of an error with many, to limit its memory.
    #[must_use]
    pub fn shortened(self) -> Self {
        match self {
            Self::Items(errors) => Self::Items(errors.shortened()),
            other => other,
        }
    }

    /// Returns true if a key that is not on the ring might help.
    #[must_use]
    pub fn may_lack_a_key(&self) -> bool {
        match self {
            Self::Items(errors) => errors.iter().any(|(_, cause)| *cause == ItemError::NoKey),
            Self::V1(cause) => *cause == ItemError::NoKey,
            Self::BothFields | Self::V1Refused => false,
        }
    }
}

/// Number of items of an object that one key decrypted. The deprecated `spec.data` is one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Fingerprint of the key.
    pub fingerprint: Fingerprint,
    /// Number of items, at least 1.
    pub items: u32,
}

/// Result of decrypting an object. Deliberately without `Debug`.
pub struct Finished {
    /// The plaintext, or all items that do not decrypt; no partial result.
    pub outcome: Result<Content, DecryptionError>,
    /// Keys that decrypted items, even if other items failed. The most recently used comes first.
    pub keys: Vec<KeyUse>,
    /// Number of items that did not decrypt.
    pub undecryptable: u32,
}

/// Plaintext content of an object. Wiped when dropped; deliberately without `Debug`.
pub enum Content {
    /// The items of `spec.encryptedData`.
    Items(DecryptedItems),
    /// A whole Secret as JSON, from the deprecated `spec.data`.
    V1(Zeroizing<Vec<u8>>),
}

/// Result of one slice of decryption.
pub enum Step {
    /// Some items are left.
    Unfinished(Decryption),
    /// All items were tried.
    Finished(Finished),
}

/// The bytes of an item, or the reason why they cannot be decoded.
type Ciphertext = Result<Vec<u8>, ItemError>;

/// Decryption of an object under its own label, one slice of private-key operations at a time.
pub struct Decryption {
    keys: KeyOrder,
    label: Label,
    waiting: VecDeque<(Option<String>, Ciphertext)>,
    /// Index of the next key for the first waiting ciphertext.
    tried: usize,
    /// Plaintexts by item key; `None` is the key of `spec.data`.
    decrypted: BTreeMap<Option<String>, Zeroizing<Vec<u8>>>,
    failed: BTreeMap<Option<String>, ItemError>,
    used: Vec<KeyUse>,
}

impl Decryption {
    /// Starts the decryption of `sealed`. Keys with fingerprints in `preferred` are tried before the others, which come newest
    /// first. The key that decrypted the previous item is tried first, so that a long ring costs as much as a short one.
    ///
    /// # Errors
    /// Returns an error if both fields with ciphertexts are set, or the one that is `Refused`.
    pub fn new(
        sealed: &SealedSecret,
        ring: &KeyRing,
        v1_data: V1Data,
        preferred: &[String],
    ) -> Result<Self, DecryptionError> {
        let items = &sealed.spec.encrypted_data;
        let waiting = match (&sealed.spec.data, v1_data) {
            (None, _) => items.iter().map(|(key, text)| (Some(key.clone()), decode(text))).collect(),
            (Some(_), V1Data::Refused) => return Err(DecryptionError::V1Refused),
            (Some(_), V1Data::Accepted) if !items.is_empty() => return Err(DecryptionError::BothFields),
            (Some(data), V1Data::Accepted) => VecDeque::from([(None, Ok(data.0.clone()))]),
        };
        Ok(Self {
            keys: KeyOrder::new(ring, preferred),
            label: Label::of(sealed),
            waiting,
            tried: 0,
            decrypted: BTreeMap::new(),
            failed: BTreeMap::new(),
            used: Vec::new(),
        })
    }

    /// Continues with at most this many private-key operations and leaves the unused ones in `operations`. CPU-bound.
    #[must_use]
    pub fn advance(mut self, operations: &mut usize) -> Step {
        while let Some((name, ciphertext)) = self.waiting.pop_front() {
            match self.decrypt(&ciphertext, operations) {
                Ok(DecryptAttempt::OutOfOperations) => {
                    self.waiting.push_front((name, ciphertext));
                    return Step::Unfinished(self);
                }
                Ok(DecryptAttempt::Decrypted(plaintext, key)) => {
                    self.note_use(key);
                    self.decrypted.insert(name, plaintext);
                }
                Ok(DecryptAttempt::NoKey) => drop(self.failed.insert(name, ItemError::NoKey)),
                Err(cause) => drop(self.failed.insert(name, cause)),
            }
            self.tried = 0;
        }
        Step::Finished(self.finish())
    }

    fn decrypt(
        &mut self,
        ciphertext: &Ciphertext,
        operations: &mut usize,
    ) -> Result<DecryptAttempt, ItemError> {
        let bytes = ciphertext.as_ref().map_err(|cause| *cause)?;
        let envelope = Envelope::parse(bytes).map_err(ItemError::Framing)?;
        Ok(self.keys.decrypt(&envelope, &self.label, &mut self.tried, operations))
    }

    fn note_use(&mut self, fingerprint: Fingerprint) {
        match self.used.iter().position(|used| used.fingerprint == fingerprint) {
            Some(place) => {
                if let Some(until_there) = self.used.get_mut(..=place) {
                    until_there.rotate_right(1);
                }
            }
            None => self.used.insert(0, KeyUse { fingerprint, items: 0 }),
        }
        if let Some(last) = self.used.first_mut() {
            last.items = last.items.saturating_add(1);
        }
    }

    fn finish(mut self) -> Finished {
        let keys = std::mem::take(&mut self.used);
        let undecryptable = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        Finished { outcome: self.outcome(), keys, undecryptable }
    }

    fn outcome(mut self) -> Result<Content, DecryptionError> {
        if let Some(cause) = self.failed.remove(&None) {
            return Err(DecryptionError::V1(cause));
        }
        if !self.failed.is_empty() {
            return Err(DecryptionError::Items(ItemErrors::all(named(self.failed))));
        }
        let v1 = self.decrypted.remove(&None);
        Ok(v1.map_or_else(|| Content::Items(named(self.decrypted)), Content::V1))
    }
}

fn named<T>(all: BTreeMap<Option<String>, T>) -> BTreeMap<String, T> {
    all.into_iter().filter_map(|(name, value)| Some((name?, value))).collect()
}

/// Decrypts all items of an object without interruption.
///
/// # Errors
/// Returns the errors of [`Decryption`].
pub fn decrypt_all(
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
) -> Result<Content, DecryptionError> {
    let mut decryption = Decryption::new(sealed, ring, v1_data, &[])?;
    loop {
        match decryption.advance(&mut { usize::MAX }) {
            Step::Unfinished(more) => decryption = more,
            Step::Finished(finished) => return finished.outcome,
        }
    }
}

/// Decrypts one item: base64 text as in `spec.encryptedData`. CR and LF within it are ignored, as Go does.
///
/// # Errors
/// Returns an error if the text is not base64 or not an item, or no key of the ring decrypts it under this label.
pub fn decrypt_value(ring: &KeyRing, label: &Label, text: &str) -> Result<Zeroizing<Vec<u8>>, ItemError> {
    let bytes = decode(text)?;
    let envelope = Envelope::parse(&bytes).map_err(ItemError::Framing)?;
    let (mut tried, mut operations) = (0, usize::MAX);
    match KeyOrder::new(ring, &[]).decrypt(&envelope, label, &mut tried, &mut operations) {
        DecryptAttempt::Decrypted(plaintext, _) => Ok(plaintext),
        DecryptAttempt::NoKey | DecryptAttempt::OutOfOperations => Err(ItemError::NoKey),
    }
}

/// Decodes base64 as Go does, ignoring CR and LF.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, ItemError> {
    // Line breaks are looked for only where they are in the way.
    if let Ok(bytes) = GO_STD_ENCODING.decode(text) {
        return Ok(bytes);
    }
    let kept = |(_, byte): &(usize, u8)| !matches!(byte, b'\r' | b'\n');
    let characters = || text.bytes().enumerate().filter(kept);
    let bytes: Vec<u8> = characters().map(|(_, byte)| byte).collect();
    GO_STD_ENCODING.decode(bytes).map_err(|cause| {
        let at = match cause {
            base64::DecodeError::InvalidByte(at, _)
            | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            _ => usize::MAX,
        };
        ItemError::NotBase64(characters().nth(at).map_or(text.len(), |(offset, _)| offset))
    })
}
