//! Keys, certificates and the wire format of a sealed item.

pub mod envelope;

mod certificate;
mod file;
mod fingerprint;
mod key_pair;
mod public_key;
mod tls_pair;

pub use certificate::{CertificateError, CertificateRequest, SealingCertificate};
pub use file::{FileContent, text_of_file, text_of_whole_file};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use key_pair::{KeyPair, KeyPairError, KeySize};
pub use public_key::{PublicKey, PublicKeyError};
pub use tls_pair::{TlsPairError, check_tls_pair};
