//! Files of the chart that must be copies of other files.

use std::fs;

use sealed_secrets_tests::workspace;
use serde_json::{Value, json};

use crate::support::{assert_recorded, chart};

const COPIES: [(&str, &str); 5] = [
    ("crds/sealedsecrets.bitnami.com.yaml", "crds/yaml/sealedsecrets.bitnami.com.yaml"),
    ("crds/sealingkeys.sealedsecrets.rs.yaml", "crds/yaml/sealingkeys.sealedsecrets.rs.yaml"),
    ("crds/sealingkeypolicies.sealedsecrets.rs.yaml", "crds/yaml/sealingkeypolicies.sealedsecrets.rs.yaml"),
    ("alerts.yaml", "deploy/monitoring/alerts.yaml"),
    ("dashboard.json", "deploy/monitoring/dashboard.json"),
];

#[test]
fn the_chart_has_the_same_crds_alerts_and_dashboard() {
    for (copy, original) in COPIES {
        let original = fs::read_to_string(workspace::root().join(original)).unwrap();
        assert_recorded(&chart().join("files").join(copy), &original);
    }
}

#[test]
fn chart_and_programs_have_one_version() {
    let file: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart().join("Chart.yaml")).unwrap()).unwrap();
    assert_eq!(file["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(file["appVersion"], env!("CARGO_PKG_VERSION"));
}

const POLICY: &str = "    \"rotationPolicy\": ";
const AFTER_POLICY: &str = "\n  },\n  \"properties\": {";

/// The keywords of a CRD's schema by which values can be validated. Unknown fields are refused, as by the API server.
const KEPT: [&str; 9] =
    ["enum", "format", "items", "maxLength", "maximum", "minLength", "minimum", "pattern", "type"];

fn for_values(schema: &Value) -> Value {
    let mut kept = json!({});
    for (keyword, value) in schema.as_object().unwrap() {
        if keyword == "properties" {
            let properties = value.as_object().unwrap().iter();
            kept["properties"] =
                properties.map(|(name, schema)| (name.clone(), for_values(schema))).collect();
            kept["additionalProperties"] = false.into();
        } else if KEPT.contains(&keyword.as_str()) {
            kept[keyword] = value.clone();
        } else {
            let unsaid = ["default", "description", "title"].contains(&keyword.as_str())
                || keyword.starts_with("x-kubernetes-");
            assert!(unsaid, "{keyword} in the CRD's schema: keep it or drop it?");
        }
    }
    kept
}

#[test]
fn a_rotation_policy_among_the_values_is_judged_by_the_crds_schema() {
    let crd = workspace::root().join("crds/yaml/sealingkeypolicies.sealedsecrets.rs.yaml");
    let crd: Value = serde_saphyr::from_str(&fs::read_to_string(crd).unwrap()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let policy = serde_json::to_string_pretty(&for_values(spec)).unwrap().replace('\n', "\n    ");
    let file = chart().join("values.schema.json");
    let schema = fs::read_to_string(&file).unwrap();
    let (before, rest) = schema.split_once(POLICY).unwrap();
    let (_, after) = rest.split_once(AFTER_POLICY).unwrap();
    assert_recorded(&file, &format!("{before}{POLICY}{policy}{AFTER_POLICY}{after}"));
}
