//! `create tls`: certificate and private key of a TLS server.

use clap::Args;
use sealed_secrets_core::crypto::{SealingCertificate, check_tls_pair};
use zeroize::Zeroizing;

use super::output::{NewSecret, OutputFlags, expect_no_value};
use super::sources::{Values, expect_size};
use crate::error::{Error, FileProblem};
use crate::io;
use crate::workflow::Sealer;

/// Create a SealedSecret of type kubernetes.io/tls
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    kubeseal create tls web -n shop --tls-cert web.crt --tls-key web.key -w web.yaml")]
pub(crate) struct Tls {
    /// Name of the SealedSecret, and of its Secret
    name: String,
    #[arg(hide = true)]
    surplus: Vec<String>,
    /// The server's certificate (PEM), with its chain; --cert is the certificate that seals
    #[arg(long = "tls-cert", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    certificate: String,
    /// The server's private key (PEM)
    #[arg(long = "tls-key", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key: String,
    #[command(flatten)]
    output: OutputFlags,
}

impl Tls {
    /// Seals certificate and private key, and writes the SealedSecrets.
    ///
    /// # Errors
    /// When certificate and key do not belong together, or a file exists; then nothing is written.
    pub(super) fn run(&self) -> Result<(), Error> {
        expect_no_value(&self.surplus)?;
        let secret = NewSecret { name: &self.name, type_: Some("kubernetes.io/tls") };
        self.output.check(&secret)?;
        let certificate = io::read_named(&self.certificate)?;
        let own = SealingCertificate::from_file(&certificate).ok();
        let is_other = |sealer: &Sealer| match &own {
            Some(own) if own.fingerprint() == sealer.key().fingerprint() => Err(Error::Argument(format!(
                "--cert is the certificate of the server in --tls-cert {}, and not of a sealed-secrets controller: only the \
                 server could decrypt the items",
                self.certificate
            ))),
            _ => Ok(()),
        };
        self.output.write(&secret, is_other, || self.values(&certificate))
    }

    fn values(&self, certificate: &[u8]) -> Result<Values, Error> {
        let key = Zeroizing::new(io::read_named(&self.key)?);
        check_tls_pair(certificate, &key)
            .map_err(|cause| FileProblem::Field(format!("{cause} ({})", self.certificate)).of(&self.key))?;
        let certificate = Zeroizing::new(certificate.to_vec());
        let values = Values::from([("tls.crt".to_owned(), certificate), ("tls.key".to_owned(), key)]);
        expect_size(&values)?;
        Ok(values)
    }
}
