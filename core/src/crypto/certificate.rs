use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use thiserror::Error;
use time::OffsetDateTime;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::file::{FileContent, content_of_der, der_of_file};
use super::{Fingerprint, KeyPair, PublicKey, PublicKeyError};

/// Why a certificate cannot be used for sealing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// No PEM block with a certificate.
    #[error("no PEM certificate found; expected a block that begins with -----BEGIN CERTIFICATE-----")]
    NoPem,
    /// A file that holds something else.
    #[error("the file {0}, but a certificate is wanted")]
    Content(FileContent),
    /// The block is not an X.509 certificate.
    #[error("the PEM block is not a readable X.509 certificate")]
    Unreadable,
    /// The key in it is of another kind; upstream's words.
    #[error("expected RSA public key but found {0}")]
    NotRsa(String),
    /// The RSA key in it cannot seal.
    #[error("the certificate holds {0}")]
    Key(#[from] PublicKeyError),
    /// A certificate could not be made: a date outside the years 0 to 9999, or a failing signature.
    #[error("a certificate could not be made for this key, name and period")]
    Making,
}

/// Labels of PEM blocks, also those that OpenSSL reads.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// A certificate whose public key seals. Public data, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingCertificate {
    pem: String,
    public_key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
    common_name: Option<String>,
    serial: String,
}

impl SealingCertificate {
    /// Reads the first certificate of a PEM text; anything after it is ignored, as upstream does. The signature is not
    /// checked: whoever hands over the certificate is trusted.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or its key is not RSA of 2048 to 8192 bits.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::NoPem)?;
        Self::from_der(&der)
    }

    /// Reads the first certificate of a file: PEM in UTF-8 or UTF-16, with whatever stands around it, DER, or base64 of these.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); where there is none, with what the file holds instead.
    pub fn from_file(bytes: &[u8]) -> Result<Self, CertificateError> {
        let der = der_of_file(bytes, &LABELS).map_err(CertificateError::Content)?;
        match (Self::from_der(&der), content_of_der(&der)) {
            (Err(CertificateError::Unreadable), other) if other != FileContent::Unknown => {
                Err(CertificateError::Content(other))
            }
            (read, _) => read,
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        let algorithm = &parsed.public_key().algorithm.algorithm;
        if *algorithm != OID_PKCS1_RSAENCRYPTION {
            return Err(CertificateError::NotRsa(key_kind(algorithm)));
        }
        Ok(Self {
            pem: pem_of(der),
            public_key: PublicKey::from_spki_der(parsed.public_key().raw)?,
            not_before: timestamp(parsed.validity().not_before)?,
            not_after: timestamp(parsed.validity().not_after)?,
            common_name: common_name(&parsed),
            serial: parsed.raw_serial_as_string(),
        })
    }

    /// The certificate as one PEM block with a final newline, the form in which upstream serves it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key that seals.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The fingerprint of that key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public_key.fingerprint()
    }

    /// Start of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// End of its validity, at most the last moment that a [`Timestamp`] can say: a certificate "with no well-defined expiration
    /// date" ends later (RFC 5280, section 4.1.2.5). Only `kubeseal` heeds it; a controller opens items of expired certificates.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it never ends, as far as a [`Timestamp`] can say.
    #[must_use]
    pub fn is_without_end(&self) -> bool {
        self.not_after.as_second() >= Timestamp::MAX.as_second()
    }

    /// Common name of its subject; upstream's certificates have none unless told so.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Serial number, bytes in hexadecimal with colons between, as OpenSSL shows it.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }
}

/// What a new self-signed certificate is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Common name of issuer and subject; empty for none at all.
    pub common_name: String,
    /// Start of its validity, whole seconds.
    pub not_before: Timestamp,
    /// How long it is valid.
    pub validity: SignedDuration,
    /// A random serial number.
    pub serial: [u8; 16],
}

impl CertificateRequest {
    /// Makes the certificate as upstream does (compatibility 4.6): signed by its own key with SHA-256 and RSA, key usage
    /// encipherOnly, basic constraints CA. One private-key operation.
    ///
    /// # Errors
    /// When a date cannot be expressed or the key cannot sign.
    pub fn self_sign(&self, key: &KeyPair) -> Result<SealingCertificate, CertificateError> {
        let not_after = self.not_before.checked_add(self.validity).map_err(|_| CertificateError::Making)?;
        let mut params = CertificateParams::default();
        params.not_before = date(self.not_before)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&self.serial));
        params.distinguished_name = self.distinguished_name();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        let signer = key.signer().map_err(|_| CertificateError::Making)?;
        let certificate = params.self_signed(&signer).map_err(|_| CertificateError::Making)?;
        SealingCertificate::from_der(certificate.der())
    }

    fn distinguished_name(&self) -> DistinguishedName {
        let mut name = DistinguishedName::new();
        if !self.common_name.is_empty() {
            name.push(DnType::CommonName, self.common_name.as_str());
        }
        name
    }
}

fn date(moment: Timestamp) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(moment.as_second()).map_err(|_| CertificateError::Making)
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let first = certificate.subject().iter_common_name().next();
    first.and_then(|name| name.as_str().ok()).map(str::to_owned)
}

fn timestamp(moment: ASN1Time) -> Result<Timestamp, CertificateError> {
    let second = moment.timestamp().min(Timestamp::MAX.as_second());
    Timestamp::from_second(second).map_err(|_| CertificateError::Unreadable)
}

fn pem_of(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), config)
}

/// The name that Go gives the kind of key, where upstream's message has one.
fn key_kind(algorithm: &x509_parser::der_parser::Oid<'_>) -> String {
    match algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => "ECDSA".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        other => format!("a key with the algorithm {other}"),
    }
}
