//! `cert fetch` prints the certificate of a cluster.

use clap::Args;
use jiff::Timestamp;

use crate::certificate::{ClusterCertificate, PinFlag, check};
use crate::error::Error;
use crate::io;
use crate::options::ClusterOptions;
use crate::session::Session;

/// Print the cluster's certificate, or keep it in a file for --cert
#[derive(Debug, Args)]
#[command(
    long_about = "Print the certificate that the cluster's controller offers for sealing (PEM). It is read from the\n\
                  SealingKey objects if you may read them, which needs no connection to the controller; else requested from the\n\
                  controller through the API server's service proxy. The SealingKeys are used only if exactly one is Primary and\n\
                  the SealingKeyPolicy names the same key.",
    after_help = "Example:\n  kubeseal cert fetch -w cluster.pem"
)]
pub(crate) struct Fetch {
    /// Write to this file instead of stdout
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<String>,
    #[command(flatten)]
    pin: PinFlag,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Fetch {
    /// Prints the certificate of the cluster, or writes it to a file.
    ///
    /// # Errors
    /// When there is no certificate, or none that can be trusted.
    pub(super) fn run(&self) -> Result<(), Error> {
        let pin = self.pin.parse()?;
        let ClusterCertificate { certificate, source, exposure } =
            ClusterCertificate::load(&Session::new(&self.cluster))?;
        check(pin.as_ref(), &certificate, &source, exposure.as_deref())?;
        io::log(&format!(
            "{}  valid until {}  from {source}",
            certificate.fingerprint(),
            certificate.not_after()
        ));
        if certificate.not_after() < Timestamp::now() {
            io::warn("the certificate has expired; kubeseal does not seal with it");
        }
        io::write(self.write.as_deref(), certificate.pem().as_bytes())
    }
}
