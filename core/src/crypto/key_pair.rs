//! RSA key pairs: generated, read from PEM, used for decryption.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize as BackendKeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use rsa::pkcs1::LineEnding;
use rsa::pkcs1::der::SecretDocument;
use rsa::pkcs8::der::Encode as _;
use rsa::pkcs8::spki::AlgorithmIdentifierRef;
use rsa::pkcs8::{PrivateKeyInfoRef, der::asn1::OctetStringRef};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use zeroize::Zeroizing;

use super::file::{FileContent, content_of_der, der_of_file};
use super::{Fingerprint, PublicKey, PublicKeyError};

/// Size of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits.
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits, upstream's default.
    Rsa4096,
    /// 8192 bits.
    Rsa8192,
}

impl KeySize {
    /// Returns the size with this many bits, if keys of that size can be generated.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            2048 => Some(Self::Rsa2048),
            3072 => Some(Self::Rsa3072),
            4096 => Some(Self::Rsa4096),
            8192 => Some(Self::Rsa8192),
            _ => None,
        }
    }

    fn for_backend(self) -> BackendKeySize {
        match self {
            Self::Rsa2048 => BackendKeySize::Rsa2048,
            Self::Rsa3072 => BackendKeySize::Rsa3072,
            Self::Rsa4096 => BackendKeySize::Rsa4096,
            Self::Rsa8192 => BackendKeySize::Rsa8192,
        }
    }
}

/// Reason why a private key cannot be used. No variant carries key material.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyPairError {
    /// The text has no PEM block with a private key.
    #[error(
        "no PEM private key found; expected a block that begins with -----BEGIN RSA PRIVATE KEY----- or -----BEGIN PRIVATE KEY-----"
    )]
    NoPem,
    /// The file holds something else.
    #[error("the file {0}, but a private key is wanted")]
    Content(FileContent),
    /// The key is password-protected, which upstream does not support either.
    #[error(
        "the private key is encrypted; decrypt it first, for example with: openssl pkey -in FILE -out DECRYPTED"
    )]
    Encrypted,
    /// The key is not an RSA key; upstream's wording.
    #[error("private key is not an RSA key")]
    NotRsa,
    /// The key is damaged, of an unsupported size, or has more than two primes.
    #[error("the RSA private key is damaged or not supported; keys have two primes and 2048 to 8192 bits")]
    Rejected,
    /// The public key cannot be used for sealing.
    #[error("the RSA private key holds {0}")]
    Public(#[from] PublicKeyError),
    /// The cryptographic library could not generate a key.
    #[error("the cryptography library could not generate a key")]
    Generation,
}

/// PEM labels. The last one is an elliptic-curve key's, for a specific error.
const LABELS: [&str; 3] = ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"];

