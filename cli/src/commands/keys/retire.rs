//! `keys retire`: the key is not needed any more.

use clap::Args;
use kube::ResourceExt as _;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase};
use serde_json::json;

use super::lookup;
use crate::api::ApiServer;
use crate::connection::Connection;
use crate::error::Error;
use crate::io;

/// Say that a key is not needed any more: it leaves as soon as nothing uses it
#[derive(Debug, Args)]
#[command(
    long_about = "Say that a key is not needed any more (state Retired). It leaves the ring as soon as no SealedSecret of this\n\
                  cluster needs it; until then it goes on decrypting, and the SealingKeyPolicy says RotationBlocked. What is sealed\n\
                  in Git but not in the cluster is not looked at: re-encrypt that first. The key Secret stays; its label set back to\n\
                  active restores the key.",
    after_help = "Example:\n  kubeseal keys retire sealed-secrets-keyx7k2p"
)]
pub(crate) struct Retire {
    /// Name of the key, or its fingerprint
    #[arg(value_name = "NAME|FINGERPRINT")]
    key: String,
    #[command(flatten)]
    connection: Connection,
}

impl Retire {
    /// # Errors
    /// When there is no such key, or it cannot be changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let api = ApiServer::connect(&self.connection.flags)?;
        // Only a compromised key may have an end of decryption; the API server refuses it otherwise.
        let key = lookup::change(&api, &self.key, &json!({"state": "Retired", "decryptUntil": null}))?;
        io::tell(&format!("sealing key {} is marked Retired", key.name_any()));
        io::tell(&next(&key));
        io::tell(&format!("watch: kubeseal keys list --controller-namespace {}", api.namespace));
        Ok(())
    }
}

fn next(key: &SealingKey) -> String {
    let status = key.status.clone().unwrap_or_default();
    let items = status.usage.map_or(0, |usage| usage.items);
    match status.phase {
        Some(SealingKeyPhase::Primary) => {
            "next: nothing yet, because it is the key that seals; make another with `kubeseal keys rotate`"
                .to_owned()
        }
        Some(SealingKeyPhase::Retired) => "next: nothing, it is off the ring already".to_owned(),
        _ if items > 0 => format!(
            "next: it stays until nothing needs it; {items} items of the cluster do: re-encrypt their files and apply them"
        ),
        _ => {
            "next: the controller takes it off the ring when it has seen that nothing in the cluster needs it"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_still_holds_the_key() {
        let said = |status| {
            next(&serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": "k"}, "spec": {}, "status": status
            })).unwrap())
        };
        assert!(said(json!({"phase": "Primary"})).contains("kubeseal keys rotate"));
        assert!(
            said(json!({"phase": "DecryptOnly", "usage": {"objects": 2, "items": 3}})).contains("3 items")
        );
        assert!(said(json!({"phase": "Retired"})).contains("already"));
        assert!(said(json!({})).contains("when it has seen"));
    }
}
