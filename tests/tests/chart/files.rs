//! Files that the chart must have inside itself are copies of others.

use std::fs;

use sealed_secrets_tests::workspace;

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
    let file: serde_json::Value =
        serde_saphyr::from_str(&fs::read_to_string(chart().join("Chart.yaml")).unwrap()).unwrap();
    assert_eq!(file["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(file["appVersion"], env!("CARGO_PKG_VERSION"));
}