/// RSA private key, which decrypts items sealed to its public key.
///
/// Every private-key operation runs in aws-lc-rs, which is constant-time (docs/decisions/0002). `Debug` shows the fingerprint
/// only; the DER form is wiped when dropped.
pub struct KeyPair {
    decrypting: OaepPrivateDecryptingKey,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl KeyPair {
    /// Reads the first private key of a PEM text, PKCS#1 (RFC 8017 appendix A.1.2) or PKCS#8 (RFC 5208). Text and other blocks
    /// around it are skipped, as Go does.
    ///
    /// # Errors
    /// Returns an error if there is no private key, or it is not an RSA key of two primes with 2048 to 8192 bits.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyPairError> {
        let der = Zeroizing::new(PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key(pem))?);
        Self::from_der(&der)
    }

    /// Reads the first private key of a file: PEM as in [`from_pem`](Self::from_pem), also in UTF-16 or without line breaks, DER,
    /// or base64 of these.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem). If the file has no private key, the error describes its content.
    pub fn from_file(bytes: &[u8]) -> Result<Self, KeyPairError> {
        match Self::from_pem(bytes) {
            Err(KeyPairError::NoPem) => {}
            read => return read,
        }
        let der = der_of_file(bytes, &LABELS).map_err(named)?;
        match PrivateKeyDer::try_from(der.as_slice()) {
            Ok(key) => Self::from_der(&key),
            Err(_) => Err(named(content_of_der(&der))),
        }
    }

    fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, KeyPairError> {
        match der {
            PrivateKeyDer::Pkcs1(key) => Self::from_pkcs8(pkcs8_of_pkcs1(key.secret_pkcs1_der())?),
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
            _ => Err(KeyPairError::NotRsa),
        }
    }

    /// Generates a key. Takes 0.1 s (2048 bits) to many seconds (8192 bits) of CPU: not for an async thread.
    ///
    /// # Errors
    /// Returns an error if the library's random source or its self-checks fail.
    pub fn generate(size: KeySize) -> Result<Self, KeyPairError> {
        let key = PrivateDecryptingKey::generate(size.for_backend()).map_err(|_| KeyPairError::Generation)?;
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().map_err(|_| KeyPairError::Generation)?;
        Self::from_pkcs8(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyPairError> {
        pkcs1_of_pkcs8(&pkcs8)?;
        let key = PrivateDecryptingKey::from_pkcs8(&pkcs8).map_err(|_| KeyPairError::Rejected)?;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| KeyPairError::Rejected)?;
        let public = PublicKey::from_spki_der(spki.as_ref())?;
        let decrypting = OaepPrivateDecryptingKey::new(key).map_err(|_| KeyPairError::Rejected)?;
        Ok(Self { decrypting, pkcs8, public })
    }

    /// Returns the key as PEM in PKCS#1 form, `-----BEGIN RSA PRIVATE KEY-----`, as upstream stores it in `tls.key`.
    ///
    /// # Errors
    /// Never fails for a key that this type has accepted; the encoder's signature allows it.
    pub fn expose_pkcs1_pem(&self) -> Result<Zeroizing<String>, KeyPairError> {
        let pkcs1 = pkcs1_of_pkcs8(&self.pkcs8)?;
        let document = SecretDocument::try_from(pkcs1).map_err(|_| KeyPairError::Rejected)?;
        document.to_pem("RSA PRIVATE KEY", LineEnding::LF).map_err(|_| KeyPairError::Rejected)
    }

    /// Decrypts one RSA-OAEP block (SHA-256, MGF1 with SHA-256). `None` if decryption fails for any reason.
    #[must_use]
    pub fn decrypt_oaep(&self, label: &[u8], block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut output = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let length =
            self.decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, block, &mut output, Some(label)).ok()?.len();
        output.truncate(length);
        Some(output)
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the fingerprint of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// Returns the key as the signer of a certificate.
    pub(super) fn signer(&self) -> Result<rcgen::KeyPair, rcgen::Error> {
        let der = PrivatePkcs8KeyDer::from(self.pkcs8.as_slice());
        rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyPair").field("fingerprint", self.fingerprint()).finish_non_exhaustive()
    }
}

/// Returns the error for a file without a readable private key.
fn named(content: FileContent) -> KeyPairError {
    if content == FileContent::EncryptedKey {
        KeyPairError::Encrypted
    } else {
        KeyPairError::Content(content)
    }
}

/// Returns the error for a PEM text without a readable private key.
fn no_key(pem: &[u8]) -> KeyPairError {
    let encrypted: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    let holds = |words: &[u8]| memchr::memmem::find(pem, words).is_some();
    if encrypted.into_iter().any(holds) { KeyPairError::Encrypted } else { KeyPairError::NoPem }
}

fn pkcs8_of_pkcs1(pkcs1: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyPairError> {
    let octets = OctetStringRef::new(pkcs1).map_err(|_| KeyPairError::Rejected)?;
    let info = PrivateKeyInfoRef::new(rsa::pkcs1::ALGORITHM_ID, octets);
    info.to_der().map(Zeroizing::new).map_err(|_| KeyPairError::Rejected)
}

fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Result<&[u8], KeyPairError> {
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| KeyPairError::Rejected)?;
    let AlgorithmIdentifierRef { oid, .. } = info.algorithm;
    if oid != rsa::pkcs1::ALGORITHM_OID {
        return Err(KeyPairError::NotRsa);
    }
    Ok(info.private_key.as_bytes())
}
