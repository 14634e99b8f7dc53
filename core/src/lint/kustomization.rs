//! Kustomizations, which may move a SealedSecret to a place where its items do not decrypt.

use sealed_secrets_crds::Scope;

use super::Finding;
use super::rules::MOVED;
use crate::manifest::receipts::Found;
use crate::manifest::{Field, FileObject, Manifest, Node, NodeKind};
use crate::receipt::place;

/// The fields of a kustomization that change names and namespaces, with their lines, and what it consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kustomization {
    name_prefix: Option<(usize, String)>,
    name_suffix: Option<(usize, String)>,
    namespace: Option<(usize, String)>,
    /// Files and folders, as the file names them.
    pub resources: Vec<String>,
}

/// A SealedSecret that decrypts in one place or namespace only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    scope: Scope,
    namespace: Option<String>,
    name: String,
    /// The places that its receipts name.
    places: Vec<String>,
}

/// Reads a kustomization; `None` if the text is none that can be read.
#[must_use]
pub fn kustomization(text: &str) -> Option<Kustomization> {
    let manifest = Manifest::parse(text).ok()?;
    let [object] = <[FileObject<'_>; 1]>::try_from(manifest.objects()).ok()?;
    let kind = object.node().get("kind").and_then(Node::text).unwrap_or("Kustomization");
    if !matches!(kind, "Kustomization" | "Component") {
        return None;
    }
    let field = |key: &str| {
        let node = object.node().get(key)?;
        let text = node.text().filter(|text| !text.is_empty())?;
        Some((object.line_of(node), text.to_owned()))
    };
    let lists = ["resources", "bases", "components"].into_iter().filter_map(|key| object.node().get(key));
    let resources = lists.flat_map(|list| match &list.kind {
        NodeKind::Sequence(items) => items.as_slice(),
        _ => &[],
    });
    Some(Kustomization {
        name_prefix: field("namePrefix"),
        name_suffix: field("nameSuffix"),
        namespace: field("namespace"),
        resources: resources.filter_map(Node::text).map(str::to_owned).collect(),
    })
}

/// Returns the SealedSecrets of a file that decrypt in one place or namespace only.
#[must_use]
pub fn bound_objects(text: &str) -> Vec<Bound> {
    let Ok(manifest) = Manifest::parse(text) else { return Vec::new() };
    let bound = |object: FileObject<'_>| {
        let sealed = object.sealed_secret()?;
        let (Field::Literal(scope), Field::Literal(name)) = (sealed.scope(), sealed.name()) else {
            return None;
        };
        let namespace = match sealed.namespace() {
            Field::Literal(namespace) => Some(namespace),
            Field::Absent => None,
            Field::Templated => return None,
        };
        let receipts = sealed.items().into_iter().filter_map(|item| match item.receipt {
            Found::Valid(receipt) => Some(receipt.place().to_owned()),
            _ => None,
        });
        (scope != Scope::ClusterWide).then(|| Bound { scope, namespace, name, places: receipts.collect() })
    };
    manifest.objects().into_iter().filter_map(bound).collect()
}

impl Kustomization {
    /// Returns the object with its new name and namespace.
    #[must_use]
    pub fn applied(&self, object: &Bound) -> Bound {
        let text = |field: &Option<(usize, String)>| field.as_ref().map_or("", |(_, text)| text).to_owned();
        Bound {
            name: format!("{}{}{}", text(&self.name_prefix), object.name, text(&self.name_suffix)),
            namespace: self
                .namespace
                .as_ref()
                .map(|(_, text)| text.clone())
                .or_else(|| object.namespace.clone()),
            ..object.clone()
        }
    }

    /// Returns a finding for each object that this kustomization moves away from its items.
    #[must_use]
    pub fn check(&self, objects: &[Bound]) -> Vec<Finding> {
        objects.iter().filter_map(|object| self.check_one(object)).collect()
    }

    fn check_one(&self, object: &Bound) -> Option<Finding> {
        let after = self.applied(object);
        let of = |bound: &Bound| {
            bound.namespace.as_deref().map(|namespace| place(bound.scope, namespace, &bound.name))
        };
        let is_named =
            |wanted: &String| !object.places.is_empty() && object.places.iter().all(|place| place == wanted);
        let new = of(&after)?;
        let is_moved = match of(object) {
            Some(old) => old != new,
            None => !object.places.is_empty(),
        };
        if !is_moved || is_named(&new) {
            return None;
        }
        let moves_namespace = object.namespace != after.namespace;
        let renames = object.scope == Scope::Strict;
        let fields = [
            ("namespace", self.namespace.as_ref().filter(|_| moves_namespace)),
            ("namePrefix", self.name_prefix.as_ref().filter(|_| renames)),
            ("nameSuffix", self.name_suffix.as_ref().filter(|_| renames)),
        ];
        let (field, line) = fields.into_iter().find_map(|(field, value)| Some((field, value?.0)))?;
        let old = of(object).or_else(|| object.places.first().cloned()).unwrap_or_default();
        let message =
            format!("{field} moves the SealedSecret {old} to {new}, where its items do not decrypt");
        Some(Finding { rule: MOVED, line, object: Some(old), item: None, message })
    }
}
