//! The SealedSecret as the API server has it at this moment: what a watch has shown may be behind that.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_crds::SealedSecret;

use super::seen::version_of;
use crate::error::Failure;

/// The metadata that the API server has of `opened`; `None` unless that is still the very object that was opened, in the same
/// generation and scope, and not being deleted.
///
/// # Errors
/// When the API server does not tell.
pub(super) async fn look(client: Client, opened: &SealedSecret) -> Result<Option<ObjectMeta>, Failure> {
    let api: Api<SealedSecret> = Api::namespaced(client, &opened.namespace().unwrap_or_default());
    match api.get_metadata(&opened.name_any()).await {
        Ok(live) => Ok(Some(live.metadata).filter(|live| version_of(live) == version_of(&opened.metadata))),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(None),
        Err(error) => Err(Failure::api(&error)),
    }
}

/// Whether `manager` has written the Secret since the SealedSecret has its present spec. The times of managed fields are the API
/// server's, in whole seconds.
pub(super) fn was_written_since(manager: &str, secret: &ObjectMeta, sealed: &ObjectMeta) -> bool {
    let written = last_time(secret, |entry| entry.manager.as_deref() == Some(manager));
    let specified = last_time(sealed, has_spec);
    written.zip(specified).is_some_and(|(written, specified)| written >= specified)
}

fn last_time(metadata: &ObjectMeta, counts: impl Fn(&ManagedFieldsEntry) -> bool) -> Option<jiff::Timestamp> {
    let entries = metadata.managed_fields.iter().flatten().filter(|entry| counts(entry));
    entries.filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max()
}

fn has_spec(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object());
    fields.is_some_and(|fields| fields.contains_key("f:spec"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn managed(entries: &[(&str, &str, Value)]) -> ObjectMeta {
        let entry = |(manager, second, fields): &(&str, &str, Value)| json!({"manager": manager, "time": format!("2026-01-01T00:00:{second}Z"), "fieldsV1": fields});
        let entries: Vec<_> = entries.iter().map(entry).collect();
        serde_json::from_value(json!({"managedFields": entries})).unwrap()
    }

    #[test]
    fn a_secret_is_of_the_present_spec_when_it_was_written_by_us_since_and_not_by_others() {
        let (spec, rest) = (json!({"f:spec": {"f:encryptedData": {}}}), json!({"f:metadata": {}}));
        let status = json!({"f:status": {}});
        let sealed = managed(&[
            ("kubectl", "05", spec.clone()),
            ("helm", "10", spec),
            ("argocd", "40", rest.clone()),
            ("controller", "50", status),
        ]);
        let cases = [
            (managed(&[("us", "09", rest.clone())]), false),
            (managed(&[("us", "10", rest.clone())]), true),
            (managed(&[("us", "01", rest.clone()), ("us", "11", rest.clone())]), true),
            (managed(&[("somebody", "59", rest.clone()), ("us", "09", rest.clone())]), false),
            (managed(&[]), false),
        ];
        for (secret, expected) in cases {
            assert_eq!(was_written_since("us", &secret, &sealed), expected, "{secret:?}");
        }
        let unknown = managed(&[("argocd", "40", rest.clone())]);
        assert!(!was_written_since("us", &managed(&[("us", "59", rest)]), &unknown));
    }
}
