//! Where the certificate comes from: a file, an address, or the controller.

mod cluster;
mod fetched;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::crypto::{Fingerprint, SealingCertificate};

pub(crate) use cluster::ClusterCertificate;
use fetched::of_controller;
pub(crate) use fetched::{Fetched, fetch_from, parse};

use crate::error::Error;
use crate::flags::Flags;
use crate::io;

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
        return of_controller(flags).or_else(|error| in_its_place(flags, error));
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
