//! Choice of the certificate for `kubeseal cert`: from the `SealingKey`s of the cluster if the user may read them, else from the
//! controller. `fetch` in `mod.rs` decides for the commands that seal.

use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyPolicy};

use super::fetched::{Fetched, of_controller, parse};
use crate::api::ApiServer;
use crate::error::{Error, KeysError, Refusal};
use crate::io;
use crate::session::Session;

/// A certificate with its origin.
pub(crate) struct ClusterCertificate {
    pub(crate) certificate: SealingCertificate,
    /// Its origin, for messages.
    pub(crate) source: String,
    /// The reason why an attacker could have replaced it; `None` for a protected connection.
    pub(crate) exposure: Option<String>,
}

impl ClusterCertificate {
    /// Reads the `SealingKey`s; asks the controller only if the cluster does not know the kind, the user may not read them, or
    /// none exist.
    ///
    /// # Errors
    /// When the `SealingKey`s do not agree on one certificate, or there is none.
    pub(crate) fn load(session: &Session) -> Result<Self, Error> {
        match of_sealing_keys(session.api()?)? {
            Found::Certificate(found) => Ok(found),
            Found::Nothing(reason) => {
                io::log(&format!("{reason}; asking the controller through the service proxy"));
                let source = "the controller, through the service proxy".to_owned();
                let Fetched { bytes, name, exposure } = of_controller(session)?;
                Ok(Self { certificate: parse(&bytes, &name)?, source, exposure })
            }
        }
    }

    /// Reads the `SealingKey`s alone; `None` if they are unknown, unreadable or absent.
    ///
    /// # Errors
    /// When the `SealingKey`s do not agree on one certificate, or the API server fails.
    pub(crate) fn without_controller(session: &Session) -> Result<Option<Self>, Error> {
        match of_sealing_keys(session.api()?)? {
            Found::Certificate(found) => Ok(Some(found)),
            Found::Nothing(_) => Ok(None),
        }
    }
}

enum Found {
    Certificate(ClusterCertificate),
    /// The reason why there are no `SealingKey`s to read.
    Nothing(String),
}

fn of_sealing_keys(api: &ApiServer) -> Result<Found, KeysError> {
    let namespace = &api.namespace;
    let failed = |action, cause| KeysError::Request { action, cause };
    let keys = match api.run(api.sealing_keys().list(&ListParams::default())) {
        Ok(keys) if keys.items.is_empty() => {
            return Ok(Found::Nothing(format!("namespace {namespace} has no SealingKeys")));
        }
        Ok(keys) => keys.items,
        Err(Refusal::UnknownKind) => {
            return Ok(Found::Nothing("this cluster has no SealingKeys".to_owned()));
        }
        Err(Refusal::Forbidden(cause)) => return Ok(Found::Nothing(cause)),
        Err(cause) => return Err(failed("list sealing keys", cause)),
    };
    let policy = match api.run(api.policies().get(DEFAULT_POLICY_NAME)) {
        Ok(policy) => Some(policy),
        Err(Refusal::NotFound(_) | Refusal::UnknownKind) => None,
        Err(Refusal::Forbidden(cause)) => return Ok(Found::Nothing(cause)),
        Err(cause) => return Err(failed("read the SealingKeyPolicy", cause)),
    };
    let chosen = chosen(&keys, policy.as_ref());
    let (name, certificate) =
        chosen.map_err(|cause| KeysError::Distrusted { namespace: namespace.clone(), cause })?;
    Ok(Found::Certificate(ClusterCertificate {
        certificate,
        source: format!("SealingKey {namespace}/{name}"),
        exposure: api.exposure.clone(),
    }))
}

