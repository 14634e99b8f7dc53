//! The shipped manifests, `deploy/kustomize/base`, and where a test puts them.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::error::{Error, IoContext, Result};
use crate::installation::Reach;
use crate::workspace;

const CLUSTER_SCOPED: [&str; 4] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"];

/// Names a folder whose CRD and rights take the place of the shipped ones: those of an installation that is there already.
pub const EXISTING: &str = "HARNESS_EXISTING";

const RIGHTS_AND_CRD: [&str; 5] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Role", "RoleBinding"];

/// What this reader understands of a kustomization; anything else in it is an error rather than ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: Option<String>,
    #[serde(rename = "kind")]
    _kind: Option<String>,
    namespace: Option<String>,
    resources: Vec<String>,
    // Images matter to a kubelet only.
    #[serde(rename = "images")]
    _images: Option<IgnoredAny>,
}

/// The objects of the shipped manifests, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    objects: Vec<Value>,
}

impl Manifests {
    pub(crate) fn of(objects: Vec<Value>) -> Self {
        Self { objects }
    }

    /// Reads what `kubectl apply -k deploy/kustomize/base` would apply.
    pub(crate) fn shipped() -> Result<Self> {
        let mut objects = Vec::new();
        read_folder(&workspace::root().join("deploy/kustomize/base"), &mut objects)?;
        let shipped = Self { objects };
        match std::env::var_os(EXISTING) {
            None => Ok(shipped),
            Some(folder) => shipped.on_existing(&workspace::root().join(folder)),
        }
    }

    /// The shipped programs on the CRD and the rights that the YAML files in `folder` hold.
    pub(crate) fn on_existing(self, folder: &Path) -> Result<Self> {
        let is_kept = |object: &Value| RIGHTS_AND_CRD.contains(&kind_of(object));
        let mut existing = Vec::new();
        let entries = fs::read_dir(folder).when(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let file = entry.when(|| format!("read {}", folder.display()))?.path();
            if file.extension().is_some_and(|extension| extension == "yaml") {
                read_file(&file, &mut existing)?;
            }
        }
        existing.retain(is_kept);
        let programs = self.objects.into_iter().filter(|object| !is_kept(object));
        Ok(Self { objects: existing.into_iter().chain(programs).collect() })
    }

    /// The first object of `kind`.
    pub(crate) fn first(&self, kind: &str) -> Result<&Value> {
        self.objects
            .iter()
            .find(|object| kind_of(object) == kind)
            .ok_or_else(|| Error::Invalid(format!("deploy/kustomize/base has no {kind}")))
    }

    /// The objects for an installation in `namespace`. One that reaches some namespaces only gets exactly the shipped
    /// rights, but in these: a `ClusterRoleBinding` becomes a `RoleBinding` in each.
    pub(crate) fn placed(&self, namespace: &str, reach: &Reach) -> Vec<Value> {
        self.objects.iter().flat_map(|object| place(object, namespace, reach)).collect()
    }
}

/// The objects of a manifest of several documents.
///
/// # Errors
/// [`Error::Invalid`] with the place of what is no YAML.
pub fn objects_of(manifest: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(manifest).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Whether the tests run on the CRD and the rights of an installation that is there already.
#[must_use]
pub fn on_existing_installation() -> bool {
    std::env::var_os(EXISTING).is_some()
}

/// The objects that the tests apply where a person says `kubectl apply -k deploy/kustomize/base`.
///
/// # Errors
/// When a manifest cannot be read, or says something that this reader would have to ignore.
pub fn shipped_manifests() -> Result<Vec<Value>> {
    shipped_manifests_in("kube-system")
}

/// As [`shipped_manifests`], where an overlay says `namespace:`.
///
/// # Errors
/// As [`shipped_manifests`].
pub fn shipped_manifests_in(namespace: &str) -> Result<Vec<Value>> {
    Ok(Manifests::shipped()?.placed(namespace, &Reach::WholeCluster))
}

fn place(object: &Value, namespace: &str, reach: &Reach) -> Vec<Value> {
    let mut object = object.clone();
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if kind_of(subject) == "ServiceAccount" {
            set(subject, "namespace", namespace);
        }
    }
    match reach {
        Reach::Namespaces { additional } if kind_of(&object) == "ClusterRoleBinding" => {
            set(&mut object, "kind", "RoleBinding");
            rename(&mut object, "cluster-wide");
            let namespaces = std::iter::once(namespace).chain(additional.iter().map(String::as_str));
            namespaces.map(|namespace| in_namespace(object.clone(), namespace)).collect()
        }
        _ if CLUSTER_SCOPED.contains(&kind_of(&object)) => vec![object],
        _ => vec![in_namespace(object, namespace)],
    }
}

