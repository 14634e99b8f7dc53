//! The controller's key ring: immutable and totally ordered.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_crds::names::{SEALING_KEY_LABEL, SEALING_KEY_PENDING};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{CertificateError, Fingerprint, KeyPair, KeyPairError, SealingCertificate};

const PRIVATE_KEY_FIELD: &str = "tls.key";
const CERTIFICATE_FIELD: &str = "tls.crt";

/// A certificate may predate its Secret by any time, but postdate it by at most this much, since a clock may have jumped.
const MAX_LEAD_OF_NOT_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// Time by which the newest key is determined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// Start of the certificate's validity.
    #[default]
    CertNotBefore,
    /// Creation time of the Secret.
    SecretCreationTimestamp,
}

/// The key Secret holds no usable private key. No variant carries key material.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeySecretError {
    /// The field is absent or empty.
    #[error("field data[\"tls.key\"] is missing")]
    NoPrivateKey,
    /// The field does not hold a usable key.
    #[error("field data[\"tls.key\"]: {0}")]
    PrivateKey(#[from] KeyPairError),
}

/// Reason why a key may decrypt but never be the primary key: its certificate must not be offered for sealing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CertificateProblem {
    /// The field is absent or empty.
    #[error(
        "field data[\"tls.crt\"] is missing; the key decrypts SealedSecrets but is not offered for sealing"
    )]
    Missing,
    /// The field does not hold a usable certificate.
    #[error("field data[\"tls.crt\"]: {0}; the key decrypts SealedSecrets but is not offered for sealing")]
    Unusable(#[from] CertificateError),
    /// The certificate belongs to another key.
    #[error(
        "field data[\"tls.crt\"] does not match the private key in data[\"tls.key\"]; the key decrypts SealedSecrets but is not offered for sealing"
    )]
    Mismatch,
}

/// Joins the lists of the labelled key Secrets and of the legacy one, which has only its name. Each name occurs once, in the version
/// of the later list: the legacy Secret may be labelled or unlabelled between the lists.
#[must_use]
pub fn join_lists(mut labelled: Vec<Secret>, legacy: Vec<Secret>) -> Vec<Secret> {
    labelled.retain(|secret| legacy.iter().all(|later| later.metadata.name != secret.metadata.name));
    labelled.extend(legacy);
    labelled
}

/// A key of the ring and its metadata.
#[derive(Debug)]
pub struct RingKey {
    name: String,
    key_pair: KeyPair,
    certificate: Result<SealingCertificate, CertificateProblem>,
    pending: bool,
    not_before: Timestamp,
    order_time: Timestamp,
}

impl RingKey {
    /// Reads a key Secret: `data["tls.key"]` and `data["tls.crt"]`, for any type of Secret (docs/compatibility.md, section 4.6).
    ///
    /// A key with a missing, unreadable or foreign certificate is accepted, since items may need it
    /// (docs/rotation-rules.md, rule 6);
    /// [`problem`](Self::problem) then returns why it is never the primary key.
    ///
    /// # Errors
    /// Returns an error if the Secret holds no usable RSA private key.
    pub fn from_secret(secret: &Secret, order_by: OrderBy) -> Result<Self, KeySecretError> {
        let private = field(secret, PRIVATE_KEY_FIELD).ok_or(KeySecretError::NoPrivateKey)?;
        Ok(Self::of(KeyPair::from_pem(&private)?, secret, order_by))
    }

    /// A key without a Secret, which has no certificate and no name.
    #[must_use]
    pub fn bare(key_pair: KeyPair) -> Self {
        Self::of(key_pair, &Secret::default(), OrderBy::CertNotBefore)
    }

    fn of(key_pair: KeyPair, secret: &Secret, order_by: OrderBy) -> Self {
        let certificate = certificate_of(secret, &key_pair);
        let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let not_before = effective_not_before(certificate.as_ref().ok(), created);
        let order_time = match order_by {
            OrderBy::CertNotBefore => not_before,
            OrderBy::SecretCreationTimestamp => created.unwrap_or(not_before),
        };
        let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(SEALING_KEY_LABEL));
        let pending = label.is_some_and(|value| value == SEALING_KEY_PENDING);
        let name = secret.metadata.name.clone().unwrap_or_default();
        Self { name, key_pair, certificate, pending, not_before, order_time }
    }

    /// Returns the name of the key Secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key pair.
    #[must_use]
    pub fn key_pair(&self) -> &KeyPair {
        &self.key_pair
    }

    /// Returns the certificate, if it may be offered for sealing.
    #[must_use]
    pub fn certificate(&self) -> Option<&SealingCertificate> {
        self.certificate.as_ref().ok()
    }

    /// Returns the reason why the key has no certificate that may be offered for sealing.
    #[must_use]
    pub fn problem(&self) -> Option<&CertificateProblem> {
        self.certificate.as_ref().err()
    }

    /// Returns true if the key may be the primary key: it is active and has its own certificate.
    #[must_use]
    pub fn may_be_primary(&self) -> bool {
        !self.pending && self.certificate.is_ok()
    }

    /// Returns the start of the certificate's validity, or the Secret's creation time if the former is absent or more than 24
    /// hours later. Rotation judges the age of the key by it.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the time by which the ring is ordered.
    #[must_use]
    pub fn order_time(&self) -> Timestamp {
        self.order_time
    }

    /// Returns the fingerprint of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.key_pair.fingerprint()
    }
}

