//! Sealing certificates: X.509 certificates of RSA keys, read, checked and self-signed.

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

/// Reason why a certificate cannot be used for sealing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// The text has no PEM block with a certificate.
    #[error("no PEM certificate found; expected a block that begins with -----BEGIN CERTIFICATE-----")]
    NoPem,
    /// The file holds something else.
    #[error("the file {0}, but a certificate is wanted")]
    Content(FileContent),
    /// The block is not an X.509 certificate.
    #[error("the PEM block is not a readable X.509 certificate")]
    Unreadable,
    /// The key is not an RSA key; upstream's wording.
    #[error("expected RSA public key but found {0}")]
    NotRsa(String),
    /// The RSA key cannot be used for sealing.
    #[error("the certificate holds {0}")]
    Key(#[from] PublicKeyError),
    /// A certificate could not be created: a date is outside the years 0 to 9999, or signing failed.
    #[error("a certificate could not be created for this key, name and period")]
    Generation,
}

/// PEM labels, including those that OpenSSL reads.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// Certificate of a public key for sealing. Public data, safe to print.
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
    /// Reads the first certificate of a PEM text and ignores anything after it, as upstream does. The signature is not verified:
    /// the source of the certificate is trusted.
    ///
    /// # Errors
    /// Returns an error if there is no certificate, it cannot be read, or its key is not RSA of 2048 to 8192 bits.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::NoPem)?;
        Self::from_der(&der)
    }

    /// Reads the first certificate of a file: PEM in UTF-8 or UTF-16 with any surrounding text, DER, or base64 of these.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem). If the file has no certificate, the error describes its content.
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

    /// Returns the certificate as one PEM block with a final newline, as upstream serves it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the fingerprint of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public_key.fingerprint()
    }

    /// Returns the start of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the end of validity, capped at the maximum of [`Timestamp`]: a certificate "with no well-defined expiration date"
    /// ends later (RFC 5280, section 4.1.2.5). Only `kubeseal` checks it; a controller decrypts items of expired certificates.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns true if the end of validity is the maximum of [`Timestamp`].
    #[must_use]
    pub fn is_without_end(&self) -> bool {
        self.not_after.as_second() >= Timestamp::MAX.as_second()
    }

    /// Returns the common name of the subject. Upstream's certificates have none by default.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Returns the serial number, hexadecimal bytes separated by colons, as OpenSSL prints it.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }
}

/// Parameters of a new self-signed certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Common name of issuer and subject; empty for none.
    pub common_name: String,
    /// Start of validity, in whole seconds.
    pub not_before: Timestamp,
    /// Validity period.
    pub validity: SignedDuration,
    /// Random serial number.
    pub serial: [u8; 16],
}

impl CertificateRequest {
    /// Creates the certificate as upstream does (docs/compatibility.md, section 4.6): self-signed with SHA-256 and RSA, key usage
    /// encipherOnly, basic constraints CA. One private-key operation.
    ///
    /// # Errors
    /// Returns an error if a date cannot be expressed or the key cannot sign.
    pub fn self_sign(&self, key: &KeyPair) -> Result<SealingCertificate, CertificateError> {
        let not_after =
            self.not_before.checked_add(self.validity).map_err(|_| CertificateError::Generation)?;
        let mut params = CertificateParams::default();
        params.not_before = date(self.not_before)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&self.serial));
        params.distinguished_name = self.distinguished_name();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::EncipherOnly];
        let signer = key.signer().map_err(|_| CertificateError::Generation)?;
        let certificate = params.self_signed(&signer).map_err(|_| CertificateError::Generation)?;
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

fn date(time: Timestamp) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(|_| CertificateError::Generation)
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let first = certificate.subject().iter_common_name().next();
    first.and_then(|name| name.as_str().ok()).map(str::to_owned)
}

fn timestamp(time: ASN1Time) -> Result<Timestamp, CertificateError> {
    let second = time.timestamp().min(Timestamp::MAX.as_second());
    Timestamp::from_second(second).map_err(|_| CertificateError::Unreadable)
}

fn pem_of(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), config)
}

/// Returns Go's name of the key algorithm, if upstream's message has one.
fn key_kind(algorithm: &x509_parser::der_parser::Oid<'_>) -> String {
    match algorithm.to_id_string().as_str() {
        "1.2.840.10045.2.1" => "ECDSA".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        other => format!("a key with the algorithm {other}"),
    }
}
