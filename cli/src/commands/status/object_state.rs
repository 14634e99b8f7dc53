//! State of a SealedSecret, as its status tells it.

use sealed_secrets_crds::{ItemsOfKey, SealedSecretStatus};
use serde_json::{Value, json};

const SYNCED: &str = "Synced";
const STALE: &str = "Stale";
const KEY_COMPROMISED: &str = "KeyCompromised";
const TRUE: &str = "True";
const UNKNOWN: &str = "Unknown";
const NOTHING: &str = "-";

/// Advice about stale items, in the words of the controller's condition and of this program.
const BY_FLAG: &str = "run kubeseal --re-encrypt on the manifest and apply it";
const BY_SUBCOMMAND: &str = "run kubeseal reencrypt FILE and apply it";

/// State of a SealedSecret. Everything in it but the name comes from the controller, or from whoever may write its status.
pub(super) struct ObjectState {
    pub(super) namespace: String,
    pub(super) name: String,
    synced: String,
    reason: String,
    message: String,
    /// The message of the condition; `None` if it does not hold.
    stale: Option<String>,
    compromised: Option<String>,
    /// `None` if they are not known for this version of the object.
    keys: Option<Vec<ItemsOfKey>>,
}

impl ObjectState {
    /// Reads the status of an object of this generation. A status of another shape counts as absent.
    pub(super) fn new(
        namespace: String,
        name: String,
        generation: Option<i64>,
        status: Option<&Value>,
    ) -> Self {
        let status: SealedSecretStatus =
            status.and_then(|status| serde_json::from_value(status.clone()).ok()).unwrap_or_default();
        let is_current = status.observed_generation == generation;
        let condition = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
        let holds = |type_: &str| {
            let condition = condition(type_).filter(|condition| condition.status == TRUE)?;
            Some(condition.message.clone().unwrap_or_default())
        };
        let (synced, reason, message) = match condition(SYNCED) {
            Some(condition) if is_current => (
                condition.status.clone(),
                condition.reason.clone().unwrap_or_default(),
                condition.message.clone().unwrap_or_default(),
            ),
            Some(_) => (
                UNKNOWN.to_owned(),
                String::new(),
                "the controller has not processed the last change yet".to_owned(),
            ),
            None => (UNKNOWN.to_owned(), String::new(), "no controller has processed it yet".to_owned()),
        };
        let synced = if matches!(synced.as_str(), TRUE | "False") { synced } else { UNKNOWN.to_owned() };
        let keys = status
            .last_success
            .filter(|success| Some(success.generation) == generation)
            .map(|success| success.keys);
        Self {
            namespace,
            name,
            synced,
            reason,
            message,
            stale: holds(STALE),
            compromised: holds(KEY_COMPROMISED),
            keys,
        }
    }

    /// True if it is not decrypted, or not sealed with the primary key alone.
    pub(super) fn needs_attention(&self) -> bool {
        self.synced != TRUE || self.stale.is_some() || self.compromised.is_some()
    }

    pub(super) fn shown_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// True if the controller has decrypted its last version.
    pub(super) fn is_synced(&self) -> bool {
        self.synced == TRUE
    }

    /// True if the status says nothing about keys.
    pub(super) fn lacks_keys(&self) -> bool {
        self.keys.is_none() && self.stale.is_none() && self.compromised.is_none()
    }

    /// True if the status records which keys decrypted this version of the object.
    pub(super) fn has_known_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The number of items that a key decrypts, by the beginning of its fingerprint.
    pub(super) fn items_of(&self, fingerprint: &str) -> u64 {
        let keys = self.keys.iter().flatten().filter(|key| key.fingerprint.starts_with(fingerprint));
        keys.map(|key| u64::from(key.items)).sum()
    }

