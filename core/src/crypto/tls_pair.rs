//! Certificates and private keys of TLS servers, which become the content of Secrets.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Reason why certificate and key cannot serve TLS together. Contains nothing of the key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TlsPairError {
    /// The first file has no certificate in PEM.
    #[error("the certificate is not a PEM block -----BEGIN CERTIFICATE-----, or cannot be read")]
    Certificate,
    /// The second file has no private key in PEM.
    #[error("the private key is not an unencrypted PEM block -----BEGIN … PRIVATE KEY-----")]
    Key,
    /// The key is damaged, or neither RSA of 2048 bits or more, ECDSA nor Ed25519.
    #[error("the private key is damaged, or neither RSA (2048 to 8192 bits), ECDSA nor Ed25519")]
    Unsupported,
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// Checks that a private key belongs to the first certificate of a PEM file.
///
/// # Errors
/// Returns an error if one of them cannot be read, or they do not belong together.
pub fn check_tls_pair(certificate: &[u8], key: &[u8]) -> Result<(), TlsPairError> {
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| TlsPairError::Certificate)?;
    let (_, certificate) = X509Certificate::from_der(&certificate).map_err(|_| TlsPairError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsPairError::Key)?;
    let public = public_key(&key).ok_or(TlsPairError::Unsupported)?;
    let is_pair = public == certificate.public_key().subject_public_key.data.as_ref();
    if is_pair { Ok(()) } else { Err(TlsPairError::Mismatch) }
}

/// Returns the public key as in the bit string of a `SubjectPublicKeyInfo`.
fn public_key(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let der = key.secret_der();
    let curves =
        [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING];
    let rsa = || match key {
        PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der).ok(),
        _ => RsaKeyPair::from_pkcs8(der).ok(),
    };
    let ecdsa = || curves.into_iter().find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok());
    let bytes = |public: &dyn AsRef<[u8]>| public.as_ref().to_vec();
    rsa()
        .map(|key| bytes(key.public_key()))
        .or_else(|| ecdsa().map(|key| bytes(key.public_key())))
        .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(|key| bytes(key.public_key())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &[u8] = include_bytes!("../../tests/data/rsa2048.crt");
    const PKCS1: &[u8] = include_bytes!("../../tests/data/rsa2048-pkcs1.pem");
    const PKCS8: &[u8] = include_bytes!("../../tests/data/rsa2048-pkcs8.pem");
    const EC: &[u8] = include_bytes!("../../tests/data/ec.crt");
    const EC_PKCS8: &[u8] = include_bytes!("../../tests/data/ec-pkcs8.pem");
    const EC_SEC1: &[u8] = include_bytes!("../../tests/data/ec-sec1.pem");

    #[test]
    fn a_key_belongs_to_its_own_certificate_in_every_encoding() {
        for (certificate, key) in [(RSA, PKCS1), (RSA, PKCS8)] {
            assert_eq!(check_tls_pair(certificate, key), Ok(()));
        }
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        for key in [ed25519, p384] {
            let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
            let (certificate, key) = (certificate.pem(), key.serialize_pem());
            assert_eq!(check_tls_pair(certificate.as_bytes(), key.as_bytes()), Ok(()));
            assert_eq!(check_tls_pair(RSA, key.as_bytes()), Err(TlsPairError::Mismatch));
        }
    }

    #[test]
    fn a_key_of_another_certificate_and_other_inputs_are_refused() {
        assert_eq!(check_tls_pair(EC, PKCS8), Err(TlsPairError::Mismatch));
        for key in [EC_PKCS8, EC_SEC1] {
            assert_eq!(check_tls_pair(RSA, key), Err(TlsPairError::Mismatch));
        }
        assert_eq!(check_tls_pair(b"x", PKCS8), Err(TlsPairError::Certificate));
        assert_eq!(check_tls_pair(PKCS8, PKCS8), Err(TlsPairError::Certificate));
        assert_eq!(check_tls_pair(RSA, RSA), Err(TlsPairError::Key));
        let short = include_bytes!("../../tests/data/rsa1024.pem");
        assert_eq!(check_tls_pair(RSA, short), Err(TlsPairError::Unsupported));
    }
}
