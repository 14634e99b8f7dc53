//! `keys retire`: the key is not needed any more.

use clap::Args;
use kube::ResourceExt as _;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyState};
use serde_json::json;

use super::{KeysError, lookup};
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
                  active restores the key. A compromised key stays compromised, with its end of decryption.",
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
        let spec = json!({"state": "Retired", "decryptUntil": null});
        let keys = lookup::change(&api, &self.key, &spec, |key| hides_no_compromise(key, &api.namespace))?;
        io::tell(&format!("{} marked Retired", lookup::told(&keys)));
        if keys.iter().any(is_compromised) {
            io::tell("it stays Compromised: it is never offered again, and an end of decryption still holds");
        }
        io::tell(&next(&keys));
        io::tell(&format!("watch: kubeseal keys list --controller-namespace {}", api.namespace));
        Ok(())
    }
}

/// What the controller has not copied to the key Secret yet would be lost.
fn hides_no_compromise(key: &SealingKey, namespace: &str) -> Result<(), KeysError> {
    let heeded = key.status.as_ref().and_then(|status| status.observed_generation);
    if key.spec.state != SealingKeyState::Compromised || heeded == key.metadata.generation {
        return Ok(());
    }
    Err(KeysError::CompromiseUnheeded { name: key.name_any(), namespace: namespace.to_owned() })
}

fn phase(key: &SealingKey) -> Option<SealingKeyPhase> {
    key.status.as_ref()?.phase
}

fn is_compromised(key: &SealingKey) -> bool {
    phase(key) == Some(SealingKeyPhase::Compromised)
}

/// What comes next for the key that all of these hold.
fn next(keys: &[SealingKey]) -> String {
    let items = keys.iter().filter_map(|key| Some(key.status.as_ref()?.usage?.items)).max().unwrap_or(0);
    if keys.iter().any(|key| phase(key) == Some(SealingKeyPhase::Primary)) {
        "next: nothing yet, because it is the key that seals; make another with `kubeseal keys rotate`"
            .to_owned()
    } else if keys.iter().all(|key| phase(key) == Some(SealingKeyPhase::Retired)) {
        "next: nothing, it is off the ring already".to_owned()
    } else if items > 0 {
        format!(
            "next: it stays until nothing needs it; {items} items of the cluster do: re-encrypt their files and apply them"
        )
    } else {
        "next: the controller takes it off the ring when it has seen that nothing in the cluster needs it"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compromise_that_the_controller_has_not_seen_is_not_overwritten() {
        let key = |state: &str, generation: i64, heeded: i64| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey",
                "metadata": {"name": "k", "generation": generation}, "spec": {"state": state},
                "status": {"observedGeneration": heeded}
            }))
            .unwrap()
        };
        for allowed in [key("Compromised", 2, 2), key("Active", 2, 1), key("Retired", 2, 1)] {
            assert!(hides_no_compromise(&allowed, "kube-system").is_ok());
        }
        let mut unseen = key("Compromised", 2, 1);
        let said = hides_no_compromise(&unseen, "kube-system").unwrap_err().to_string();
        assert!(said.contains("Try again when `kubeseal keys list"), "{said}");
        unseen.status = None;
        assert!(hides_no_compromise(&unseen, "kube-system").is_err());
    }

    #[test]
    fn it_says_what_still_holds_the_key() {
        let key = |status: &serde_json::Value| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": "k"}, "spec": {}, "status": status
            }))
            .unwrap()
        };
        let said = |statuses: &[&serde_json::Value]| {
            next(&statuses.iter().map(|status| key(status)).collect::<Vec<_>>())
        };
        let primary = json!({"phase": "Primary"});
        let used = json!({"phase": "DecryptOnly", "usage": {"objects": 2, "items": 3}});
        let retired = json!({"phase": "Retired"});
        assert!(said(&[&primary]).contains("kubeseal keys rotate"));
        assert!(said(&[&used, &primary]).contains("kubeseal keys rotate"));
        assert!(said(&[&used]).contains("3 items"));
        assert!(said(&[&retired]).contains("already"));
        assert!(said(&[&retired, &used]).contains("3 items"));
        assert!(said(&[&json!({})]).contains("when it has seen"));
    }
}
