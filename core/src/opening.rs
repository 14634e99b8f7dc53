//! Opening what is sealed in one object: in slices, so that an object with many items, or a ring with many keys, does not keep
//! others waiting, and with the key first that worked last.

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
use crate::keyring::KeyRing;
use crate::label::Label;
use crate::trial::{KeyOrder, Trial};

/// Bytes of the names of items in one sentence of an error.
const LONGEST_LIST: usize = 2_000;

/// Lines of an error, of which the first ones say the most.
const MAX_LINES: usize = 20;

/// Go's `StdEncoding`: padding required, surplus bits in the last character ignored.
const GO_STD_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Plaintext items by key. Wiped when dropped; deliberately without `Debug`.
pub type OpenedItems = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Whether the deprecated field `spec.data` (one ciphertext for a whole Secret) may be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum V1Data {
    /// As upstream's controller does by default.
    #[default]
    Accepted,
    /// As with `--accept-deprecated-v1-data=false`.
    Refused,
}

/// Why one item does not open. Display is the sentence upstream uses.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Not the standard, padded alphabet; the offset is that of the first byte at fault.
    #[error("illegal base64 data at input byte {0}")]
    NotBase64(usize),
    /// Not framed as an item, so no key was tried.
    #[error("no key could decrypt secret")]
    Framing(FramingError),
    /// Every key of the ring was tried.
    #[error("no key could decrypt secret")]
    NoKey,
}

/// The items of an object that do not open, by key. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemErrors(BTreeMap<String, OpenError>);

impl ItemErrors {
    /// Keys and causes, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OpenError)> {
        self.0.iter().map(|(key, cause)| (key.as_str(), cause))
    }

    /// The lines of the text, a limited number; keys may hold line breaks of their own.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.sentences();
        lines.extend(self.details());
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.truncate(MAX_LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// Upstream's text: equal sentences grouped, `sentence (key, key)`, one line each.
    fn sentences(&self) -> Vec<String> {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (key, cause) in self.iter() {
            groups.entry(cause.to_string()).or_default().push(key);
        }
        // "no key" first: health checks match the beginning of the message.
        groups.into_iter().rev().map(|(text, keys)| format!("{text} ({})", listed(&keys))).collect()
    }

    fn details(&self) -> impl Iterator<Item = String> {
        self.iter().filter_map(|(key, cause)| match cause {
            OpenError::Framing(framing) => Some(format!("spec.encryptedData[{key:?}]: {framing}")),
            OpenError::NotBase64(_) | OpenError::NoKey => None,
        })
    }
}

/// The keys, as far as there is room, and how many more there are.
fn listed(keys: &[&str]) -> String {
    let mut left = LONGEST_LIST;
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

/// Why what is sealed in an object does not open. No variant carries plaintext.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpeningError {
    /// Some items do not open.
    #[error("{0}")]
    Items(ItemErrors),
    /// The deprecated `spec.data` does not open.
    #[error("{0}")]
    V1(OpenError),
    /// Upstream's words.
    #[error("cannot use the field 'encryptedData' and the deprecated field 'data' at the same time")]
    BothFields,
    /// Upstream's words.
    #[error("using deprecated 'data' field, use 'encryptedData' or flip the feature flag")]
    V1Refused,
}

impl OpeningError {
    /// Whether a key that is not on the ring might help.
    #[must_use]
    pub fn may_lack_a_key(&self) -> bool {
        match self {
            Self::Items(errors) => errors.iter().any(|(_, cause)| *cause == OpenError::NoKey),
            Self::V1(cause) => *cause == OpenError::NoKey,
            Self::BothFields | Self::V1Refused => false,
        }
    }
}

/// How many items of an object one key has opened; the deprecated `spec.data` is one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub fingerprint: Fingerprint,
    /// At least one.
    pub items: u32,
}

/// What opening an object has led to. Deliberately without `Debug`.
pub struct Finished {
    /// The plaintext, or every item that does not open: then there is no partial result.
    pub outcome: Result<Content, OpeningError>,
    /// The keys that opened items, also where other items did not open; the one that was used last comes first.
    pub keys: Vec<KeyUse>,
    /// Items that did not open.
    pub unopened: u32,
}

/// What was sealed in an object. Wiped when dropped; deliberately without `Debug`.
pub enum Content {
    /// The items of `spec.encryptedData`.
    Items(OpenedItems),
    /// A whole Secret as JSON, from the deprecated `spec.data`.
    V1(Zeroizing<Vec<u8>>),
}

/// What a slice of an opening has led to.
pub enum Step {
    /// There is more to do.
    Unfinished(Opening),
    /// Every item was tried.
    Finished(Finished),
}

/// The bytes of an item, or why there are none.
type Ciphertext = Result<Vec<u8>, OpenError>;

/// An object that is being opened under its own label, one slice of private-key operations at a time.
pub struct Opening {
    keys: KeyOrder,
    label: Label,
    waiting: VecDeque<(Option<String>, Ciphertext)>,
    /// Place of the next key for the first ciphertext that waits.
    tried: usize,
    /// What is without a name here stands in `spec.data`.
    opened: BTreeMap<Option<String>, Zeroizing<Vec<u8>>>,
    failed: BTreeMap<Option<String>, OpenError>,
    used: Vec<KeyUse>,
}

