//! Finds out why items decrypt with no key: sealed in another scope, or for none of the keys here.
//!
//! This is not an oracle: any user who may create a SealedSecret of that name and namespace can select each scope by an annotation.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::crypto::envelope::Envelope;
use crate::decrypt_attempt::{DecryptAttempt, KeyOrder};
use crate::decryption::{DecryptionError, ItemError, decode};
use crate::keyring::KeyRing;
use crate::label::Label;

/// Maximum number of private-key operations for one object.
pub const LIMIT: usize = 200;

/// Maximum number of lines in the text.
const MAX_LINES: usize = 20;

/// Finding on an item that no key of the ring decrypts under the object's own label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// The RSA block has this many bytes, which matches the modulus of no key.
    OtherBlockLength(usize),
    /// The item decrypts in this scope with the object's name and namespace.
    SealedIn(Scope),
    /// All keys were tried in all scopes.
    NoKey,
    /// The limit was reached first.
    NotDetermined,
}

/// Findings, one line per item. Contains names of items and annotations, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    scope: Scope,
    findings: BTreeMap<String, Finding>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line =
            |(place, finding): (&String, &Finding)| format!("{place}: {}", describe(*finding, self.scope));
        let mut lines: Vec<String> = self.findings.iter().take(MAX_LINES).map(line).collect();
        if let Some(more) = self.findings.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            lines.push(format!("and {more} more items"));
        }
        formatter.write_str(&lines.join("\n"))
    }
}

fn describe(finding: Finding, scope: Scope) -> String {
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
            "no key of this cluster decrypts it under this name and namespace, in any scope: it was \
            sealed for another cluster, name or namespace, or its key is gone"
                .to_owned()
        }
        Finding::NotDetermined => format!("the cause is not determined: {LIMIT} attempts were not enough"),
    }
}

/// Returns the change to the SealedSecret's annotations that fixes the scope.
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

/// Path of an item in the object, and its ciphertext.
type Waiting = (String, Vec<u8>);

/// Result of one slice of an examination.
pub enum Examined {
    /// Some items are left.
    Unfinished(Examination),
    /// All items are done.
    Finished(Diagnosis),
}

/// Tries items in the other scopes, one slice of private-key operations at a time and at most [`LIMIT`] in all.
pub struct Examination {
    keys: KeyOrder,
    scope: Scope,
    others: Vec<(Scope, Label)>,
    waiting: VecDeque<Waiting>,
    /// For the first waiting item: the index into `others`, and the index of the next key.
    cursor: (usize, usize),
    left: usize,
    findings: BTreeMap<String, Finding>,
}

impl Examination {
    /// Starts with the items of `sealed` that failed with `error`. `None` if nothing needs an examination.
    #[must_use]
    pub fn new(sealed: &SealedSecret, ring: &KeyRing, error: &DecryptionError) -> Option<Self> {
        let metadata = &sealed.metadata;
        let scope = Scope::from_annotations(metadata.annotations.as_ref());
        let (namespace, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let others = Scope::ALL.into_iter().filter(|other| *other != scope);
        let others = others.map(|other| (other, Label::new(other, namespace, name))).collect();
        let (waiting, findings) = sort(undecryptable(sealed, error), ring);
        let nothing = waiting.is_empty() && findings.is_empty();
        let keys = KeyOrder::new(ring, &[]);
        (!nothing).then_some(Self { keys, scope, others, waiting, cursor: (0, 0), left: LIMIT, findings })
    }

    /// Returns the number of private-key operations that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        if self.waiting.is_empty() { 0 } else { self.left }
    }

    /// Continues with at most this many private-key operations. CPU-bound.
    #[must_use]
    pub fn advance(mut self, operations: usize) -> Examined {
        let mut slice = operations.min(self.left);
        self.left -= slice;
        while let Some((place, bytes)) = self.waiting.pop_front() {
            let Some(finding) = self.examine(&bytes, &mut slice) else {
                self.waiting.push_front((place, bytes));
                break;
            };
            self.cursor = (0, 0);
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

    /// Returns `None` if the operations are used up.
    fn examine(&mut self, bytes: &[u8], operations: &mut usize) -> Option<Finding> {
        let Ok(envelope) = Envelope::parse(bytes) else { return Some(Finding::NoKey) };
        while let Some((scope, label)) = self.others.get(self.cursor.0) {
            match self.keys.decrypt(&envelope, label, &mut self.cursor.1, operations) {
                DecryptAttempt::Decrypted(..) => return Some(Finding::SealedIn(*scope)),
                DecryptAttempt::NoKey => self.cursor = (self.cursor.0 + 1, 0),
                DecryptAttempt::OutOfOperations => return None,
            }
        }
        Some(Finding::NoKey)
    }
}

/// Returns path and ciphertext of the items that no key decrypted.
fn undecryptable(sealed: &SealedSecret, error: &DecryptionError) -> Vec<Waiting> {
    match error {
        DecryptionError::Items(errors) => {
            let without_key = errors.iter().filter(|(_, cause)| **cause == ItemError::NoKey);
            let bytes = |key: &str| decode(sealed.spec.encrypted_data.get(key)?).ok();
            without_key
                .filter_map(|(key, _)| Some((format!("spec.encryptedData[{key:?}]"), bytes(key)?)))
                .collect()
        }
        DecryptionError::V1(ItemError::NoKey) => {
            sealed.spec.data.iter().map(|data| ("spec.data".to_owned(), data.0.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// Separates the items that some key of the ring fits from those that already have a finding.
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
