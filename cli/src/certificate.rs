//! Where the certificate comes from: a file, an address, or the controller.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::{CertificateError, SealingCertificate};

use crate::cluster::Cluster;
use crate::cluster_certificate::ClusterCertificate;
use crate::error::Error;
use crate::flags::Flags;
use crate::{io, web};

/// The certificate that is to seal: of `--cert`, else of the controller.
///
/// # Errors
/// When it cannot be read, is not for sealing, or has expired.
pub(crate) fn load(flags: &Flags) -> Result<SealingCertificate, Error> {
    let certificate = parse(&bytes(flags)?, flags.text("cert").unwrap_or("the controller's certificate"))?;
    if certificate.not_after() < Timestamp::now() {
        let day = certificate.not_after().to_zoned(TimeZone::UTC).strftime("%B %-d, %Y").to_string();
        return Err(Error::ExpiredCertificate(day));
    }
    Ok(certificate)
}

/// The certificate of a PEM text; `name` is what messages call it.
///
/// # Errors
/// When it is none that seals.
pub(crate) fn parse(pem: &[u8], name: &str) -> Result<SealingCertificate, Error> {
    SealingCertificate::from_pem(pem).map_err(|cause| match cause {
        CertificateError::NoPem => Error::NoCertificate,
        other => Error::Certificate(name.to_owned(), other),
    })
}

/// The bytes behind `--cert`, else what the controller serves; where it cannot be reached, what its `SealingKey`s say.
///
/// # Errors
/// When they cannot be read or fetched.
pub(crate) fn bytes(flags: &Flags) -> Result<Vec<u8>, Error> {
    let Some(cert) = flags.text("cert") else {
        let served = Cluster::connect(flags).and_then(|cluster| cluster.certificate());
        return served.or_else(|error| in_its_place(flags, error));
    };
    fetch(cert)
}

/// The certificate of the `SealingKey`s, where the controller cannot be reached through the service proxy; else that error. A
/// Service that is named and does not exist is a mistake, and no obstacle.
fn in_its_place(flags: &Flags, error: Error) -> Result<Vec<u8>, Error> {
    let is_obstacle = match &error {
        Error::Service { is_missing, .. } => !is_missing || flags.text("controller-name").is_none(),
        Error::FetchCertificate(_) => true,
        _ => false,
    };
    if !is_obstacle {
        return Err(error);
    }
    let Ok(Some(found)) = ClusterCertificate::without_controller(flags) else { return Err(error) };
    let reason = error.to_string();
    io::tell(&format!("{}; using the certificate of {}", reason.trim_end_matches('.'), found.source));
    Ok(found.certificate.pem().into())
}

/// The bytes of a file or an address.
///
/// # Errors
/// When they cannot be read or fetched.
pub(crate) fn fetch(cert: &str) -> Result<Vec<u8>, Error> {
    match Source::of(cert) {
        Source::File(path) => io::read_file(&path),
        Source::Url(url) => web::get(&url),
    }
}

/// What the text after `--cert` names.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// A file.
    File(String),
    /// An address.
    Url(String),
}

impl Source {
    /// A text with a scheme is an address; a scheme of one letter is a drive of Windows.
    fn of(text: &str) -> Self {
        let scheme = text.split_once(':').filter(|(scheme, _)| {
            scheme.len() > 1
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        });
        match scheme {
            None => Self::File(text.to_owned()),
            Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => {
                Self::File(path.strip_prefix("//").unwrap_or(path).to_owned())
            }
            Some(_) => Self::Url(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_of_one_letter_is_a_drive() {
        assert_eq!(Source::of("C:\\x.pem"), Source::File("C:\\x.pem".to_owned()));
        assert_eq!(Source::of("a/b:c.pem"), Source::File("a/b:c.pem".to_owned()));
        assert_eq!(Source::of("file:///x.pem"), Source::File("/x.pem".to_owned()));
        assert_eq!(Source::of("FILE:///x.pem"), Source::File("/x.pem".to_owned()));
        assert_eq!(Source::of("https://h/x"), Source::Url("https://h/x".to_owned()));
    }
}