    /// Cells of the table: the gravest state, and the first line of its message.
    pub(super) fn row(&self) -> Vec<String> {
        let (state, message) = match (&self.compromised, &self.stale) {
            _ if self.synced != TRUE => (self.reason.as_str(), &self.message),
            (Some(message), _) => (KEY_COMPROMISED, message),
            (None, Some(message)) => (STALE, message),
            (None, None) => ("", &self.message),
        };
        let filled = |text: &str| if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() };
        let message = message.lines().next().unwrap_or_default().replace(BY_FLAG, BY_SUBCOMMAND);
        vec![self.shown_name(), self.synced.clone(), filled(state), message]
    }

    pub(super) fn value(&self) -> Value {
        let message = if self.synced == TRUE {
            self.compromised.as_ref().or(self.stale.as_ref()).unwrap_or(&self.message)
        } else {
            &self.message
        };
        let keys = self.keys.iter().flatten();
        json!({
            "namespace": self.namespace,
            "name": self.name,
            "synced": self.synced,
            "reason": self.reason,
            "message": message,
            "stale": self.stale.is_some(),
            "compromised": self.compromised.is_some(),
            "keys": keys.map(|key| json!({"fingerprint": key.fingerprint, "items": key.items})).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(generation: i64, status: &Value) -> ObjectState {
        ObjectState::new("shop".to_owned(), "db".to_owned(), Some(generation), Some(status))
    }

    fn synced(status: &str, more: &[Value]) -> Value {
        let first = json!({"type": "Synced", "status": status, "reason": "R", "message": "first\nsecond"});
        let conditions = [&[first], more].concat();
        json!({"observedGeneration": 2, "conditions": conditions})
    }

    #[test]
    fn an_object_needs_attention_unless_its_last_version_is_synced_with_the_current_key() {
        let stale = json!({"type": "Stale", "status": "True", "message": "1 of 2"});
        let fresh = json!({"type": "Stale", "status": "False", "message": ""});
        let leaked = json!({"type": "KeyCompromised", "status": "True", "message": "leaked"});
        for (generation, status, wanted) in [
            (2, synced("True", &[]), None),
            (2, synced("True", std::slice::from_ref(&fresh)), None),
            (2, synced("False", &[]), Some(["False", "R", "first"])),
            (2, synced("odd", &[]), Some(["Unknown", "R", "first"])),
            (
                3,
                synced("True", &[]),
                Some(["Unknown", "-", "the controller has not processed the last change yet"]),
            ),
            (2, json!({}), Some(["Unknown", "-", "no controller has processed it yet"])),
            (2, json!({"conditions": 7}), Some(["Unknown", "-", "no controller has processed it yet"])),
            (2, synced("True", std::slice::from_ref(&stale)), Some(["True", "Stale", "1 of 2"])),
            (2, synced("True", &[stale, leaked]), Some(["True", "KeyCompromised", "leaked"])),
        ] {
            let found = state(generation, &status);
            assert_eq!(found.needs_attention(), wanted.is_some(), "{status}");
            if let Some(wanted) = wanted {
                assert_eq!(found.row()[1..], wanted, "{status}");
            }
        }
    }

    #[test]
    fn the_keys_of_another_version_are_not_known() {
        let success = json!({
            "uid": "u", "generation": 2, "scope": "strict", "secretUid": "s", "secretResourceVersion": "1",
            "keys": [{"fingerprint": "SHA256:abc", "items": 2}, {"fingerprint": "SHA256:xyz", "items": 1}]
        });
        let mut status = synced("True", &[]);
        status["lastSuccess"] = success;
        let current = state(2, &status);
        assert!(current.has_known_keys());
        assert_eq!(
            (current.items_of("SHA256:abc"), current.items_of("SHA256:"), current.items_of("SHA256:q")),
            (2, 3, 0)
        );
        let changed = state(3, &status);
        assert!(!changed.has_known_keys() && changed.items_of("SHA256:abc") == 0);
        assert!(!state(2, &synced("True", &[])).has_known_keys());
    }

    #[test]
    fn programs_get_every_field() {
        let value = state(2, &synced("False", &[])).value();
        let wanted = json!({
            "namespace": "shop", "name": "db", "synced": "False", "reason": "R", "message": "first\nsecond", "stale": false,
            "compromised": false, "keys": []
        });
        assert_eq!(value, wanted);
    }
}