/// The certificate of the only Primary, if the policy names the same key and the fingerprint matches.
fn chosen(
    keys: &[SealingKey],
    policy: Option<&SealingKeyPolicy>,
) -> Result<(String, SealingCertificate), String> {
    let phase = |key: &&SealingKey| key.status.as_ref().and_then(|status| status.phase);
    let primaries: Vec<_> = keys.iter().filter(|key| phase(key) == Some(SealingKeyPhase::Primary)).collect();
    let [primary] = primaries.as_slice() else {
        let names: Vec<_> = primaries.iter().map(|key| key.name_any()).collect();
        let several = format!("{} are Primary", names.join(" and "));
        return Err(if names.is_empty() { "none is Primary".to_owned() } else { several });
    };
    let name = primary.name_any();
    let status = primary.status.clone().unwrap_or_default();
    let certificate = SealingCertificate::from_pem(status.certificate.unwrap_or_default().as_bytes())
        .map_err(|cause| format!("{name}: {cause}"))?;
    let fingerprint = certificate.fingerprint().as_str();
    if status.fingerprint.as_deref() != Some(fingerprint) {
        let claimed = status
            .fingerprint
            .map_or("no fingerprint".to_owned(), |claimed| format!("the fingerprint {claimed}"));
        return Err(format!("{name} claims {claimed}, but its certificate has {fingerprint}"));
    }
    if let Some(policy) = policy {
        let named = policy.status.as_ref().and_then(|status| status.primary.as_ref());
        let named = named.map_or("none", |primary| primary.fingerprint.as_str());
        if named != fingerprint {
            return Err(format!(
                "{name} is Primary with {fingerprint}, but the SealingKeyPolicy names {named}"
            ));
        }
    }
    Ok((name, certificate))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CERTIFICATE: &str = include_str!("../../../core/tests/data/rsa2048.crt");

    fn fingerprint() -> String {
        SealingCertificate::from_pem(CERTIFICATE.as_bytes()).unwrap().fingerprint().to_string()
    }

    fn key(name: &str, phase: &str, fingerprint: &str, certificate: &str) -> SealingKey {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": name}, "spec": {},
            "status": {"phase": phase, "fingerprint": fingerprint, "certificate": certificate}
        }))
        .unwrap()
    }

    fn policy(status: &Value) -> SealingKeyPolicy {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy", "metadata": {"name": "default"},
            "spec": {}, "status": status
        }))
        .unwrap()
    }

    fn refused(keys: &[SealingKey], policy: Option<&SealingKeyPolicy>) -> String {
        chosen(keys, policy).map(|(name, _)| name).unwrap_err()
    }

    #[test]
    fn the_one_primary_that_the_policy_names_is_taken() {
        let good = fingerprint();
        let keys = [key("old", "DecryptOnly", "SHA256:x", ""), key("new", "Primary", &good, CERTIFICATE)];
        let named = policy(&json!({"primary": {"name": "new", "fingerprint": good}}));
        for policy in [Some(&named), None] {
            let (name, certificate) = chosen(&keys, policy).unwrap();
            assert_eq!((name.as_str(), certificate.pem()), ("new", CERTIFICATE));
        }
    }

    #[test]
    fn anything_that_does_not_fit_together_is_refused_with_the_reason() {
        let good = fingerprint();
        let primary = |name: &str| key(name, "Primary", &good, CERTIFICATE);
        assert_eq!(refused(&[key("a", "Pending", &good, CERTIFICATE)], None), "none is Primary");
        assert_eq!(refused(&[primary("a"), primary("b")], None), "a and b are Primary");
        assert!(
            refused(&[key("a", "Primary", "SHA256:x", CERTIFICATE)], None)
                .starts_with("a claims the fingerprint SHA256:x, but")
        );
        assert!(refused(&[key("a", "Primary", &good, "nonsense")], None).contains("no PEM certificate"));
        let other = policy(&json!({"primary": {"name": "a", "fingerprint": "SHA256:x"}}));
        assert!(refused(&[primary("a")], Some(&other)).ends_with("the SealingKeyPolicy names SHA256:x"));
        assert!(
            refused(&[primary("a")], Some(&policy(&json!({})))).ends_with("the SealingKeyPolicy names none")
        );
    }
}
