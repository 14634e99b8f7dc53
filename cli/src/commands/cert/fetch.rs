//! `cert fetch`: the certificate of a cluster.

use clap::Args;
use jiff::Timestamp;

use super::PinFlag;
use crate::cluster_certificate::ClusterCertificate;
use crate::connection::Connection;
use crate::error::Error;
use crate::io;

/// Print the cluster's certificate, or keep it in a file for --cert
#[derive(Debug, Args)]
#[command(
    long_about = "Print the certificate that the cluster's controller offers for sealing (PEM). Read from the SealingKey objects\n\
                  where that is allowed, which needs no way to the controller itself; else asked of the controller through the API\n\
                  server's service proxy. A certificate is taken from the SealingKeys only if exactly one is Primary and the\n\
                  SealingKeyPolicy names the same key.",
    after_help = "Example:\n  kubeseal cert fetch -w cluster.pem"
)]
pub(crate) struct Fetch {
    /// Write to this file instead of stdout
    #[arg(short = 'w', long, value_name = "FILE")]
    write: Option<String>,
    #[command(flatten)]
    pin: PinFlag,
    #[command(flatten)]
    connection: Connection,
}

impl Fetch {
    /// # Errors
    /// When there is no certificate to be had, or none to be trusted.
    pub(super) fn run(&self) -> Result<(), Error> {
        let pin = self.pin.parse()?;
        let ClusterCertificate { certificate, source, exposure } =
            ClusterCertificate::load(&self.connection.flags)?;
        pin.check(&certificate, &source, exposure.as_deref())?;
        io::tell(&format!(
            "{}  valid until {}  from {source}",
            certificate.fingerprint(),
            certificate.not_after()
        ));
        if certificate.not_after() < Timestamp::now() {
            io::tell("warning: the certificate has expired; kubeseal does not seal with it");
        }
        io::write(self.write.as_deref(), certificate.pem().as_bytes())
    }
}