/// Immutable snapshot of all keys that decrypt, newest first.
///
/// The order is total, by time and then by fingerprint (docs/rotation-rules.md, rule 7), so that all replicas
/// agree on the newest key.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<Arc<RingKey>>,
    primary: Option<Arc<RingKey>>,
    compromised: BTreeSet<Fingerprint>,
    identity: OnceLock<String>,
}

impl KeyRing {
    /// Creates a ring of these keys. Of several Secrets with the same key, the one that is primary is kept, else the first.
    #[must_use]
    pub fn new(mut keys: Vec<Arc<RingKey>>) -> Self {
        keys.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let mut distinct: Vec<Arc<RingKey>> = Vec::with_capacity(keys.len());
        for key in keys {
            match distinct.iter_mut().find(|kept| kept.fingerprint() == key.fingerprint()) {
                Some(kept) if !kept.may_be_primary() && key.may_be_primary() => *kept = key,
                Some(_) => {}
                None => distinct.push(key),
            }
        }
        distinct.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let primary = distinct.iter().find(|key| key.may_be_primary()).cloned();
        Self { keys: distinct, primary, ..Self::default() }
    }

    /// Sets the primary key, if that key may be primary; else the ring has none.
    #[must_use]
    pub fn with_primary(self, primary: Option<&Fingerprint>) -> Self {
        let chosen = self.keys.iter().find(|key| Some(key.fingerprint()) == primary && key.may_be_primary());
        Self { primary: chosen.cloned(), ..self }
    }

    /// Sets the compromised keys.
    #[must_use]
    pub fn with_compromised(self, compromised: BTreeSet<Fingerprint>) -> Self {
        Self { compromised, ..self }
    }

    /// Returns true if the key is compromised. Compromised keys may still decrypt, and are included even if they are off the
    /// ring.
    #[must_use]
    pub fn is_compromised(&self, key: &Fingerprint) -> bool {
        self.compromised.contains(key)
    }

    /// Returns all keys for which [`is_compromised`](Self::is_compromised) is true.
    #[must_use]
    pub fn compromised(&self) -> &BTreeSet<Fingerprint> {
        &self.compromised
    }

    /// Returns the key that is offered for sealing. Defaults to the newest key that may be primary.
    #[must_use]
    pub fn primary(&self) -> Option<&Arc<RingKey>> {
        self.primary.as_ref()
    }

    /// Returns the newest key, pending keys included.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<RingKey>> {
        self.keys.first()
    }

    /// Iterates over the keys, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RingKey>> {
        self.keys.iter()
    }

    /// Returns an identifier of the set of keys, base64 of a SHA-256. Rings have the same one if and only if they hold the same
    /// keys, from whatever Secrets.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.identity.get_or_init(|| {
            let mut fingerprints: Vec<&str> =
                self.keys.iter().map(|key| key.fingerprint().as_str()).collect();
            fingerprints.sort_unstable();
            STANDARD_NO_PAD.encode(Sha256::digest(fingerprints.join("\n")))
        })
    }

    /// Returns the fingerprint with this text, if the ring holds that key.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> Option<&Fingerprint> {
        self.keys.iter().map(|key| key.fingerprint()).find(|fingerprint| fingerprint.as_str() == text)
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns true if the ring has no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn rank(key: &RingKey) -> (Timestamp, &Fingerprint) {
    (key.order_time(), key.fingerprint())
}

fn field(secret: &Secret, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = secret.data.as_ref()?.get(name)?;
    (!value.0.is_empty()).then(|| Zeroizing::new(value.0.clone()))
}

fn certificate_of(secret: &Secret, key_pair: &KeyPair) -> Result<SealingCertificate, CertificateProblem> {
    let pem = field(secret, CERTIFICATE_FIELD).ok_or(CertificateProblem::Missing)?;
    let certificate = SealingCertificate::from_pem(&pem)?;
    if certificate.public_key() != key_pair.public_key() {
        return Err(CertificateProblem::Mismatch);
    }
    Ok(certificate)
}

fn effective_not_before(certificate: Option<&SealingCertificate>, created: Option<Timestamp>) -> Timestamp {
    match (certificate.map(SealingCertificate::not_before), created) {
        (Some(start), Some(created)) if start.duration_since(created) > MAX_LEAD_OF_NOT_BEFORE => created,
        (Some(start), _) => start,
        (None, Some(created)) => created,
        (None, None) => Timestamp::UNIX_EPOCH,
    }
}
