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

/// Size of a key to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits.
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits, the default of upstream.
    Rsa4096,
    /// 8192 bits.
    Rsa8192,
}

impl KeySize {
    /// The size of this many bits, if keys of that size can be made.
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

/// Why a private key cannot be used. No variant carries key material.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyPairError {
    /// No PEM block with a private key.
    #[error(
        "no PEM private key found; expected a block that begins with -----BEGIN RSA PRIVATE KEY----- or -----BEGIN PRIVATE KEY-----"
    )]
    NoPem,
    /// A file that holds something else.
    #[error("the file {0}, but a private key is wanted")]
    Content(FileContent),
    /// It needs a password, which upstream does not ask for either.
    #[error(
        "the private key is encrypted; decrypt it first, for example with: openssl pkey -in FILE -out DECRYPTED"
    )]
    Encrypted,
    /// An elliptic-curve key or another kind; upstream's words.
    #[error("private key is not an RSA key")]
    NotRsa,
    /// Damaged, of an unusual size, or with more than two primes.
    #[error("the RSA private key is damaged or not supported; keys have two primes and 2048 to 8192 bits")]
    Rejected,
    /// The public half cannot seal.
    #[error("the RSA private key holds {0}")]
    Public(#[from] PublicKeyError),
    /// The backend could not make a key.
    #[error("the cryptography library could not generate a key")]
    Generation,
}

/// Labels of PEM blocks; the last is an elliptic key's, which is then named.
const LABELS: [&str; 3] = ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"];

/// An RSA private key: opens what was sealed to its public key.
///
/// Every private-key operation runs in aws-lc-rs, which is constant-time (docs/decisions/0002). `Debug` shows the
/// fingerprint only; the DER form is wiped when dropped.
pub struct KeyPair {
    decrypting: OaepPrivateDecryptingKey,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl KeyPair {
    /// Reads the first private key of a PEM text, PKCS#1 (RFC 8017 appendix A.1.2) or PKCS#8 (RFC 5208); text and other
    /// blocks around it are passed over, as Go does.
    ///
    /// # Errors
    /// When there is none, or it is not an RSA key of two primes with 2048 to 8192 bits.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyPairError> {
        let der = Zeroizing::new(PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key(pem))?);
        Self::from_der(&der)
    }

    /// Reads the first private key of a file: PEM as [`from_pem`](Self::from_pem), also in UTF-16 or with its line breaks lost, DER,
    /// or base64 of these.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); where there is none, with what the file holds instead.
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

    /// Makes a new key. Takes from 0.1 s (2048 bits) to many seconds (8192 bits) of CPU: not for an async thread.
    ///
    /// # Errors
    /// When the library's random source or its self-checks fail.
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

    /// The key as PEM in PKCS#1 form, `-----BEGIN RSA PRIVATE KEY-----`, as upstream stores it in `tls.key`.
    ///
    /// # Errors
    /// Never for a key that this type has accepted; the encoder's signature allows it.
    pub fn expose_pkcs1_pem(&self) -> Result<Zeroizing<String>, KeyPairError> {
        let pkcs1 = pkcs1_of_pkcs8(&self.pkcs8)?;
        let document = SecretDocument::try_from(pkcs1).map_err(|_| KeyPairError::Rejected)?;
        document.to_pem("RSA PRIVATE KEY", LineEnding::LF).map_err(|_| KeyPairError::Rejected)
    }

    /// Decrypts one RSA-OAEP block (SHA-256, MGF1 with SHA-256). `None` when it does not open, for whatever reason.
    #[must_use]
    pub fn decrypt_oaep(&self, label: &[u8], block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut output = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let length =
            self.decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, block, &mut output, Some(label)).ok()?.len();
        output.truncate(length);
        Some(output)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The fingerprint of the public half.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// The same key as a certificate's signer.
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

/// The error for a file that holds something else than a private key that can be read.
fn named(content: FileContent) -> KeyPairError {
    if content == FileContent::EncryptedKey {
        KeyPairError::Encrypted
    } else {
        KeyPairError::Content(content)
    }
}

/// Why a PEM text holds no private key that can be read.
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
