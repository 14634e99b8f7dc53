//! Choice of the certificate for each cluster of the project, each loaded once; `certificate` loads them.

use std::collections::BTreeMap;
use std::rc::Rc;

use sealed_secrets_core::crypto::{PublicKey, SealingCertificate};
use sealed_secrets_core::receipt::short_fingerprint;

use super::destination::Destination;
use super::flags::SealingFlags;
use crate::certificate;
use crate::error::Error;
use crate::http_client::redact_password;
use crate::options::CertificateOptions;
use crate::session::Session;

/// A certificate and its origin.
pub(crate) struct Sealer {
    certificate: SealingCertificate,
    source: Option<String>,
}

impl Sealer {
    /// The key that seals.
    pub(crate) fn key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    /// Key and certificate, for reports.
    pub(crate) fn describe(&self) -> String {
        let key = short_fingerprint(self.certificate.fingerprint().as_str());
        match &self.source {
            Some(source) => format!("key {key}, certificate {source}"),
            None => format!("key {key}, certificate of the controller"),
        }
    }
}

/// The certificates of one run.
pub(crate) struct Certificates<'f> {
    flags: &'f SealingFlags,
    loaded: BTreeMap<Option<String>, Rc<Sealer>>,
}

impl<'f> Certificates<'f> {
    /// Loads nothing yet.
    pub(crate) fn new(flags: &'f SealingFlags) -> Self {
        Self { flags, loaded: BTreeMap::new() }
    }

    /// The certificate of `--cert`, else of the destination's cluster, else of the controller.
    ///
    /// # Errors
    /// When it cannot be read, cannot seal, is not pinned, or has expired.
    pub(crate) fn of(&mut self, destination: &Destination) -> Result<Rc<Sealer>, Error> {
        let cluster = destination.cluster().filter(|_| self.flags.cert().is_none());
        let name = cluster.map(|(name, _)| name.to_owned());
        if let Some(loaded) = self.loaded.get(&name) {
            return Ok(Rc::clone(loaded));
        }
        let sealer = Rc::new(self.load(destination)?);
        self.loaded.insert(name, Rc::clone(&sealer));
        Ok(sealer)
    }

    fn load(&self, destination: &Destination) -> Result<Sealer, Error> {
        let given = self.flags.cert().map(str::to_owned);
        let cluster = destination.cluster().filter(|_| given.is_none());
        let flag = self.flags.pin.parse()?;
        let pinned_by = if flag.is_some() { "--cert-fingerprint" } else { destination.project_name() };
        let pin = flag.or_else(|| cluster.and_then(|(_, cluster)| cluster.fingerprint.clone()));
        let cert = given.or_else(|| destination.certificate());
        let source = cert
            .as_deref()
            .map(|cert| if cert.contains("://") { redact_password(cert) } else { cert.to_owned() });
        let options = match cluster {
            Some(_) => destination.connection(&self.flags.cluster),
            None => self.flags.cluster.clone(),
        };
        let is_named = cert.is_some();
        let options = (CertificateOptions { cert, pin }, Session::new(&options));
        let certificate = certificate::load_pinned(&options.0, pinned_by, &options.1);
        let certificate =
            certificate.map_err(|error| if is_named { error } else { without_certificate(error) })?;
        Ok(Sealer { certificate, source })
    }
}

/// Adds how to name a certificate where there is no cluster to fetch it from.
fn without_certificate(error: Error) -> Error {
    match error {
        Error::Kubeconfig(cause) => Error::Kubeconfig(format!(
            "no certificate is named, by --cert or .kubeseal.yaml, and none can be fetched from a cluster: {cause}"
        )),
        error => error,
    }
}
