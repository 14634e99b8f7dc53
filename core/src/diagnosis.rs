//! Why items open with no key, told to people: in which other scope they would open, or that no key here fits.
//!
//! This is no oracle: whoever may create a SealedSecret of that name and namespace can ask for each scope by an annotation.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::crypto::envelope::Envelope;
use crate::keyring::KeyRing;
use crate::label::Label;
use crate::opening::{OpenError, OpeningError, decode};
use crate::trial::{KeyOrder, Trial};

/// Private-key operations that the examination of one object may take.
pub const LIMIT: usize = 200;

/// More lines are not shown.
const MAX_LINES: usize = 20;

/// What is known of an item that no key of the ring opens under the object's own label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// Its block has this many bytes, and the modulus of no key does.
    OtherBlockLength(usize),
    /// The whole item opens in this scope of the object's name and namespace.
    SealedIn(Scope),
    /// Every key was tried in every scope.
    NoKey,
    /// The limit was reached before.
    NotDetermined,
}

/// What was found, one line for each item. Names items and annotations, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    scope: Scope,
    findings: BTreeMap<String, Finding>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |(place, finding): (&String, &Finding)| format!("{place}: {}", tell(*finding, self.scope));
        let mut lines: Vec<String> = self.findings.iter().take(MAX_LINES).map(line).collect();
        if let Some(more) = self.findings.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            lines.push(format!("and {more} more items"));
        }
        formatter.write_str(&lines.join("\n"))
    }
}

fn tell(finding: Finding, scope: Scope) -> String {
    match finding {
        Finding::OtherBlockLength(bytes) => format!(
            "it is sealed for a key of {} bits, and no key of this cluster has that size",
            bytes.saturating_mul(8)
        ),
        Finding::SealedIn(sealed_in) => format!(
            "it was sealed with scope {sealed_in}, and this SealedSecret is {scope}: {}",
            remedy(sealed_in)
        ),
        Finding::NoKey => {
            "no key of this cluster opens it under this name and namespace, in any scope: it was \
            sealed for another cluster, name or namespace, or its key is gone"
                .to_owned()
        }
        Finding::NotDetermined => format!("the cause is not determined: {LIMIT} attempts were not enough"),
    }
}

/// What to do with the annotations of the SealedSecret.
fn remedy(sealed_in: Scope) -> String {
    match sealed_in {
        Scope::Strict => format!(
            "remove the annotations {NAMESPACE_WIDE_ANNOTATION} and {CLUSTER_WIDE_ANNOTATION} from its metadata"
        ),
        Scope::NamespaceWide => format!(
            "its metadata needs the annotation {NAMESPACE_WIDE_ANNOTATION}: \"true\", without {CLUSTER_WIDE_ANNOTATION}"
        ),
        Scope::ClusterWide => {
            format!("its metadata needs the annotation {CLUSTER_WIDE_ANNOTATION}: \"true\"")
        }
    }
}

/// Where an item stands in the object, and its bytes.
type Waiting = (String, Vec<u8>);

/// What a slice of an examination has led to.
pub enum Examined {
    /// There is more to do.
    Unfinished(Examination),
    /// The result.
    Finished(Diagnosis),
}

/// Items being tried in the scopes that are not the object's, one slice of private-key operations at a time and at most
/// [`LIMIT`] in all.
pub struct Examination {
    keys: KeyOrder,
    scope: Scope,
    others: Vec<(Scope, Label)>,
    waiting: VecDeque<Waiting>,
    /// For the first item that waits: the place among `others`, and that of the next key.
    place: (usize, usize),
    left: usize,
    findings: BTreeMap<String, Finding>,
}

impl Examination {
    /// Begins with what `error` says of `sealed`; `None` when that says all, so that there is nothing to examine.
    #[must_use]
    pub fn new(sealed: &SealedSecret, ring: &KeyRing, error: &OpeningError) -> Option<Self> {
        let metadata = &sealed.metadata;
        let scope = Scope::from_annotations(metadata.annotations.as_ref());
        let (namespace, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let others = Scope::ALL.into_iter().filter(|other| *other != scope);
        let others = others.map(|other| (other, Label::new(other, namespace, name))).collect();
        let (waiting, findings) = sort(unopened(sealed, error), ring);
        let nothing = waiting.is_empty() && findings.is_empty();
        let keys = KeyOrder::new(ring, &[]);
        (!nothing).then_some(Self { keys, scope, others, waiting, place: (0, 0), left: LIMIT, findings })
    }

    /// How many more private-key operations it may take.
    #[must_use]
    pub fn left(&self) -> usize {
        if self.waiting.is_empty() { 0 } else { self.left }
    }

    /// Goes on with at most this many private-key operations. CPU-bound.
    #[must_use]
    pub fn advance(mut self, operations: usize) -> Examined {
        let mut slice = operations.min(self.left);
        self.left -= slice;
        while let Some((place, bytes)) = self.waiting.pop_front() {
            let Some(finding) = self.examine(&bytes, &mut slice) else {
                self.waiting.push_front((place, bytes));
                break;
            };
            self.place = (0, 0);
            self.findings.insert(place, finding);
        }
        self.left += slice;
        if self.left > 0 && !self.waiting.is_empty() {
            return Examined::Unfinished(self);
        }
        let rest = self.waiting.into_iter().map(|(place, _)| (place, Finding::NotDetermined));
        self.findings.extend(rest);
        Examined::Finished(Diagnosis { scope: self.scope, findings: self.findings })
    }

    /// `None` when the operations are used up.
    fn examine(&mut self, bytes: &[u8], operations: &mut usize) -> Option<Finding> {
        let Ok(envelope) = Envelope::parse(bytes) else { return Some(Finding::NoKey) };
        while let Some((scope, label)) = self.others.get(self.place.0) {
            match self.keys.open(&envelope, label, &mut self.place.1, operations) {
                Trial::Opened(..) => return Some(Finding::SealedIn(*scope)),
                Trial::NoKey => self.place = (self.place.0 + 1, 0),
                Trial::OutOfOperations => return None,
            }
        }
        Some(Finding::NoKey)
    }
}

/// The items that no key opened: where they stand, and their bytes.
fn unopened(sealed: &SealedSecret, error: &OpeningError) -> Vec<Waiting> {
    match error {
        OpeningError::Items(errors) => {
            let without_key = errors.iter().filter(|(_, cause)| **cause == OpenError::NoKey);
            let bytes = |key: &str| decode(sealed.spec.encrypted_data.get(key)?).ok();
            without_key
                .filter_map(|(key, _)| Some((format!("spec.encryptedData[{key:?}]"), bytes(key)?)))
                .collect()
        }
        OpeningError::V1(OpenError::NoKey) => {
            sealed.spec.data.iter().map(|data| ("spec.data".to_owned(), data.0.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// Those that a key of the ring could open, and what is known of the others.
fn sort(items: Vec<Waiting>, ring: &KeyRing) -> (VecDeque<Waiting>, BTreeMap<String, Finding>) {
    let (mut waiting, mut findings) = (VecDeque::new(), BTreeMap::new());
    for (place, bytes) in items {
        let length = Envelope::parse(&bytes).map_or(0, |envelope| envelope.block_len());
        let fits = ring.iter().any(|key| key.key_pair().public_key().block_len() == length);
        if fits {
            waiting.push_back((place, bytes));
        } else {
            findings.insert(place, Finding::OtherBlockLength(length));
        }
    }
    (waiting, findings)
}
