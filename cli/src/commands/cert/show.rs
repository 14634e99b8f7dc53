//! `cert show` prints fingerprint, subject and validity of a certificate.

use clap::Args;
use jiff::Timestamp;
use sealed_secrets_core::crypto::SealingCertificate;
use serde_json::{Value, json};

use crate::certificate::{ClusterCertificate, Fetched, PinFlag};
use crate::error::Error;
use crate::options::ClusterOptions;
use crate::report::{ReportFormat, table};
use crate::session::Session;
use crate::{certificate, io, report};

const SECONDS_OF_A_DAY: i64 = 86_400;
/// The date of a certificate without an end (RFC 5280, section 4.1.2.5).
const NO_END: &str = "9999-12-31T23:59:59Z";

/// Show the fingerprint, subject and validity of a certificate
#[derive(Debug, Args)]
#[command(
    long_about = "Show a sealing certificate: fingerprint, subject, serial number, key size and validity. It is the\n\
                  certificate of --cert, else the one that `cert fetch` prints. The fingerprint is that of the public key (SHA-256,\n\
                  base64); `openssl x509 -fingerprint` prints another one, that of the certificate.",
    after_help = "Example:\n  kubeseal cert show --cert cluster.pem"
)]
pub(crate) struct Show {
    /// Show this certificate, without access to the cluster
    #[arg(long, value_name = "FILE|URL", env = "SEALED_SECRETS_CERT", hide_env_values = true)]
    cert: Option<String>,
    #[command(flatten)]
    pin: PinFlag,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReportFormat,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Show {
    /// Prints fingerprint, subject and validity of the certificate.
    ///
    /// # Errors
    /// When there is no certificate, or it cannot seal.
    pub(super) fn run(&self) -> Result<(), Error> {
        let pin = self.pin.parse()?;
        let session = Session::new(&self.cluster);
        let found = match self.cert.as_deref().filter(|cert| !cert.is_empty()) {
            Some(cert) => {
                let Fetched { bytes, name, exposure } = certificate::fetch_from(cert, &session)?;
                let certificate = certificate::parse(&bytes, &name)?;
                ClusterCertificate { certificate, source: name, exposure }
            }
            None => ClusterCertificate::load(&session)?,
        };
        certificate::check(pin.as_ref(), &found.certificate, &found.source, found.exposure.as_deref())?;
        let ClusterCertificate { certificate, source, .. } = found;
        let now = Timestamp::now();
        if certificate.not_after() < now {
            io::warn("the certificate has expired; kubeseal does not seal with it");
        }
        let text = table(&rows(&certificate, &source, now));
        report::write(self.output, &value(&certificate, &source, now), &text)
    }
}

/// Whole days until the certificate expires; negative after that.
fn days_left(certificate: &SealingCertificate, now: Timestamp) -> i64 {
    certificate.not_after().duration_since(now).as_secs().div_euclid(SECONDS_OF_A_DAY)
}

fn bits(certificate: &SealingCertificate) -> usize {
    certificate.public_key().block_len() * 8
}

fn rows(certificate: &SealingCertificate, source: &str, now: Timestamp) -> Vec<Vec<String>> {
    let days = days_left(certificate, now);
    let left = if days < 0 { "expired".to_owned() } else { format!("{days} days left") };
    let until = if certificate.is_without_end() {
        "no end".to_owned()
    } else {
        format!("{} ({left})", certificate.not_after())
    };
    let subject = certificate.common_name().map_or("(none)".to_owned(), |name| format!("CN={name}"));
    let rows = [
        ("fingerprint", certificate.fingerprint().to_string()),
        ("subject", subject),
        ("serial", certificate.serial().to_owned()),
        ("key", format!("RSA, {} bits", bits(certificate))),
        ("valid from", certificate.not_before().to_string()),
        ("valid until", until),
        ("from", source.to_owned()),
    ];
    rows.map(|(name, value)| vec![name.to_owned(), value]).to_vec()
}

fn value(certificate: &SealingCertificate, source: &str, now: Timestamp) -> Value {
    json!({
        "fingerprint": certificate.fingerprint().as_str(),
        "commonName": certificate.common_name().unwrap_or_default(),
        "serial": certificate.serial(),
        "keySize": bits(certificate),
        "notBefore": certificate.not_before().to_string(),
        "notAfter": if certificate.is_without_end() { NO_END.to_owned() } else { certificate.not_after().to_string() },
        "daysLeft": days_left(certificate, now),
        "expired": certificate.not_after() < now,
        "source": source,
    })
}
