//! Where the certificate comes from: a file, a URL, or the controller.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::SealingCertificate;

use crate::args::Args;
use crate::cluster;
use crate::error::{Error, Result};

/// The certificate to seal with.
///
/// # Errors
/// When it cannot be had, is none, or is past its end.
pub(crate) fn load(args: &Args) -> Result<SealingCertificate> {
    let (name, pem) = fetch(args)?;
    let certificate =
        SealingCertificate::from_pem(pem.as_bytes()).map_err(|cause| Error::Certificate(name, cause))?;
    if certificate.not_after() < Timestamp::now() {
        let end = certificate.not_after().to_zoned(TimeZone::UTC);
        return Err(Error::Expired(end.strftime("%B %-d, %Y").to_string()));
    }
    Ok(certificate)
}

/// The text that `--cert` names or the controller serves, and what to call it in messages.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn fetch(args: &Args) -> Result<(String, String)> {
    let name = args.cert.clone();
    if name.is_empty() {
        return Ok(("the controller's certificate".to_owned(), cluster::fetch_certificate(args)?));
    }
    let text = match scheme(&name) {
        Some("http" | "https") => cluster::download(&name)?,
        Some("file") => read_file(&name, name.trim_start_matches("file://").as_ref())?,
        _ => read_file(&name, name.as_ref())?,
    };
    Ok((name, text))
}

fn read_file(name: &str, path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|cause| Error::CertificateFile(name.to_owned(), cause.to_string()))
}

/// The scheme of a URL. One letter is a Windows drive.
fn scheme(name: &str) -> Option<&str> {
    name.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| scheme.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::scheme;

    #[test]
    fn a_one_letter_scheme_is_a_windows_drive() {
        assert_eq!(scheme("https://example.com/cert.pem"), Some("https"));
        assert_eq!(scheme("file:///cert.pem"), Some("file"));
        assert_eq!(scheme("C://cert.pem"), None);
        assert_eq!(scheme("C:\\cert.pem"), None);
        assert_eq!(scheme("cert.pem"), None);
    }
}
