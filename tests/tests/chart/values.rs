//! Values, their schema and the original's values.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use similar::TextDiff;

use crate::support::{chart, data, template};

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(chart().join(name)).unwrap()).unwrap()
}

/// The paths of all values that are not maps, or are empty maps.
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

/// The paths of the schema, down to the deepest named fields.
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

/// Values that the schema accepts and values.yaml does not show: values of Helm and parent charts, and rarely used fields of
/// Kubernetes.
const NOT_SHOWN: [&str; 6] = [
    "enabled",
    "global",
    "livenessProbe.terminationGracePeriodSeconds",
    "readinessProbe.terminationGracePeriodSeconds",
    "resources.claims",
    "startupProbe.terminationGracePeriodSeconds",
];

/// Kubernetes objects of which values.yaml shows only the fields that it sets, while the schema names all.
const OF_KUBERNETES: [&str; 4] =
    ["containerSecurityContext.", "podSecurityContext.", "rotation.policy.", "updateStrategy."];

#[test]
fn schema_and_values_name_the_same() {
    let (mut values, mut schema) = (BTreeSet::new(), BTreeSet::new());
    paths_of_values("", &yaml("values.yaml"), &mut values);
    let root = yaml("values.schema.json");
    paths_of_schema("", &root, &root, &mut schema);
    let is_of_kubernetes = |path: &str| OF_KUBERNETES.iter().any(|object| path.starts_with(object));
    for object in OF_KUBERNETES.map(|object| object.trim_end_matches('.')) {
        if values.remove(object) {
            assert!(schema.iter().any(|path| path.starts_with(object)), "{object} has no fields");
        }
    }
    schema.retain(|path| !is_of_kubernetes(path) || values.contains(path));
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

/// Returns true for fields of Kubernetes that an empty value removes, whatever the default is.
fn is_taken_away(pointer: &str) -> bool {
    let objects = [
        "containerSecurityContext/",
        "podSecurityContext/",
        "livenessProbe/",
        "readinessProbe/",
        "startupProbe/",
    ];
    let is_field = objects.iter().any(|object| pointer[1..].starts_with(object));
    is_field && !pointer.ends_with("/enabled") || pointer.starts_with("/resources")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// The pointers to all values, maps before their content.
fn pointers(prefix: &str, value: &Value, all: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        all.push(format!("{prefix}/{name}"));
        pointers(&format!("{prefix}/{name}"), value, all);
    }
}

/// The schema of the value that `pointer` leads to.
fn schema_of<'a>(root: &'a Value, pointer: &str) -> &'a Value {
    pointer.split('/').skip(1).fold(root, |schema, name| {
        let property = &schema["properties"][name];
        property["$ref"].as_str().map_or(property, |reference| root.pointer(&reference[1..]).unwrap())
    })
}

#[test]
fn a_value_that_is_needed_may_not_be_left_empty() {
    let (values, schema) = (yaml("values.yaml"), yaml("values.schema.json"));
    let mut all = Vec::new();
    pointers("", &values, &mut all);
    for pointer in all.iter().filter(|pointer| !is_empty(values.pointer(pointer).unwrap())) {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let required = schema_of(&schema, parent)["required"]
            .as_array()
            .is_some_and(|names| names.contains(&json!(name)));
        assert!(required || is_taken_away(pointer), "{pointer} may be null, and has a default");
    }
}

/// Values that enable everything that is off by default.
fn everything_on() -> Value {
    json!({
        "ingress": {"enabled": true, "tls": true},
        "metrics": {"prometheusRule": {"enabled": true}, "serviceMonitor": {"enabled": true}, "dashboards": {"create": true}},
        "networkPolicy": {"enabled": true, "egress": {"enabled": true, "kubeapiCidr": "10.0.0.1/32", "kubeapiPort": 6443}},
        "pdb": {"create": true},
        "rbac": {"clusterRole": false, "namespacedRoles": true},
        "startupProbe": {"enabled": true},
    })
}

#[test]
fn an_empty_value_means_the_default_where_that_is_empty() {
    let values = yaml("values.yaml");
    let mut all = Vec::new();
    pointers("", &values, &mut all);
    let full = everything_on();
    let mut left_empty = full.clone();
    for pointer in all.iter().filter(|pointer| is_empty(values.pointer(pointer).unwrap())) {
        if full.pointer(pointer).is_none() && !is_taken_away(pointer) {
            set(&mut left_empty, &pointer[1..].replace('/', "."), Value::Null);
        }
    }
    let rendered = |values: &Value| template(&values.to_string()).ok().unwrap();
    let (expected, rendered) = (rendered(&full), rendered(&left_empty));
    let diff = TextDiff::from_lines(&expected, &rendered).unified_diff().to_string();
    assert!(diff.is_empty(), "{diff}");
}
