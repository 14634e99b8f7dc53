//! Choice of the certificate for each cluster of the project, each loaded once; `certificate` loads them.

use std::collections::BTreeMap;
use std::rc::Rc;

use sealed_secrets_core::crypto::{Fingerprint, PublicKey, SealingCertificate};
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
    /// The certificate's name in messages, such as "the certificate of SealingKey x/y".
    name: String,
}

impl Sealer {
    /// The key that seals.
    pub(crate) fn key(&self) -> &PublicKey {
        self.certificate.public_key()
    }

    /// Key and certificate, for reports.
    pub(crate) fn describe(&self) -> String {
        let key = short_fingerprint(self.certificate.fingerprint().as_str());
        if let Some(source) = &self.source {
            return format!("key {key}, certificate {source}");
        }
        let owner = self.name.strip_prefix("the certificate of ").unwrap_or("the controller");
        format!("key {key}, certificate of {owner}")
    }
}

/// The certificates of one run. Each is loaded once: one that changes meanwhile is the same for all files.
pub(crate) struct Certificates<'f> {
    flags: &'f SealingFlags,
    loaded: BTreeMap<Origin, Rc<Sealer>>,
}

/// All that decides on a certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    /// A file or an address.
    cert: Option<String>,
    /// Project file and name of the cluster whose controller is asked without one.
    cluster: Option<(String, String)>,
    pin: Option<Fingerprint>,
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
        let origin = self.origin(destination)?;
        if let Some(loaded) = self.loaded.get(&origin) {
            return Ok(Rc::clone(loaded));
        }
        let sealer = Rc::new(self.load(&origin, destination)?);
        self.loaded.insert(origin, Rc::clone(&sealer));
        Ok(sealer)
    }

    fn origin(&self, destination: &Destination) -> Result<Origin, Error> {
        let given = self.flags.cert().map(str::to_owned);
        let cluster = destination.cluster().filter(|_| given.is_none());
        let pin =
            self.flags.pin.parse()?.or_else(|| cluster.and_then(|(_, cluster)| cluster.fingerprint.clone()));
        let cert = given.or_else(|| destination.certificate());
        let asked = cluster.filter(|_| cert.is_none());
        let cluster = asked.map(|(name, _)| (destination.project_name().to_owned(), name.to_owned()));
        Ok(Origin { cert, cluster, pin })
    }

    fn load(&self, origin: &Origin, destination: &Destination) -> Result<Sealer, Error> {
        let Origin { cert, pin, .. } = origin.clone();
        let is_given = self.flags.cert().is_some();
        let is_named = cert.is_some();
        if let Some(cert) = cert.as_deref().filter(|_| !is_given) {
            certificate::expect_regular(cert)?;
        }
        let pinned_by =
            if self.flags.pin.parse()?.is_some() { "--cert-fingerprint" } else { destination.project_name() };
        let source = cert
            .as_deref()
            .map(|cert| if cert.contains("://") { redact_password(cert) } else { cert.to_owned() });
        let connection =
            if is_given { self.flags.cluster.clone() } else { destination.connection(&self.flags.cluster) };
        let options = CertificateOptions { cert, pin };
        let certificate = certificate::load_pinned(&options, pinned_by, &Session::new(&connection));
        let (certificate, name) =
            certificate.map_err(|error| if is_named { error } else { without_certificate(error) })?;
        Ok(Sealer { certificate, source, name })
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
