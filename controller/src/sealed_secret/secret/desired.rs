//! Desired state of the Secret of a SealedSecret. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_core::decryption::Content;
use sealed_secrets_core::unseal::{Renderer, Unsealed, secret_of};
use sealed_secrets_crds::SealedSecret;
use sealed_secrets_crds::names::SEALING_KEY_LABEL;

use crate::error::Failure;

/// Type that the API server gives a Secret without a type.
pub(crate) const DEFAULT_TYPE: &str = "Opaque";

/// Returns the Secret that `sealed` describes, with the type that the API server would give it. CPU-bound.
///
/// # Errors
/// When the content or a template makes no Secret.
pub(crate) fn desired(
    sealed: &SealedSecret,
    content: Content,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, Failure> {
    let mut unsealed = secret_of(sealed, content, renderer)?;
    unsealed.secret.type_.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
    Ok(unsealed)
}

/// Refuses a Secret that the keystore would take for a sealing key: in the controller's namespace one with the key label,
/// whatever its value, or with a name that begins with a key prefix.
///
/// # Errors
/// [`Failure::KeyPlanting`] with the rule that it breaks.
pub(crate) fn refuse_key_planting(
    secret: &Secret,
    own_namespace: &str,
    key_prefixes: &[String],
) -> Result<(), Failure> {
    if secret.namespace().as_deref() != Some(own_namespace) {
        return Ok(());
    }
    if secret.labels().contains_key(SEALING_KEY_LABEL) {
        return Err(Failure::KeyPlanting("remove the label sealedsecrets.bitnami.com/sealed-secrets-key"));
    }
    let name = secret.name_any();
    if key_prefixes.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(Failure::KeyPlanting("choose a name that does not begin with the key prefix"));
    }
    Ok(())
}

/// Refuses a Secret of a type that the flag denies.
///
/// # Errors
/// [`Failure::TypeDenied`].
pub(crate) fn refuse_denied_type(secret: &Secret, denied: &BTreeSet<String>) -> Result<(), Failure> {
    let kind = secret.type_.as_deref().unwrap_or(DEFAULT_TYPE);
    if denied.contains(kind) { Err(Failure::TypeDenied) } else { Ok(()) }
}

/// Refuses to write to a Secret that has the label of a sealing key in the controller's namespace, whatever its annotations say:
/// key Secrets have one writer.
///
/// # Errors
/// [`Failure::KeyPlanting`].
pub(crate) fn refuse_sealing_key(existing: &Secret, own_namespace: &str) -> Result<(), Failure> {
    let is_key = existing.namespace().as_deref() == Some(own_namespace)
        && existing.labels().contains_key(SEALING_KEY_LABEL);
    if is_key {
        return Err(Failure::KeyPlanting("the Secret of that name is one; choose another name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::api::ObjectMeta;

    use super::*;

    fn secret(namespace: &str, name: &str, label: Option<&str>) -> Secret {
        let labels = label.map(|value| BTreeMap::from([(SEALING_KEY_LABEL.to_owned(), value.to_owned())]));
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels,
            ..ObjectMeta::default()
        };
        Secret { metadata, ..Secret::default() }
    }

    #[test]
    fn a_secret_of_a_denied_type_is_refused_also_without_a_type() {
        let typed = |kind: Option<&str>| Secret { type_: kind.map(str::to_owned), ..Secret::default() };
        let denied = ["Opaque", "kubernetes.io/service-account-token"].map(str::to_owned).into();
        for (kind, allowed) in [
            (None, false),
            (Some("Opaque"), false),
            (Some("kubernetes.io/service-account-token"), false),
            (Some("kubernetes.io/tls"), true),
        ] {
            assert_eq!(refuse_denied_type(&typed(kind), &denied).is_ok(), allowed, "{kind:?}");
            assert!(refuse_denied_type(&typed(kind), &BTreeSet::new()).is_ok());
        }
    }

    #[test]
    fn no_secret_in_the_controllers_namespace_may_look_like_a_key() {
        let cases = [
            (secret("own", "db", None), true),
            (secret("own", "db", Some("active")), false),
            (secret("own", "db", Some("compromised")), false),
            (secret("own", "sealed-secrets-key", None), false),
            (secret("own", "sealed-secrets-keyabc12", None), false),
            (secret("own", "policy-key", None), false),
            (secret("app", "sealed-secrets-keyabc12", Some("active")), true),
        ];
        let prefixes = ["policy-key".to_owned(), "sealed-secrets-key".to_owned()];
        for (secret, allowed) in cases {
            assert_eq!(refuse_key_planting(&secret, "own", &prefixes).is_ok(), allowed, "{secret:?}");
        }
    }
}
