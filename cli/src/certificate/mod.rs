//! Choice of the sealing certificate, and its comparison with the pin. [`fetch`] decides for the commands that seal: `--cert`, else
//! the controller, else the `SealingKey`s. [`ClusterCertificate`] decides for `kubeseal cert`: the `SealingKey`s, else
//! the controller. `workflow::certificates` chooses one for each cluster of a project.

mod cluster;
mod fetched;
mod pin;
mod pin_flag;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::SealingCertificate;

pub(crate) use cluster::ClusterCertificate;
use fetched::of_controller;
pub(crate) use fetched::{Fetched, expect_regular, fetch_from, parse};
pub(crate) use pin::check;
use pin::{check_for, warn};
pub(crate) use pin_flag::PinFlag;

use crate::error::Error;
use crate::io;
use crate::options::CertificateOptions;
use crate::session::Session;

/// Loads the certificate that seals, by the choice of [`fetch`].
///
/// # Errors
/// When it cannot be read, cannot seal, does not match `--cert-fingerprint`, or has expired.
pub(crate) fn load(options: &CertificateOptions, session: &Session) -> Result<SealingCertificate, Error> {
    load_pinned(options, "--cert-fingerprint", session).map(|(certificate, _)| certificate)
}

/// As [`load`], with a pin of another flag or file. Returns also the certificate's name in messages.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_pinned(
    options: &CertificateOptions,
    pinned_by: &str,
    session: &Session,
) -> Result<(SealingCertificate, String), Error> {
    let Fetched { bytes, name, exposure } = fetch(options, session)?;
    let certificate = parse(&bytes, &name)?;
    check_for(pinned_by, options.pin.as_ref(), &certificate, &name, exposure.as_deref())?;
    if certificate.not_after() < Timestamp::now() {
        let day = certificate.not_after().to_zoned(TimeZone::UTC).strftime("%B %-d, %Y").to_string();
        return Err(Error::ExpiredCertificate(day));
    }
    Ok((certificate, name))
}

/// Reads the certificate by the choice of [`fetch`]. Returns the bytes of a file, a URL or the controller unchanged, and the
/// certificate of the `SealingKey`s as PEM. They are parsed only to compare them with `--cert-fingerprint`.
///
/// # Errors
/// When they cannot be read or fetched, or do not match `--cert-fingerprint`.
pub(crate) fn bytes(options: &CertificateOptions, session: &Session) -> Result<Vec<u8>, Error> {
    let Fetched { bytes, name, exposure } = fetch(options, session)?;
    if options.pin.is_some() {
        check(options.pin.as_ref(), &parse(&bytes, &name)?, &name, None)?;
    } else {
        warn(exposure.as_deref());
    }
    Ok(bytes)
}

/// Decides on the origin of the certificate: `--cert`, else the controller, else the `SealingKey`s if the controller cannot be
/// reached.
fn fetch(options: &CertificateOptions, session: &Session) -> Result<Fetched, Error> {
    let Some(cert) = &options.cert else {
        return of_controller(session).or_else(|error| or_from_sealing_keys(session, error));
    };
    fetch_from(cert, session)
}

/// Falls back to the certificate of the `SealingKey`s if the service proxy does not lead to the controller. A Service that the user
/// named and that does not exist is a mistake; then the error stays.
fn or_from_sealing_keys(session: &Session, error: Error) -> Result<Fetched, Error> {
    let is_obstacle = match &error {
        Error::Service { is_missing, .. } => !is_missing || session.controller_name().is_none(),
        Error::FetchCertificate { .. } => true,
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
