//! Where the certificate comes from: a file, an address, or the controller.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::{CertificateError, Fingerprint, SealingCertificate};

use crate::cluster::Cluster;
use crate::cluster_certificate::ClusterCertificate;
use crate::error::Error;
use crate::flags::Flags;
use crate::web::Page;
use crate::{io, kubeconfig, web};

/// What was read or fetched as a certificate.
pub(crate) struct Fetched {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Where they are from, for messages.
    pub(crate) name: String,
    /// Why somebody else may have put them there, if nothing keeps that from happening.
    pub(crate) exposure: Option<String>,
}

/// The key that a certificate must be of, where the user says so.
pub(crate) struct Pin(Option<Fingerprint>);

impl Pin {
    /// Of `--cert-fingerprint`.
    ///
    /// # Errors
    /// When that is no fingerprint.
    pub(crate) fn of(flags: &Flags) -> Result<Self, Error> {
        Self::parse(flags.text("cert-fingerprint"))
    }

    /// Of its text; empty for none.
    ///
    /// # Errors
    /// When that is no fingerprint.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Error> {
        let parse = |text: &str| text.trim().parse().map_err(|cause| Error::Pin(text.to_owned(), cause));
        text.filter(|text| !text.is_empty()).map(parse).transpose().map(Self)
    }

    /// Compares; where there is nothing to compare with, warns of a certificate that may be somebody else's.
    ///
    /// # Errors
    /// When the certificate is of another key.
    pub(crate) fn check(
        &self,
        certificate: &SealingCertificate,
        name: &str,
        exposure: Option<&str>,
    ) -> Result<(), Error> {
        match &self.0 {
            Some(wanted) if wanted != certificate.fingerprint() => Err(Error::OtherFingerprint {
                name: name.to_owned(),
                found: certificate.fingerprint().clone(),
                wanted: wanted.clone(),
            }),
            Some(_) => Ok(()),
            None => {
                warn(exposure);
                Ok(())
            }
        }
    }
}

fn warn(exposure: Option<&str>) {
    if let Some(way) = exposure {
        io::tell(&format!(
            "warning: the certificate comes {way}: whoever is on the way can put their own in its place, and read what you seal with it; --cert-fingerprint names the right one"
        ));
    }
}

/// The certificate that is to seal: of `--cert`, else of the controller.
///
/// # Errors
/// When it cannot be read, is not for sealing, is another than `--cert-fingerprint` names, or has expired.
pub(crate) fn load(flags: &Flags) -> Result<SealingCertificate, Error> {
    let pin = Pin::of(flags)?;
    let Fetched { bytes, name, exposure } = fetch(flags)?;
    let certificate = parse(&bytes, &name)?;
    pin.check(&certificate, &name, exposure.as_deref())?;
    if certificate.not_after() < Timestamp::now() {
        let day = certificate.not_after().to_zoned(TimeZone::UTC).strftime("%B %-d, %Y").to_string();
        return Err(Error::ExpiredCertificate(day));
    }
    Ok(certificate)
}

/// The certificate of a file's content; `name` is what messages call it.
///
/// # Errors
/// When it is none that seals.
pub(crate) fn parse(bytes: &[u8], name: &str) -> Result<SealingCertificate, Error> {
    SealingCertificate::from_file(bytes).map_err(|cause| match cause {
        CertificateError::Content(content) => Error::NoCertificate(name.to_owned(), content),
        other => Error::Certificate(name.to_owned(), other),
    })
}

/// The bytes behind `--cert`, else what the controller serves, as they are. They need not be a certificate, unless
/// `--cert-fingerprint` says of which key.
///
/// # Errors
/// When they cannot be read or fetched, or are not what `--cert-fingerprint` says.
pub(crate) fn bytes(flags: &Flags) -> Result<Vec<u8>, Error> {
    let pin = Pin::of(flags)?;
    let Fetched { bytes, name, exposure } = fetch(flags)?;
    if pin.0.is_some() {
        pin.check(&parse(&bytes, &name)?, &name, None)?;
    } else {
        warn(exposure.as_deref());
    }
    Ok(bytes)
}

/// What is behind `--cert`, else what the controller serves; where it cannot be reached, what its `SealingKey`s say.
fn fetch(flags: &Flags) -> Result<Fetched, Error> {
    let Some(cert) = flags.text("cert") else {
        let served = Cluster::connect(flags).and_then(|cluster| cluster.certificate());
        return served.or_else(|error| in_its_place(flags, error));
    };
    fetch_from(cert, flags)
}

/// The certificate of the `SealingKey`s, where the controller cannot be reached through the service proxy; else that error. A
/// Service that is named and does not exist is a mistake, and no obstacle.
fn in_its_place(flags: &Flags, error: Error) -> Result<Fetched, Error> {
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
    Ok(Fetched {
        bytes: found.certificate.pem().into(),
        name: format!("the certificate of {}", found.source),
        exposure: found.exposure,
    })
}

/// What is in a file or at an address; `--request-timeout` of the flags bounds how long an address may take.
///
/// # Errors
/// When it cannot be read or fetched.
pub(crate) fn fetch_from(cert: &str, flags: &Flags) -> Result<Fetched, Error> {
    match Source::of(cert) {
        Source::File(path) => {
            Ok(Fetched { bytes: io::read_file(&path)?, name: cert.to_owned(), exposure: None })
        }
        Source::Url(url) => {
            let Page { bytes, unencrypted } = web::get(&url, kubeconfig::request_timeout(flags)?)?;
            let exposure = unencrypted.map(|url| format!("from {url} without encryption"));
            Ok(Fetched { bytes, name: web::shown(&url), exposure })
        }
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
