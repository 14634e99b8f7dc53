//! The certificate of a cluster: of its `SealingKey`s where they may be read, else as the controller serves it.

use kube::ResourceExt as _;
use kube::api::ListParams;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_crds::names::DEFAULT_POLICY_NAME;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyPolicy};

use crate::api::{ApiServer, Refusal};
use crate::certificate::Fetched;
use crate::cluster::Cluster;
use crate::commands::KeysError;
use crate::error::Error;
use crate::flags::Flags;
use crate::{certificate, io};

/// A certificate and where it is from.
pub(crate) struct ClusterCertificate {
    /// The certificate.
    pub(crate) certificate: SealingCertificate,
    /// Where it is from, for people.
    pub(crate) source: String,
    /// Why somebody else may have put it there, if nothing keeps that from happening.
    pub(crate) exposure: Option<String>,
}

impl ClusterCertificate {
    /// Of the `SealingKey`s; asks the controller only where these are unknown to the cluster, unreadable for the user, or absent.
    ///
    /// # Errors
    /// When the `SealingKey`s do not agree on one certificate, or nobody has one.
    pub(crate) fn load(flags: &Flags) -> Result<Self, Error> {
        let api = ApiServer::connect(flags)?;
        match of_sealing_keys(&api)? {
            Found::Certificate(found) => Ok(found),
            Found::Nothing(reason) => {
                io::tell(&format!("{reason}; asking the controller through the service proxy"));
                let source = "the controller, through the service proxy".to_owned();
                let Fetched { bytes, name, exposure } = Cluster::connect(flags)?.certificate()?;
                Ok(Self { certificate: certificate::parse(&bytes, &name)?, source, exposure })
            }
        }
    }

    /// Of the `SealingKey`s, for who cannot reach the controller; none where these are unknown, unreadable or absent.
    ///
    /// # Errors
    /// When the `SealingKey`s do not agree on one certificate, or the API server fails.
    pub(crate) fn without_controller(flags: &Flags) -> Result<Option<Self>, Error> {
        match of_sealing_keys(&ApiServer::connect(flags)?)? {
            Found::Certificate(found) => Ok(Some(found)),
            Found::Nothing(_) => Ok(None),
        }
    }
}

enum Found {
    Certificate(ClusterCertificate),
    /// There is nothing to look at, and why.
    Nothing(String),
}

fn of_sealing_keys(api: &ApiServer) -> Result<Found, KeysError> {
    let namespace = &api.namespace;
    let failed = |action, cause| KeysError::Request { action, cause };
    let keys =
        match api.runtime.block_on(api.sealing_keys().list(&ListParams::default())).map_err(Refusal::from) {
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
    let policy = match api.runtime.block_on(api.policies().get(DEFAULT_POLICY_NAME)).map_err(Refusal::from) {
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

/// The certificate of the one Primary, if the policy names the same key and the certificate is that key's.
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
        let said = status.fingerprint.unwrap_or_else(|| "no fingerprint".to_owned());
        return Err(format!("{name} says {said}, but its certificate is of {fingerprint}"));
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

    const CERTIFICATE: &str = include_str!("../../core/tests/data/rsa2048.crt");

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
                .starts_with("a says SHA256:x, but")
        );
        assert!(refused(&[key("a", "Primary", &good, "nonsense")], None).contains("no PEM certificate"));
        let other = policy(&json!({"primary": {"name": "a", "fingerprint": "SHA256:x"}}));
        assert!(refused(&[primary("a")], Some(&other)).ends_with("the SealingKeyPolicy names SHA256:x"));
        assert!(
            refused(&[primary("a")], Some(&policy(&json!({})))).ends_with("the SealingKeyPolicy names none")
        );
    }
}