impl Opening {
    /// Begins with `sealed`. Keys whose fingerprints are in `preferred` are tried before the others, which come newest first;
    /// from then on the key that opened the previous item comes first, so that a long ring costs what a short one does.
    ///
    /// # Errors
    /// When the object says in two ways what is sealed, or in a way that is `Refused`.
    pub fn new(
        sealed: &SealedSecret,
        ring: &KeyRing,
        v1_data: V1Data,
        preferred: &[String],
    ) -> Result<Self, OpeningError> {
        let items = &sealed.spec.encrypted_data;
        let waiting = match (&sealed.spec.data, v1_data) {
            (None, _) => items.iter().map(|(key, text)| (Some(key.clone()), decode(text))).collect(),
            (Some(_), V1Data::Refused) => return Err(OpeningError::V1Refused),
            (Some(_), V1Data::Accepted) if !items.is_empty() => return Err(OpeningError::BothFields),
            (Some(data), V1Data::Accepted) => VecDeque::from([(None, Ok(data.0.clone()))]),
        };
        Ok(Self {
            keys: KeyOrder::new(ring, preferred),
            label: Label::of(sealed),
            waiting,
            tried: 0,
            opened: BTreeMap::new(),
            failed: BTreeMap::new(),
            used: Vec::new(),
        })
    }

    /// Goes on with at most this many private-key operations, and leaves in `operations` how many it did not need. CPU-bound.
    #[must_use]
    pub fn advance(mut self, operations: &mut usize) -> Step {
        while let Some((name, ciphertext)) = self.waiting.pop_front() {
            match self.open(&ciphertext, operations) {
                Ok(Trial::OutOfOperations) => {
                    self.waiting.push_front((name, ciphertext));
                    return Step::Unfinished(self);
                }
                Ok(Trial::Opened(plaintext, key)) => {
                    self.note_use(key);
                    self.opened.insert(name, plaintext);
                }
                Ok(Trial::NoKey) => drop(self.failed.insert(name, OpenError::NoKey)),
                Err(cause) => drop(self.failed.insert(name, cause)),
            }
            self.tried = 0;
        }
        Step::Finished(self.finish())
    }

    fn open(&mut self, ciphertext: &Ciphertext, operations: &mut usize) -> Result<Trial, OpenError> {
        let bytes = ciphertext.as_ref().map_err(|cause| *cause)?;
        let envelope = Envelope::parse(bytes).map_err(OpenError::Framing)?;
        Ok(self.keys.open(&envelope, &self.label, &mut self.tried, operations))
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
        let unopened = u32::try_from(self.failed.len()).unwrap_or(u32::MAX);
        Finished { outcome: self.outcome(), keys, unopened }
    }

    fn outcome(mut self) -> Result<Content, OpeningError> {
        if let Some(cause) = self.failed.remove(&None) {
            return Err(OpeningError::V1(cause));
        }
        if !self.failed.is_empty() {
            return Err(OpeningError::Items(ItemErrors(named(self.failed))));
        }
        let v1 = self.opened.remove(&None);
        Ok(v1.map_or_else(|| Content::Items(named(self.opened)), Content::V1))
    }
}

fn named<T>(all: BTreeMap<Option<String>, T>) -> BTreeMap<String, T> {
    all.into_iter().filter_map(|(name, value)| Some((name?, value))).collect()
}

/// Opens everything that is sealed in an object, without a pause.
///
/// # Errors
/// As [`Opening`].
pub fn open_all(sealed: &SealedSecret, ring: &KeyRing, v1_data: V1Data) -> Result<Content, OpeningError> {
    let mut opening = Opening::new(sealed, ring, v1_data, &[])?;
    loop {
        match opening.advance(&mut { usize::MAX }) {
            Step::Unfinished(more) => opening = more,
            Step::Finished(finished) => return finished.outcome,
        }
    }
}

/// Opens one item: base64 text as it stands in `spec.encryptedData`. CR and LF within it are ignored, as Go does.
///
/// # Errors
/// When it is not base64, not an item, or no key of the ring opens it under this label.
pub fn open_value(ring: &KeyRing, label: &Label, text: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let bytes = decode(text)?;
    let envelope = Envelope::parse(&bytes).map_err(OpenError::Framing)?;
    let (mut tried, mut operations) = (0, usize::MAX);
    match KeyOrder::new(ring, &[]).open(&envelope, label, &mut tried, &mut operations) {
        Trial::Opened(plaintext, _) => Ok(plaintext),
        Trial::NoKey | Trial::OutOfOperations => Err(OpenError::NoKey),
    }
}

/// Go's base64: CR and LF are ignored.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, OpenError> {
    let kept = |(_, byte): &(usize, u8)| !matches!(byte, b'\r' | b'\n');
    let characters = || text.bytes().enumerate().filter(kept);
    let bytes: Vec<u8> = characters().map(|(_, byte)| byte).collect();
    GO_STD_ENCODING.decode(bytes).map_err(|cause| {
        let at = match cause {
            base64::DecodeError::InvalidByte(at, _)
            | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
            _ => usize::MAX,
        };
        OpenError::NotBase64(characters().nth(at).map_or(text.len(), |(offset, _)| offset))
    })
}
