//! Certificates compared with `--cert-fingerprint`.

use sealed_secrets_core::crypto::{Fingerprint, SealingCertificate};

use crate::error::Error;
use crate::io;

/// Compares the certificate with the pin; without a pin warns if an attacker could have replaced the certificate.
///
/// # Errors
/// When the certificate belongs to another key.
pub(crate) fn check(
    pin: Option<&Fingerprint>,
    certificate: &SealingCertificate,
    name: &str,
    exposure: Option<&str>,
) -> Result<(), Error> {
    check_for("--cert-fingerprint", pin, certificate, name, exposure)
}

/// As [`check`], for a pin of another flag or file.
pub(super) fn check_for(
    pinned_by: &str,
    pin: Option<&Fingerprint>,
    certificate: &SealingCertificate,
    name: &str,
    exposure: Option<&str>,
) -> Result<(), Error> {
    match pin {
        Some(wanted) if wanted != certificate.fingerprint() => Err(Error::OtherFingerprint {
            name: name.to_owned(),
            found: certificate.fingerprint().clone(),
            wanted: wanted.clone(),
            pinned_by: pinned_by.to_owned(),
        }),
        Some(_) => Ok(()),
        None => {
            warn(exposure);
            Ok(())
        }
    }
}

/// Warns of a certificate that an attacker could have replaced.
pub(super) fn warn(exposure: Option<&str>) {
    if let Some(way) = exposure {
        io::warn(&format!(
            "the certificate comes {way}: an attacker on the network can replace it, and read the values that you seal with the replacement; --cert-fingerprint refuses any other certificate"
        ));
    }
}