fn in_namespace(mut object: Value, namespace: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata") {
        set(metadata, "namespace", namespace);
    }
    object
}

/// Keeps a changed object apart from one that ships under the same name.
fn rename(object: &mut Value, prefix: &str) {
    if let Some(Value::String(name)) = object.pointer_mut("/metadata/name") {
        *name = format!("{prefix}-{name}");
    }
}

fn set(object: &mut Value, field: &str, value: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), json!(value));
    }
}

pub(crate) fn kind_of(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn read_folder(folder: &Path, objects: &mut Vec<Value>) -> Result<()> {
    let file = folder.join("kustomization.yaml");
    let text = fs::read_to_string(&file).when(|| format!("read {}", file.display()))?;
    let kustomization: Kustomization = serde_saphyr::from_str(&text)
        .map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))?;
    let first = objects.len();
    for resource in &kustomization.resources {
        let path = folder.join(resource);
        if path.is_dir() { read_folder(&path, objects)? } else { read_file(&path, objects)? }
    }
    if let Some(namespace) = kustomization.namespace {
        for object in
            objects.iter_mut().skip(first).filter(|object| !CLUSTER_SCOPED.contains(&kind_of(object)))
        {
            *object = in_namespace(object.take(), &namespace);
        }
    }
    Ok(())
}

fn read_file(file: &Path, objects: &mut Vec<Value>) -> Result<()> {
    let text = fs::read_to_string(file).when(|| format!("read {}", file.display()))?;
    let found = objects_of(&text);
    objects.extend(found.map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": "b" },
            "roleRef": { "kind": "ClusterRole", "name": "r" },
            "subjects": [
                { "kind": "ServiceAccount", "name": "a", "namespace": "kube-system" },
                { "kind": "Group", "name": "g" },
            ],
        })
    }

    #[test]
    fn for_the_whole_cluster_only_the_account_moves() {
        let placed = place(&binding(), "x", &Reach::WholeCluster);
        let mut expected = binding();
        expected["subjects"][0]["namespace"] = json!("x");
        assert_eq!(placed, [expected]);
    }

    #[test]
    fn rights_in_some_namespaces_are_granted_in_these_only() {
        let placed = place(&binding(), "x", &Reach::Namespaces { additional: vec!["y".into()] });
        let namespaces: Vec<_> =
            placed.iter().map(|object| object["metadata"]["namespace"].as_str().unwrap()).collect();
        assert_eq!(namespaces, ["x", "y"]);
        for object in &placed {
            assert_eq!(object["kind"], "RoleBinding");
            assert_eq!(object["metadata"]["name"], "cluster-wide-b");
            assert_eq!(object["roleRef"], binding()["roleRef"]);
            assert_eq!(object["subjects"][0]["namespace"], "x");
            assert_eq!(object["subjects"][1], binding()["subjects"][1]);
        }
    }

    #[test]
    fn an_unknown_field_of_a_kustomization_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kustomization.yaml"), "resources: []\npatches: []\n").unwrap();
        assert!(read_folder(folder.path(), &mut Vec::new()).unwrap_err().to_string().contains("patches"));
    }
}
