//! The shipped manifests, `deploy/kustomize/base`, and their changes for a test's namespace.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::error::{Error, IoContext, Result};
use crate::workspace;

const CLUSTER_SCOPED: [&str; 4] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"];

/// The variable that names a folder whose CRD and permissions replace the shipped ones: those of an existing installation.
pub const EXISTING: &str = "HARNESS_EXISTING";

const RIGHTS_AND_CRD: [&str; 5] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Role", "RoleBinding"];

/// The namespaces that a controller manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them, with the shipped cluster-wide permissions. For a test with a control plane of its own.
    WholeCluster,
    /// Its own namespace and the additional ones.
    Namespaces {
        /// Passed as `--additional-namespaces`.
        additional: Vec<String>,
    },
}

impl Reach {
    /// The corresponding arguments of the controller.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::WholeCluster => Vec::new(),
            Self::Namespaces { additional } if additional.is_empty() => vec!["--all-namespaces=false".into()],
            Self::Namespaces { additional } => {
                vec![
                    "--all-namespaces=false".into(),
                    format!("--additional-namespaces={}", additional.join(",")),
                ]
            }
        }
    }
}

/// The supported fields of a kustomization; any other field is an error.
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

    /// Reads the objects that `kubectl apply -k deploy/kustomize/base` would apply.
    pub(crate) fn shipped() -> Result<Self> {
        let mut objects = Vec::new();
        read_folder(&workspace::root().join("deploy/kustomize/base"), &mut objects)?;
        let shipped = Self { objects };
        match std::env::var_os(EXISTING) {
            None => Ok(shipped),
            Some(folder) => shipped.on_existing(&workspace::root().join(folder)),
        }
    }

    /// The shipped manifests with the CRD and the permissions of the YAML files in `folder`.
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

    /// The objects for an installation in `namespace`. With a reach of some namespaces it gets exactly the shipped permissions, but in
    /// these only: a `ClusterRoleBinding` becomes a `RoleBinding` in each.
    pub(crate) fn placed(&self, namespace: &str, reach: &Reach) -> Vec<Value> {
        self.objects.iter().flat_map(|object| place(object, namespace, reach)).collect()
    }
}

/// Parses the objects of a manifest with several documents.
///
/// # Errors
/// [`Error::Invalid`] with the place of a document that is not YAML.
pub fn objects_of(manifest: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(manifest).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Returns true if the tests run with the CRD and the permissions of an existing installation.
#[must_use]
pub fn on_existing_installation() -> bool {
    std::env::var_os(EXISTING).is_some()
}

/// The objects that `kubectl apply -k deploy/kustomize/base` applies.
///
/// # Errors
/// When a manifest cannot be read, or has a field that this reader does not support.
pub fn shipped_manifests() -> Result<Vec<Value>> {
    shipped_manifests_in("kube-system")
}

/// As [`shipped_manifests`], with an overlay that sets `namespace:`.
///
/// # Errors
/// As [`shipped_manifests`].
pub fn shipped_manifests_in(namespace: &str) -> Result<Vec<Value>> {
    Ok(Manifests::shipped()?.placed(namespace, &Reach::WholeCluster))
}

/// The permissions of the leader election, in this namespace.
///
/// # Errors
/// When the manifest cannot be read.
pub fn leader_election_manifests_in(namespace: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    read_file(&workspace::root().join("deploy/kustomize/leader-election/role.yaml"), &mut objects)?;
    Ok(Manifests::of(objects).placed(namespace, &Reach::WholeCluster))
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

/// Renames an object that differs from the shipped one of the same name.
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
    fn permissions_in_some_namespaces_are_granted_in_these_only() {
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

    #[test]
    fn the_reach_is_passed_to_the_controller() {
        assert!(Reach::WholeCluster.arguments().is_empty());
        let additional = vec!["a".into(), "b".into()];
        let arguments = Reach::Namespaces { additional }.arguments();
        assert_eq!(arguments, ["--all-namespaces=false", "--additional-namespaces=a,b"]);
    }
}
