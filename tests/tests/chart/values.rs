//! Values, their schema and the original's values.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::{chart, data, template};

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(chart().join(name)).unwrap()).unwrap()
}

/// The paths of all values that are no maps, or empty ones.
fn paths_of_values(prefix: &str, value: &Value, paths: &mut BTreeSet<String>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            for (name, value) in fields {
                paths_of_values(&format!("{prefix}.{name}"), value, paths);
            }
        }
        None => drop(paths.insert(prefix.trim_start_matches('.').to_owned())),
    }
}

/// The paths that the schema knows, as far down as it names fields.
fn paths_of_schema(prefix: &str, schema: &Value, root: &Value, paths: &mut BTreeSet<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, property) in properties {
                paths_of_schema(&format!("{prefix}.{name}"), property, root, paths);
            }
        }
        None => drop(paths.insert(prefix.trim_start_matches('.').to_owned())),
    }
}

/// What the schema takes and values.yaml does not show: what Helm and parent charts set, and fields of Kubernetes that few need.
const NOT_SHOWN: [&str; 7] = [
    "enabled",
    "global",
    "containerSecurityContext.capabilities.add",
    "livenessProbe.terminationGracePeriodSeconds",
    "readinessProbe.terminationGracePeriodSeconds",
    "resources.claims",
    "startupProbe.terminationGracePeriodSeconds",
];

#[test]
fn schema_and_values_name_the_same() {
    let (mut values, mut schema) = (BTreeSet::new(), BTreeSet::new());
    paths_of_values("", &yaml("values.yaml"), &mut values);
    let root = yaml("values.schema.json");
    paths_of_schema("", &root, &root, &mut schema);
    values.extend(NOT_SHOWN.map(str::to_owned));
    let free = |path: &str| schema.iter().find(|known| path.starts_with(&format!("{known}."))).cloned();
    let values: BTreeSet<_> = values.into_iter().map(|path| free(&path).unwrap_or(path)).collect();
    assert_eq!(values, schema);
}

/// Sets the value at a dotted path.
fn set(values: &mut Value, path: &str, value: Value) {
    let mut place = values;
    for name in path.split('.') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = value;
}

fn of_the_original() -> Vec<(String, Value)> {
    let text = fs::read_to_string(data().join("original-values.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, value) = line.split_once(" = ").unwrap();
            (path.to_owned(), serde_json::from_str(value).unwrap())
        })
        .collect()
}

#[test]
fn every_value_of_the_original_has_its_place() {
    let ours = yaml("values.yaml");
    let original = of_the_original();
    assert!(original.len() > 100);
    for (path, _) in original {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(ours.pointer(&pointer).is_some(), "values.yaml has no {path}");
    }
}

#[test]
fn a_copy_of_the_originals_values_renders() {
    let mut values = json!({});
    for (path, value) in of_the_original() {
        set(&mut values, &path, value);
    }
    let manifest = template(&values.to_string()).ok().unwrap();
    assert!(manifest.contains("image: docker.io/bitnami/sealed-secrets-controller:0.38.4\n"), "{manifest}");
}
