//! `keys retire` marks a key as no longer needed.

use clap::Args;
use kube::ResourceExt as _;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyState};
use serde_json::json;

use super::lookup;
use crate::error::{Error, KeysError};
use crate::io;
use crate::options::ClusterOptions;
use crate::session::Session;

/// Retire a key: it leaves the key ring as soon as no SealedSecret needs it
#[derive(Debug, Args)]
#[command(
    long_about = "Mark a key as no longer needed (state Retired). It leaves the key ring as soon as no SealedSecret of this\n\
                  cluster needs it; until then it still decrypts, and the SealingKeyPolicy reports RotationBlocked. SealedSecrets\n\
                  that are in Git but not in the cluster are not considered: re-encrypt those first. The key Secret is kept; setting\n\
                  its label back to active restores the key. A compromised key stays compromised, with its end of decryption.",
    after_help = "Example:\n  kubeseal keys retire sealed-secrets-keyx7k2p"
)]
pub(crate) struct Retire {
    /// Name of the key, or its fingerprint
    #[arg(value_name = "NAME|FINGERPRINT")]
    key: String,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Retire {
    /// Marks the key as Retired.
    ///
    /// # Errors
    /// When there is no such key, or it cannot be changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        // Only a compromised key may have an end of decryption; the API server refuses it otherwise.
        let spec = json!({"state": "Retired", "decryptUntil": null});
        let keys = lookup::change(api, &self.key, &spec, |key| hides_no_compromise(key, &api.namespace))?;
        io::log(&format!("{} marked Retired", lookup::describe(&keys)));
        if keys.iter().any(is_compromised) {
            io::log(
                "the key stays Compromised: it is never offered again, and any end of decryption remains",
            );
        }
        io::log(&next(&keys));
        io::log(&format!("watch: kubeseal keys list --controller-namespace {}", api.namespace));
        Ok(())
    }
}

/// Fails if the key is marked Compromised and the controller has not recorded that in the key Secret: the mark would be lost.
fn hides_no_compromise(key: &SealingKey, namespace: &str) -> Result<(), KeysError> {
    let observed = key.status.as_ref().and_then(|status| status.observed_generation);
    if key.spec.state != SealingKeyState::Compromised || observed == key.metadata.generation {
        return Ok(());
    }
    Err(KeysError::CompromiseUnrecorded { name: key.name_any(), namespace: namespace.to_owned() })
}

fn phase(key: &SealingKey) -> Option<SealingKeyPhase> {
    key.status.as_ref()?.phase
}

fn is_compromised(key: &SealingKey) -> bool {
    phase(key) == Some(SealingKeyPhase::Compromised)
}

/// Describes the next step for the key that all of these Secrets hold.
fn next(keys: &[SealingKey]) -> String {
    let items = keys.iter().filter_map(|key| Some(key.status.as_ref()?.usage?.items)).max().unwrap_or(0);
    if keys.iter().any(|key| phase(key) == Some(SealingKeyPhase::Primary)) {
        "next: nothing yet, because this is the key that seals; request another with `kubeseal keys rotate`"
            .to_owned()
    } else if keys.iter().all(|key| phase(key) == Some(SealingKeyPhase::Retired)) {
        "next: nothing, the key has left the ring already".to_owned()
    } else if items > 0 {
        format!(
            "next: the key stays until nothing needs it; {items} items of the cluster need it: re-encrypt their files and apply them"
        )
    } else {
        "next: the controller removes the key from the ring when it has seen that nothing in the cluster needs it"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compromise_that_the_controller_has_not_seen_is_not_overwritten() {
        let key = |state: &str, generation: i64, observed: i64| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey",
                "metadata": {"name": "k", "generation": generation}, "spec": {"state": state},
                "status": {"observedGeneration": observed}
            }))
            .unwrap()
        };
        for allowed in [key("Compromised", 2, 2), key("Active", 2, 1), key("Retired", 2, 1)] {
            assert!(hides_no_compromise(&allowed, "kube-system").is_ok());
        }
        let mut unsynced = key("Compromised", 2, 1);
        let message = hides_no_compromise(&unsynced, "kube-system").unwrap_err().to_string();
        assert!(message.contains("Try again when `kubeseal keys list"), "{message}");
        unsynced.status = None;
        assert!(hides_no_compromise(&unsynced, "kube-system").is_err());
    }

    #[test]
    fn the_error_names_what_still_needs_the_key() {
        let key = |status: &serde_json::Value| -> SealingKey {
            serde_json::from_value(json!({
                "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": "k"}, "spec": {}, "status": status
            }))
            .unwrap()
        };
        let message = |statuses: &[&serde_json::Value]| {
            next(&statuses.iter().map(|status| key(status)).collect::<Vec<_>>())
        };
        let primary = json!({"phase": "Primary"});
        let used = json!({"phase": "DecryptOnly", "usage": {"objects": 2, "items": 3}});
        let retired = json!({"phase": "Retired"});
        assert!(message(&[&primary]).contains("kubeseal keys rotate"));
        assert!(message(&[&used, &primary]).contains("kubeseal keys rotate"));
        assert!(message(&[&used]).contains("3 items"));
        assert!(message(&[&retired]).contains("already"));
        assert!(message(&[&retired, &used]).contains("3 items"));
        assert!(message(&[&json!({})]).contains("when it has seen"));
    }
}
