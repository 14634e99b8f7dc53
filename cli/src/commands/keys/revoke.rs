//! `keys revoke`: somebody else may have the key.

use clap::Args;
use jiff::Timestamp;
use sealed_secrets_crds::SealingKey;
use serde_json::json;

use super::lookup;
use crate::api::ApiServer;
use crate::connection::Connection;
use crate::error::Error;
use crate::io;

/// Say that somebody else may have a key: it is replaced at once
#[derive(Debug, Args)]
#[command(
    long_about = "Say that somebody else may have a key (state Compromised). The controller makes a new key, which seals from\n\
                  then on. The old one still decrypts, until the time of --decrypt-until if there is one, so that nothing stops\n\
                  working. Re-encryption does not undo a leak: whoever has the key can read every value that was ever sealed to\n\
                  it, in Git's history too. Change the values.",
    after_help = "Example:\n  kubeseal keys revoke sealed-secrets-keyx7k2p --decrypt-until 2026-12-24T12:00:00Z"
)]
pub(crate) struct Revoke {
    /// Name of the key, or its fingerprint
    #[arg(value_name = "NAME|FINGERPRINT")]
    key: String,
    /// Until when the key still decrypts, as 2026-12-24T12:00:00Z; without it there is no end
    #[arg(long, value_name = "TIME")]
    decrypt_until: Option<Timestamp>,
    #[command(flatten)]
    connection: Connection,
}

impl Revoke {
    /// # Errors
    /// When there is no such key, or it cannot be changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let api = ApiServer::connect(&self.connection.flags)?;
        let mut spec = json!({"state": "Compromised"});
        if let (Some(until), Some(spec)) = (self.decrypt_until, spec.as_object_mut()) {
            spec.insert("decryptUntil".to_owned(), json!(until.to_string()));
        }
        let keys = lookup::change(&api, &self.key, &spec, |_| Ok(()))?;
        // Where it is in several Secrets, it opens as long as one of them holds it on the ring.
        let kept = |key: &SealingKey| key.spec.decrypt_until.as_ref().map(|time| time.0);
        let kept: Option<Vec<Timestamp>> = keys.iter().map(kept).collect();
        let end = self.decrypt_until.or(kept.and_then(|kept| kept.into_iter().max()));
        for line in lines(&lookup::told(&keys), &api.namespace, end) {
            io::tell(&line);
        }
        Ok(())
    }
}

fn lines(told: &str, namespace: &str, until: Option<Timestamp>) -> [String; 4] {
    let end =
        until.map_or("with no end; --decrypt-until sets one".to_owned(), |time| format!("until {time}"));
    [
        format!("{told} marked Compromised"),
        format!(
            "next: the controller makes a new key and seals with that; the old one still decrypts, {end}"
        ),
        "re-encryption does not undo a leak: change the values themselves, then seal the new ones".to_owned(),
        format!("watch: kubeseal keys list --controller-namespace {namespace}"),
    ]
}
