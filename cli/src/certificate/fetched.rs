//! Bytes of a certificate from a file, a URL or the controller.

use sealed_secrets_core::crypto::{CertificateError, SealingCertificate};

use crate::error::Error;
use crate::http_client::Page;
use crate::service_proxy::ServiceProxy;
use crate::session::Session;
use crate::{http_client, io};

/// The bytes of a certificate, unparsed.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    /// Their origin, for messages.
    pub(crate) name: String,
    /// The reason why an attacker could have replaced them; `None` for a file or a protected connection.
    pub(crate) exposure: Option<String>,
}

/// Parses a certificate; `name` is its origin, for messages.
///
/// # Errors
/// When the bytes are not a certificate of an RSA key.
pub(crate) fn parse(bytes: &[u8], name: &str) -> Result<SealingCertificate, Error> {
    SealingCertificate::from_file(bytes).map_err(|cause| match cause {
        CertificateError::Content(content) => Error::NoCertificate(name.to_owned(), content),
        other => Error::Certificate(name.to_owned(), other),
    })
}

/// Fetches the certificate from the controller through the service proxy.
///
/// # Errors
/// When the controller cannot be reached or serves none.
pub(super) fn of_controller(session: &Session) -> Result<Fetched, Error> {
    let proxy = ServiceProxy::connect(session)?;
    let name = "the controller's certificate".to_owned();
    Ok(Fetched { bytes: proxy.certificate()?, name, exposure: session.api()?.exposure.clone() })
}

/// Reads a file, or fetches a URL within `--request-timeout`.
///
/// # Errors
/// When it cannot be read or fetched.
pub(crate) fn fetch_from(cert: &str, session: &Session) -> Result<Fetched, Error> {
    match Source::of(cert) {
        Source::File(path) => {
            Ok(Fetched { bytes: io::read_named(&path)?, name: cert.to_owned(), exposure: None })
        }
        Source::Url(url) => {
            let Page { bytes, unencrypted } = http_client::get(&url, session.request_timeout()?)?;
            let exposure = unencrypted.map(|url| format!("from {url} without encryption"));
            Ok(Fetched { bytes, name: http_client::redact_password(&url), exposure })
        }
    }
}

/// Refuses a pipe, device or socket as a certificate that a project file names.
///
/// # Errors
/// When it is no regular file, or does not exist.
pub(crate) fn expect_regular(cert: &str) -> Result<(), Error> {
    match Source::of(cert) {
        Source::File(path) => io::expect_regular(&path),
        Source::Url(_) => Ok(()),
    }
}

/// The value of `--cert`.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    File(String),
    Url(String),
}

impl Source {
    /// A text with a scheme is a URL; a scheme of one letter is a drive of Windows.
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
