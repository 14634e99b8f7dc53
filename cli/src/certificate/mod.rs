//! Where the certificate comes from: a file, an address, or the controller.

mod cluster;
mod fetched;
mod pin;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::SealingCertificate;

pub(crate) use cluster::ClusterCertificate;
use fetched::of_controller;
pub(crate) use fetched::{Fetched, fetch_from, parse};
pub(crate) use pin::check;
use pin::warn;

use crate::error::Error;
use crate::io;
use crate::options::CertificateOptions;
use crate::session::Session;

/// The certificate that is to seal: of `--cert`, else of the controller.
///
/// # Errors
/// When it cannot be read, is not for sealing, is another than `--cert-fingerprint` names, or has expired.
pub(crate) fn load(options: &CertificateOptions, session: &Session) -> Result<SealingCertificate, Error> {
    let Fetched { bytes, name, exposure } = fetch(options, session)?;
    let certificate = parse(&bytes, &name)?;
    check(options.pin.as_ref(), &certificate, &name, exposure.as_deref())?;
    if certificate.not_after() < Timestamp::now() {
        let day = certificate.not_after().to_zoned(TimeZone::UTC).strftime("%B %-d, %Y").to_string();
        return Err(Error::ExpiredCertificate(day));
    }
    Ok(certificate)
}

/// The bytes behind `--cert`, else what the controller serves, as they are. They need not be a certificate, unless
/// `--cert-fingerprint` says of which key.
///
/// # Errors
/// When they cannot be read or fetched, or are not what `--cert-fingerprint` says.
pub(crate) fn bytes(options: &CertificateOptions, session: &Session) -> Result<Vec<u8>, Error> {
    let Fetched { bytes, name, exposure } = fetch(options, session)?;
    if options.pin.is_some() {
        check(options.pin.as_ref(), &parse(&bytes, &name)?, &name, None)?;
    } else {
        warn(exposure.as_deref());
    }
    Ok(bytes)
}

/// What is behind `--cert`, else what the controller serves; where it cannot be reached, what its `SealingKey`s say.
fn fetch(options: &CertificateOptions, session: &Session) -> Result<Fetched, Error> {
    let Some(cert) = &options.cert else {
        return of_controller(session).or_else(|error| in_its_place(session, error));
    };
    fetch_from(cert, session)
}

/// The certificate of the `SealingKey`s, where the controller cannot be reached through the service proxy; else that error. A
/// Service that is named and does not exist is a mistake, and no obstacle.
fn in_its_place(session: &Session, error: Error) -> Result<Fetched, Error> {
    let is_obstacle = match &error {
        Error::Service { is_missing, .. } => !is_missing || session.controller_name().is_none(),
        Error::FetchCertificate(_) => true,
        _ => false,
    };
    if !is_obstacle {
        return Err(error);
    }
    let Ok(Some(found)) = ClusterCertificate::without_controller(session) else { return Err(error) };
    let reason = error.to_string();
    io::log(&format!("{}; using the certificate of {}", reason.trim_end_matches('.'), found.source));
    Ok(Fetched {
        bytes: found.certificate.pem().into(),
        name: format!("the certificate of {}", found.source),
        exposure: found.exposure,
    })
}
