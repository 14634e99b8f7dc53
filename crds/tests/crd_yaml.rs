//! Compares the checked-in CRDs with the types, and their schema with upstream's.

#![cfg(test)]

use kube::CustomResourceExt;
use sealed_secrets_crds::{
    SEALED_SECRET_CRD_YAML, SEALING_KEY_CRD_YAML, SEALING_KEY_POLICY_CRD_YAML, SealedSecret, SealingKey,
    SealingKeyPolicy,
};

fn generated<K: CustomResourceExt>() -> String {
    let crd = serde_json::to_value(K::crd()).unwrap();
    format!(
        "# Generated from crds/src by `UPDATE_CRDS=1 cargo test -p sealed-secrets-crds`.\n{}",
        serde_saphyr::to_string(&crd).unwrap()
    )
}

fn compare<K: CustomResourceExt>(checked_in: &str) {
    let file = format!("{}/yaml/{}.yaml", env!("CARGO_MANIFEST_DIR"), K::crd_name());
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(file, generated::<K>()).unwrap();
        return;
    }
    assert_eq!(checked_in, generated::<K>(), "run UPDATE_CRDS=1 cargo test -p sealed-secrets-crds");
}

#[test]
fn the_checked_in_crds_match_the_types() {
    compare::<SealedSecret>(SEALED_SECRET_CRD_YAML);
    compare::<SealingKey>(SEALING_KEY_CRD_YAML);
    compare::<SealingKeyPolicy>(SEALING_KEY_POLICY_CRD_YAML);
}

/// Collects all properties of the schema and of its sub-schemas, with their paths.
fn properties(path: &str, schema: &serde_json::Value, found: &mut Vec<(String, serde_json::Value)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        properties(&path, property, found);
        properties(&path, &property["items"], found);
        found.push((path, property.clone()));
    }
}

#[test]
fn kubectl_explain_has_words_for_every_field_of_the_key_kinds_and_no_default_changes_what_is_stored() {
    for crd in [SealingKey::crd(), SealingKeyPolicy::crd()] {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut found = Vec::new();
        properties(crd["spec"]["names"]["kind"].as_str().unwrap(), schema, &mut found);
        assert!(found.len() > 10);
        for (path, property) in found {
            let described = property["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(described, "{path} has no description");
            let default = property.get("default");
            assert!(default.is_none_or(|value| *value == serde_json::json!({})), "{path} has a default");
        }
    }
}

/// Path, type and printer-column facts of upstream's schema that users rely on, taken from its CRD of v0.38.4.
#[test]
fn the_crd_has_upstreams_names_columns_and_required_fields() {
    let crd = serde_json::to_value(SealedSecret::crd()).unwrap();
    let version = &crd["spec"]["versions"][0];
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(crd["metadata"]["name"], "sealedsecrets.bitnami.com");
    assert_eq!(crd["spec"]["names"]["kind"], "SealedSecret");
    assert_eq!(version["name"], "v1alpha1");
    assert_eq!(spec["required"], serde_json::json!(["encryptedData"]));
    assert_eq!(spec["properties"]["encryptedData"]["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(
        spec["properties"]["template"]["properties"]["metadata"]["x-kubernetes-preserve-unknown-fields"],
        true
    );
    assert!(
        !serde_saphyr::to_string(&crd).unwrap().contains("default:"),
        "a default would change stored objects"
    );
    let columns: Vec<_> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(columns, ["Status", "Synced", "Age"]);
}

fn read(spec: &serde_json::Value) -> Result<SealedSecret, serde_json::Error> {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": "s", "namespace": "n"}, "spec": spec
    }))
}

#[test]
fn an_item_that_is_no_text_is_kept_empty_beside_the_others() {
    for value in ["{\"value\": \"AgX\"}", "[\"AgX\"]", "1", "1.5", "true", "null"] {
        let items: serde_json::Value =
            serde_json::from_str(&format!("{{\"good\": \"AgX\", \"bad\": {value}}}")).unwrap();
        let items = read(&serde_json::json!({"encryptedData": items})).unwrap().spec.encrypted_data;
        assert_eq!((items["good"].as_str(), items["bad"].as_str()), ("AgX", ""), "{value}");
    }
}

#[test]
fn encrypted_data_of_another_type_is_refused_and_none_is_empty() {
    for items in [serde_json::json!(["AgX"]), serde_json::json!("AgX"), serde_json::json!(1)] {
        let error = read(&serde_json::json!({"encryptedData": items})).unwrap_err().to_string();
        assert_eq!(error, "encryptedData must be a mapping of keys to base64 text");
    }
    let none = serde_json::json!({"encryptedData": null, "template": null});
    assert!(read(&none).unwrap().spec.encrypted_data.is_empty());
}
