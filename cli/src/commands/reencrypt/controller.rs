//! Re-encryption by a controller: ours takes many objects and tells stale items from fresh ones, the original's takes one object and
//! encrypts all its items again.

use std::collections::BTreeMap;

use http::StatusCode;
use sealed_secrets_core::crypto::{Fingerprint, SealingCertificate};
use sealed_secrets_core::manifest::{Format, sealed_secret_text};
use sealed_secrets_core::names::shown_key;
use sealed_secrets_crds::SealedSecret;
use serde_json::{Value, json};

use super::plan::{Job, Renewed, RenewedBatch};
use crate::error::Error;
use crate::service_proxy::{Answer, ServiceProxy};
use crate::session::Session;

const STALE_ONLY: &str = "/v1/rotate?stale-only=true";
const KEY: &str = "sealed-secrets-key";
const DOES_NOT_DECRYPT: &str = "does not decrypt";

/// A controller and its primary key.
pub(super) struct Controller<'s> {
    proxy: ServiceProxy<'s>,
    abilities: Abilities,
}

enum Abilities {
    /// It tells stale items from fresh ones.
    StaleOnly { primary: Fingerprint },
    /// It encrypts everything again. The key is that of its certificate, unless there is none.
    All { certificate: Option<Fingerprint> },
}

impl<'s> Controller<'s> {
    /// Connects to a controller and asks for its abilities with an empty List.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(super) fn connect(session: &'s Session<'_>) -> Result<Self, Error> {
        let proxy = ServiceProxy::connect(session)?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": []}).to_string();
        let answer = proxy.post_patiently(STALE_ONLY, list.as_bytes()).map_err(Error::ReEncrypt)?;
        let abilities = match key_of(&answer) {
            Some(primary) => Abilities::StaleOnly { primary },
            None => Abilities::All { certificate: key_of_certificate(&proxy) },
        };
        Ok(Self { proxy, abilities })
    }

    pub(super) fn newest(&self) -> Option<&Fingerprint> {
        match &self.abilities {
            Abilities::StaleOnly { primary } => Some(primary),
            Abilities::All { certificate } => certificate.as_ref(),
        }
    }

    /// True if a renewal encrypts stale items only.
    pub(super) fn renews_stale_only(&self) -> bool {
        matches!(self.abilities, Abilities::StaleOnly { .. })
    }

    /// Encrypts the items of these objects again: the stale ones, or all if the controller cannot distinguish them.
    ///
    /// # Errors
    /// When the controller cannot be reached.
    pub(super) fn renew(&self, jobs: &[Job]) -> Result<RenewedBatch, String> {
        match &self.abilities {
            Abilities::StaleOnly { .. } => self.renew_list(jobs),
            Abilities::All { .. } => {
                let objects = jobs.iter().map(|job| self.renew_all_of(job)).collect::<Result<_, _>>()?;
                Ok(RenewedBatch { key: None, objects })
            }
        }
    }

    fn renew_list(&self, jobs: &[Job]) -> Result<RenewedBatch, String> {
        let objects: Vec<Value> = jobs.iter().map(|job| object(&job.sealed)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let answer = self.proxy.post_patiently(STALE_ONLY, list.as_bytes())?;
        let all = |failure: String| jobs.iter().map(|_| Err(failure.clone())).collect();
        let objects = match answered_items(&answer) {
            _ if answer.status != StatusCode::OK => all(answer.failure()),
            Some(items) if items.len() == jobs.len() => {
                jobs.iter().zip(&items).map(|(job, item)| changed(&job.sealed, item)).collect()
            }
            _ => all("the controller's answer does not match the request".to_owned()),
        };
        Ok(RenewedBatch { key: key_of(&answer), objects })
    }

    fn renew_all_of(&self, job: &Job) -> Result<Renewed, String> {
        let body = sealed_secret_text(&job.sealed, Format::Json);
        let answer = self.proxy.post_patiently(STALE_ONLY, body.as_bytes())?;
        Ok(match answer.status {
            StatusCode::OK => {
                let item = serde_json::from_slice(&answer.body);
                changed(&job.sealed, &item.unwrap_or_default())
            }
            StatusCode::CONFLICT | StatusCode::INTERNAL_SERVER_ERROR => Err(DOES_NOT_DECRYPT.to_owned()),
            _ => Err(answer.failure()),
        })
    }
}

fn answered_items(answer: &Answer) -> Option<Vec<Value>> {
    let mut list: Value = serde_json::from_slice(&answer.body).ok()?;
    list.get_mut("items").map(Value::take)?.as_array().cloned()
}

fn key_of(answer: &Answer) -> Option<Fingerprint> {
    answer.headers.get(KEY)?.to_str().ok()?.parse().ok()
}

fn key_of_certificate(proxy: &ServiceProxy<'_>) -> Option<Fingerprint> {
    let certificate = SealingCertificate::from_pem(&proxy.certificate().ok()?).ok()?;
    Some(certificate.fingerprint().clone())
}

fn object(sealed: &SealedSecret) -> Value {
    serde_json::from_str(&sealed_secret_text(sealed, Format::Json)).unwrap_or_default()
}

/// The items of an answer that differ from those that were sent.
fn changed(sent: &SealedSecret, answer: &Value) -> Renewed {
    if answer.get("kind").is_some_and(|kind| kind == "Status") {
        return Err(DOES_NOT_DECRYPT.to_owned());
    }
    let items = answer.get("spec").and_then(|spec| spec.get("encryptedData"));
    let mut changed = BTreeMap::new();
    for (key, old) in &sent.spec.encrypted_data {
        let new = items.and_then(|items| items.get(key)?.as_str());
        let new =
            new.ok_or_else(|| format!("the controller's answer lacks the item {:?}", shown_key(key)))?;
        if new != old {
            changed.insert(key.clone(), new.to_owned());
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use sealed_secrets_crds::SealedSecretSpec;

    use super::*;

    fn sent() -> SealedSecret {
        let items = [("a", "AgA"), ("b", "AgB")].map(|(key, text)| (key.to_owned(), text.to_owned()));
        SealedSecret::new(
            "db",
            SealedSecretSpec { encrypted_data: items.into(), ..SealedSecretSpec::default() },
        )
    }

    #[test]
    fn items_of_an_answer_that_differ_are_the_stale_ones_and_others_are_not_taken() {
        let answer = json!({"spec": {"encryptedData": {"a": "AgA", "b": "AgNew", "c": "AgC"}}});
        assert_eq!(changed(&sent(), &answer), Ok([("b".to_owned(), "AgNew".to_owned())].into()));
    }

    #[test]
    fn an_answer_without_an_item_or_with_another_type_changes_nothing() {
        for answer in [json!({"spec": {"encryptedData": {"a": "AgA"}}}), json!({}), json!([1]), Value::Null] {
            assert!(changed(&sent(), &answer).unwrap_err().contains("lacks the item"), "{answer}");
        }
        let number = json!({"spec": {"encryptedData": {"a": 5, "b": "AgB"}}});
        assert!(changed(&sent(), &number).unwrap_err().contains("lacks the item \"a\""));
        let mut invalid = sent();
        invalid.spec.encrypted_data.insert("=hunter2".to_owned(), "AgC".to_owned());
        let message = changed(&invalid, &json!({})).unwrap_err();
        assert!(message.contains("lacks the item \"(invalid key)\""), "{message}");
        assert_eq!(changed(&sent(), &json!({"kind": "Status"})), Err(DOES_NOT_DECRYPT.to_owned()));
    }
}
