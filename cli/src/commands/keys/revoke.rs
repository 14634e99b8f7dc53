//! `keys revoke` marks a key as compromised.

use clap::Args;
use jiff::Timestamp;
use sealed_secrets_crds::SealingKey;
use serde_json::json;

use super::lookup;
use crate::error::Error;
use crate::io;
use crate::options::ClusterOptions;
use crate::session::Session;

/// Mark a key as compromised: it is replaced at once
#[derive(Debug, Args)]
#[command(
    long_about = "Mark a key as compromised (state Compromised), because somebody else may have it. The controller creates a new\n\
                  key, which seals from then on. The old key still decrypts, until the time of --decrypt-until if that is given, so\n\
                  that nothing stops working. Re-encryption does not undo a leak: anybody who has the key can read every value that\n\
                  was ever sealed with it, in Git's history too. Change the values.",
    after_help = "Example:\n  kubeseal keys revoke sealed-secrets-keyx7k2p --decrypt-until 2026-12-24T12:00:00Z"
)]
pub(crate) struct Revoke {
    /// Name of the key, or its fingerprint
    #[arg(value_name = "NAME|FINGERPRINT")]
    key: String,
    /// End of decryption with the key, such as 2026-12-24T12:00:00Z; by default there is none
    #[arg(long, value_name = "TIME")]
    decrypt_until: Option<Timestamp>,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Revoke {
    /// Marks the key as Compromised.
    ///
    /// # Errors
    /// When there is no such key, or it cannot be changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let mut spec = json!({"state": "Compromised"});
        if let (Some(until), Some(spec)) = (self.decrypt_until, spec.as_object_mut()) {
            spec.insert("decryptUntil".to_owned(), json!(until.to_string()));
        }
        let keys = lookup::change(api, &self.key, &spec, |_| Ok(()))?;
        // A key in several Secrets decrypts as long as one of them is on the ring.
        let kept = |key: &SealingKey| key.spec.decrypt_until.as_ref().map(|time| time.0);
        let kept: Option<Vec<Timestamp>> = keys.iter().map(kept).collect();
        let end = self.decrypt_until.or(kept.and_then(|kept| kept.into_iter().max()));
        for line in lines(&lookup::describe(&keys), &api.namespace, end) {
            io::log(&line);
        }
        Ok(())
    }
}

fn lines(subject: &str, namespace: &str, until: Option<Timestamp>) -> [String; 4] {
    let end =
        until.map_or("without an end; --decrypt-until sets one".to_owned(), |time| format!("until {time}"));
    [
        format!("{subject} marked Compromised"),
        format!(
            "next: the controller creates a new key, which then seals; the old key still decrypts, {end}"
        ),
        "re-encryption does not undo a leak: change the values themselves, then seal the new ones".to_owned(),
        format!("watch: kubeseal keys list --controller-namespace {namespace}"),
    ]
}
