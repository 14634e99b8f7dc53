//! The checked-in CRDs are what the types say, and accept what upstream's accepts.

#![cfg(test)]

use kube::CustomResourceExt;
use sealed_secrets_crds::{SEALED_SECRET_CRD_YAML, SealedSecret};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/yaml/sealedsecrets.bitnami.com.yaml");

fn generated() -> String {
    let crd = serde_json::to_value(SealedSecret::crd()).unwrap();
    format!(
        "# Generated from crds/src by `UPDATE_CRDS=1 cargo test -p sealed-secrets-crds`.\n{}",
        serde_saphyr::to_string(&crd).unwrap()
    )
}

#[test]
fn the_checked_in_crd_is_what_the_types_say() {
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(PATH, generated()).unwrap();
        return;
    }
    assert_eq!(SEALED_SECRET_CRD_YAML, generated(), "run UPDATE_CRDS=1 cargo test -p sealed-secrets-crds");
}

/// The JSON path, type and printer-column facts of upstream's schema that users rely on, read off its CRD of v0.38.4.
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

#[test]
fn encrypted_data_that_is_no_map_of_strings_reads_as_empty() {
    let object = serde_json::json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": {"name": "s", "namespace": "n"}, "spec": {"encryptedData": {"a": 1}}
    });
    let read: SealedSecret = serde_json::from_value(object).unwrap();
    assert!(read.spec.encrypted_data.is_empty());
}
