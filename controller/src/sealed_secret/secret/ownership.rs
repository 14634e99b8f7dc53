//! Ownership decision and drift repair: the relation of an existing Secret to its SealedSecret, and its target state. Pure.
//! `secret::apply` decides between repair and replacement.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use sealed_secrets_crds::SealedSecret;
use sealed_secrets_crds::names::{
    MANAGED_ANNOTATION, PATCH_ANNOTATION, RENDERED_FROM_ANNOTATION, SEALED_SECRET_API_VERSION,
    SEALED_SECRET_KIND,
};

/// Our name in the managedFields of Secrets.
pub(crate) const MANAGER: &str = "sealed-secrets-controller";

/// Label that Velero puts on every object that it restores. Only accounts that may write the Secret can set it.
const VELERO_RESTORE_LABEL: &str = "velero.io/restore-name";

/// Relation of an existing Secret to the SealedSecret of the same name (docs/compatibility.md, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Controlled by it, or handed over by the annotation `managed`.
    Ours,
    /// Controlled by a SealedSecret of the same name with another UID: restored or created anew.
    OursOutdated,
    /// Without a controller, and restored by Velero, which removes owners. Ours if its content is exactly the same.
    Restored,
    /// Annotation `patch`: items, labels and annotations are merged in.
    Patched {
        /// Annotation `managed` as well: ownership is taken too.
        owned: bool,
    },
    /// Owned by another object or user.
    Foreign,
}

/// Computes the relation of `existing`. `was_ours` means that this process has seen it controlled by this very SealedSecret, so
/// that a missing owner is drift; with another controller since, it is foreign.
pub(crate) fn relation(existing: &Secret, sealed: &SealedSecret, was_ours: bool) -> Relation {
    let is_annotated = |name: &str| is_annotated(&existing.metadata, name);
    let owned = owner_uid(existing, sealed).is_some_and(|uid| Some(uid) == sealed.metadata.uid.as_deref());
    match (is_annotated(PATCH_ANNOTATION), is_annotated(MANAGED_ANNOTATION)) {
        (true, managed) => Relation::Patched { owned: managed || owned },
        (false, true) => Relation::Ours,
        (false, false) if owned => Relation::Ours,
        (false, false) if owner_uid(existing, sealed).is_some() => Relation::OursOutdated,
        (false, false) if has_controller(existing) => Relation::Foreign,
        (false, false) if was_ours => Relation::Ours,
        (false, false) if existing.labels().contains_key(VELERO_RESTORE_LABEL) => Relation::Restored,
        (false, false) => Relation::Foreign,
    }
}

/// Returns true if the Secret has another owner and SealedSecrets only patch it.
pub(crate) fn is_patched_only(metadata: &ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let owned = controlling_sealed_secret(metadata, name).is_some();
    is_annotated(metadata, PATCH_ANNOTATION) && !is_annotated(metadata, MANAGED_ANNOTATION) && !owned
}

fn is_annotated(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata.annotations.iter().flatten().any(|(name, value)| name == annotation && value == "true")
}

/// Returns the UID of the controlling owner, if that is a SealedSecret of this name.
fn owner_uid<'a>(existing: &'a Secret, sealed: &SealedSecret) -> Option<&'a str> {
    let name = sealed.metadata.name.as_deref()?;
    controlling_sealed_secret(&existing.metadata, name).map(|owner| owner.uid.as_str())
}

/// Returns the controlling owner, if that is a SealedSecret of this name.
pub(crate) fn controlling_sealed_secret<'a>(
    metadata: &'a ObjectMeta,
    name: &str,
) -> Option<&'a OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| {
        owner.controller == Some(true)
            && owner.api_version == SEALED_SECRET_API_VERSION
            && owner.kind == SEALED_SECRET_KIND
            && owner.name == name
    })
}

fn has_controller(secret: &Secret) -> bool {
    secret.owner_references().iter().any(|owner| owner.controller == Some(true))
}

/// Merges `ours` into the owners of `existing`: owners that others have added stay, except for a controller and for another entry
/// with our UID.
fn with_owners_of_others(existing: &Secret, ours: Option<Vec<OwnerReference>>) -> Vec<OwnerReference> {
    let ours = ours.unwrap_or_default();
    let of_others = |owner: &OwnerReference| {
        owner.controller != Some(true) && ours.iter().all(|our| our.uid != owner.uid)
    };
    let stays = |owner: &&OwnerReference| ours.contains(owner) || of_others(owner);
    let mut owners: Vec<_> = existing.owner_references().iter().filter(stays).cloned().collect();
    let missing: Vec<_> = ours.into_iter().filter(|our| !owners.contains(our)).collect();
    owners.extend(missing);
    owners
}

/// Returns `existing` with data, type, labels, annotations and owner of `desired`. `immutable` of an existing Secret is never
/// changed.
fn replaced(existing: &Secret, desired: Secret) -> Secret {
    Secret {
        metadata: ObjectMeta {
            labels: desired.metadata.labels,
            annotations: desired.metadata.annotations,
            owner_references: desired.metadata.owner_references,
            ..existing.metadata.clone()
        },
        immutable: existing.immutable,
        ..desired
    }
}

/// Kind of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The SealedSecret is new or has changed: labels and annotations are replaced too.
    Replace,
    /// The present version was unsealed before: items, labels and annotations of others stay.
    Repair,
}

/// Computes the target state of `existing` for `desired`. The items named in `kept` stay, since their templates would give other
/// values. Returns `None` if the Secret is not ours and has other content: it is not touched. [`Relation::OursOutdated`] and
/// [`Relation::Restored`] are ours only if the live SealedSecret still exists.
pub(crate) fn target(
    existing: &Secret,
    desired: &Secret,
    relation: Relation,
    mode: Mode,
    kept: &BTreeSet<String>,
) -> Option<Secret> {
    let wanted = keeping(existing, kept, desired.clone());
    match (relation, mode) {
        (Relation::Ours, Mode::Repair) => Some(repaired(existing, wanted)),
        (Relation::Ours | Relation::OursOutdated, _) => Some(replaced(existing, wanted)),
        (Relation::Patched { owned }, _) => Some(patched(existing, wanted, owned)),
        // Compared with the sealed content, and not with `wanted`, which has values of the existing Secret.
        (Relation::Restored, _) => contains(existing, desired).then(|| adopted(existing, desired)),
        // With skip-set-owner-references only the content shows that the Secret is ours.
        (Relation::Foreign, _) => {
            has_same_content(existing, &with_annotation_of(existing, wanted)).then(|| existing.clone())
        }
    }
}

/// Returns `target` with the items named in `kept` as they are in `existing`.
fn keeping(existing: &Secret, kept: &BTreeSet<String>, mut target: Secret) -> Secret {
    let present = existing.data.iter().flatten().filter(|(key, _)| kept.contains(*key));
    target.data.get_or_insert_default().extend(present.map(|(key, value)| (key.clone(), value.clone())));
    target
}

/// Returns `target` without our annotation if `existing` does not have it: the original and earlier versions do not write it.
fn with_annotation_of(existing: &Secret, mut target: Secret) -> Secret {
    if !existing.annotations().contains_key(RENDERED_FROM_ANNOTATION) {
        target.annotations_mut().remove(RENDERED_FROM_ANNOTATION);
    }
    target
}

/// Returns `existing` with the owner of `desired`.
fn adopted(existing: &Secret, desired: &Secret) -> Secret {
    let mut secret = existing.clone();
    let owners = with_owners_of_others(existing, desired.metadata.owner_references.clone());
    secret.metadata.owner_references = Some(owners);
    secret
}

/// Returns true if `existing` has exactly the items and the type of `desired`, and at least its labels and annotations.
fn contains(existing: &Secret, desired: &Secret) -> bool {
    let has = |all: &BTreeMap<String, String>, some: &BTreeMap<String, String>| {
        some.iter().all(|(name, value)| all.get(name) == Some(value))
    };
    existing.data.clone().unwrap_or_default() == desired.data.clone().unwrap_or_default()
        && existing.type_ == desired.type_
        && has(existing.labels(), desired.labels())
        && has(existing.annotations(), desired.annotations())
}

/// Returns the items of `existing` that `desired` does not have and another writer has added: all except those that managedFields
/// record as ours alone.
fn items_of_others(existing: &Secret, desired: &Secret) -> BTreeMap<String, ByteString> {
    let is_ours_alone = |key: &str| {
        let field = format!("f:{key}");
        let mut owners = existing.managed_fields().iter().filter(|entry| {
            let items = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:data"));
            items.is_some_and(|items| items.get(&field).is_some())
        });
        let (first, second) = (owners.next(), owners.next());
        second.is_none() && first.is_some_and(|owner| owner.manager.as_deref() == Some(MANAGER))
    };
    let is_sealed = |key: &str| desired.data.as_ref().is_some_and(|items| items.contains_key(key));
    let items = existing.data.iter().flatten().filter(|(key, _)| !is_sealed(key) && !is_ours_alone(key));
    items.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns `existing` with data, type, owner, labels and annotations of `desired`; items, labels, annotations and owners that
/// others have added stay.
fn repaired(existing: &Secret, desired: Secret) -> Secret {
    let (mut labels, mut annotations) =
        (existing.metadata.labels.clone(), existing.metadata.annotations.clone());
    merge(&mut labels, desired.metadata.labels.clone());
    merge(&mut annotations, desired.metadata.annotations.clone());
    let owners = with_owners_of_others(existing, desired.metadata.owner_references.clone());
    let items = items_of_others(existing, &desired);
    let mut secret = replaced(existing, desired);
    secret.data.get_or_insert_default().extend(items);
    secret.metadata.owner_references = Some(owners);
    secret.metadata.labels = labels;
    secret.metadata.annotations = annotations;
    secret
}

/// Returns `existing` with data, labels, annotations and type of `desired` merged in; its owner too if `owned`.
fn patched(existing: &Secret, desired: Secret, owned: bool) -> Secret {
    let mut secret = existing.clone();
    merge(&mut secret.data, desired.data);
    merge(&mut secret.metadata.labels, desired.metadata.labels);
    merge(&mut secret.metadata.annotations, desired.metadata.annotations);
    secret.type_ = desired.type_;
    if owned {
        secret.metadata.owner_references =
            Some(with_owners_of_others(existing, desired.metadata.owner_references));
    }
    secret
}

fn merge<V>(into: &mut Option<BTreeMap<String, V>>, from: Option<BTreeMap<String, V>>) {
    into.get_or_insert_default().extend(from.unwrap_or_default());
}

/// Returns true if both have the same content and owners; an absent map equals an empty one.
pub(crate) fn has_same_content(one: &Secret, other: &Secret) -> bool {
    one.data.clone().unwrap_or_default() == other.data.clone().unwrap_or_default()
        && one.type_ == other.type_
        && one.labels() == other.labels()
        && one.annotations() == other.annotations()
        && one.owner_references() == other.owner_references()
}

#[cfg(test)]
mod tests {
    use sealed_secrets_crds::SealedSecretSpec;
    use serde_json::{Value, json};

    use super::*;

    fn sealed() -> SealedSecret {
        let mut sealed = SealedSecret::new("db", SealedSecretSpec::default());
        sealed.metadata.uid = Some("current".to_owned());
        sealed
    }

    fn owner(name: &str, uid: &str, controller: bool) -> OwnerReference {
        OwnerReference {
            api_version: SEALED_SECRET_API_VERSION.to_owned(),
            kind: SEALED_SECRET_KIND.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            controller: Some(controller),
            block_owner_deletion: None,
        }
    }

    fn existing(annotations: &[&str], owner: Option<OwnerReference>) -> Secret {
        let annotations = annotations.iter().map(|name| ((*name).to_owned(), "true".to_owned())).collect();
        let metadata = ObjectMeta {
            annotations: Some(annotations),
            owner_references: Some(owner.into_iter().collect()),
            ..ObjectMeta::default()
        };
        Secret { metadata, ..Secret::default() }
    }

    #[test]
    fn a_secret_is_ours_by_its_owner_or_by_its_annotations_and_by_nothing_else() {
        let other_kind = OwnerReference { kind: "Deployment".to_owned(), ..owner("db", "current", true) };
        let other_group =
            OwnerReference { api_version: "example.com/v1".to_owned(), ..owner("db", "current", true) };
        let cases = [
            (existing(&[], Some(owner("db", "current", true))), Relation::Ours),
            (existing(&[], Some(owner("db", "former", true))), Relation::OursOutdated),
            (existing(&[], Some(owner("other", "current", true))), Relation::Foreign),
            (existing(&[], Some(owner("db", "current", false))), Relation::Foreign),
            (existing(&[], Some(other_kind)), Relation::Foreign),
            (existing(&[], Some(other_group)), Relation::Foreign),
            (existing(&[], None), Relation::Foreign),
            (existing(&[MANAGED_ANNOTATION], None), Relation::Ours),
            (existing(&[PATCH_ANNOTATION], None), Relation::Patched { owned: false }),
            (existing(&[PATCH_ANNOTATION, MANAGED_ANNOTATION], None), Relation::Patched { owned: true }),
            (
                existing(&[PATCH_ANNOTATION], Some(owner("db", "current", true))),
                Relation::Patched { owned: true },
            ),
        ];
        for (secret, expected) in cases {
            assert_eq!(relation(&secret, &sealed(), false), expected, "{:?}", secret.metadata);
        }
    }

    #[test]
    fn only_the_literal_true_hands_a_secret_over() {
        let mut secret = existing(&[MANAGED_ANNOTATION], None);
        secret.annotations_mut().insert(MANAGED_ANNOTATION.to_owned(), "yes".to_owned());
        assert_eq!(relation(&secret, &sealed(), false), Relation::Foreign);
    }

    #[test]
    fn a_secret_that_was_ours_stays_ours_unless_somebody_else_controls_it() {
        let cases = [
            (existing(&[], None), Relation::Ours),
            (existing(&[], Some(owner("other", "x", false))), Relation::Ours),
            (existing(&[], Some(owner("other", "x", true))), Relation::Foreign),
            (existing(&[], Some(owner("db", "former", true))), Relation::OursOutdated),
            (existing(&[PATCH_ANNOTATION], None), Relation::Patched { owned: false }),
        ];
        for (secret, expected) in cases {
            assert_eq!(relation(&secret, &sealed(), true), expected, "{:?}", secret.metadata);
        }
    }

    #[test]
    fn a_repair_keeps_the_owners_of_others_and_puts_ours_back() {
        let (ours, theirs) = (owner("db", "current", true), owner("app", "theirs", false));
        let owned_by = |owners: &[&OwnerReference]| {
            let mut secret = existing(&[], None);
            secret.metadata.owner_references = Some(owners.iter().copied().cloned().collect());
            secret
        };
        let altered = OwnerReference { controller: None, ..ours.clone() };
        let usurper = owner("app", "usurper", true);
        let cases = [
            (owned_by(&[&theirs]), vec![&theirs, &ours]),
            (owned_by(&[&ours, &theirs]), vec![&ours, &theirs]),
            (owned_by(&[&altered, &theirs]), vec![&theirs, &ours]),
            (owned_by(&[&usurper]), vec![&ours]),
        ];
        for (secret, expected) in cases {
            let repaired = repaired(&secret, owned_by(&[&ours]));
            assert_eq!(repaired.owner_references().iter().collect::<Vec<_>>(), expected);
        }
    }

    fn with_item(key: &str, value: &str) -> Secret {
        let data = BTreeMap::from([(key.to_owned(), ByteString(value.as_bytes().to_vec()))]);
        Secret { data: Some(data), type_: Some("Opaque".to_owned()), ..Secret::default() }
    }

    #[test]
    fn replacing_drops_other_items_and_patching_keeps_them() {
        let keys = |secret: &Secret| secret.data.clone().unwrap_or_default().into_keys().collect::<Vec<_>>();
        assert_eq!(keys(&replaced(&with_item("old", "1"), with_item("new", "2"))), ["new"]);
        assert_eq!(keys(&patched(&with_item("old", "1"), with_item("new", "2"), false)), ["new", "old"]);
    }

    #[test]
    fn only_named_items_that_are_there_are_kept() {
        let kept = BTreeSet::from(["token".to_owned(), "absent".to_owned()]);
        let target = keeping(&with_item("token", "old"), &kept, with_item("token", "new"));
        assert_eq!(target, with_item("token", "old"));
        let target = keeping(&with_item("other", "old"), &kept, with_item("token", "new"));
        assert_eq!(target, with_item("token", "new"));
    }

    #[test]
    fn a_value_that_is_random_each_time_stays_while_the_sealed_secret_does_whosever_the_secret_is() {
        let (existing, desired) = (with_item("token", "old"), with_item("token", "new"));
        let kept = BTreeSet::from(["token".to_owned()]);
        let ours = [Relation::Ours, Relation::OursOutdated, Relation::Patched { owned: false }];
        for relation in ours.into_iter().chain([Relation::Foreign]) {
            let target = target(&existing, &desired, relation, Mode::Repair, &kept).unwrap();
            assert!(has_same_content(&target, &existing), "{relation:?}");
        }
        for relation in ours {
            let target = target(&existing, &desired, relation, Mode::Replace, &BTreeSet::new()).unwrap();
            assert_eq!(target.data, desired.data, "{relation:?}");
        }
        assert_eq!(target(&existing, &desired, Relation::Foreign, Mode::Replace, &BTreeSet::new()), None);
    }

    #[test]
    fn a_secret_of_the_original_with_random_values_and_without_an_owner_stays_in_sync() {
        let (existing, mut desired) = (with_item("token", "old"), with_item("token", "new"));
        desired.annotations_mut().insert(RENDERED_FROM_ANNOTATION.to_owned(), "u/1/strict".to_owned());
        let kept = BTreeSet::from(["token".to_owned()]);
        let same = target(&existing, &desired, Relation::Foreign, Mode::Repair, &kept);
        assert_eq!(same, Some(existing));
    }

    #[test]
    fn a_repair_keeps_the_labels_of_others_and_puts_ours_back() {
        let labelled = |labels: &[(&str, &str)]| {
            let mut secret = with_item("a", "1");
            secret.labels_mut().extend(labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
            secret
        };
        let repaired =
            repaired(&labelled(&[("ours", "changed"), ("theirs", "x")]), labelled(&[("ours", "y")]));
        assert_eq!(repaired.labels(), labelled(&[("ours", "y"), ("theirs", "x")]).labels());
    }

    #[test]
    fn replacing_keeps_the_identity_of_the_existing_object() {
        let mut secret = with_item("old", "1");
        secret.metadata.uid = Some("u".to_owned());
        secret.metadata.resource_version = Some("7".to_owned());
        let replaced = replaced(&secret, with_item("new", "2"));
        assert_eq!(replaced.metadata.uid.as_deref(), Some("u"));
        assert_eq!(replaced.metadata.resource_version.as_deref(), Some("7"));
    }

    /// A Secret as Velero restores it: without owners, and with its label.
    fn restored(items: &[(&str, &str)]) -> Secret {
        let items = items.iter().map(|&(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())));
        let mut secret = Secret { data: Some(items.collect()), ..with_item("unused", "") };
        secret.labels_mut().insert(VELERO_RESTORE_LABEL.to_owned(), "nightly".to_owned());
        secret
    }

    #[test]
    fn a_restored_secret_is_adopted_if_it_has_exactly_the_sealed_content_and_no_controller() {
        let ours = owner("db", "current", true);
        let mut desired = with_item("password", "1");
        desired.metadata.owner_references = Some(vec![ours.clone()]);
        let same = restored(&[("password", "1")]);
        let with_owner = |owner: OwnerReference| {
            let mut secret = same.clone();
            secret.metadata.owner_references = Some(vec![owner]);
            secret
        };
        let mut unlabelled = same.clone();
        unlabelled.labels_mut().clear();
        let cases = [
            ("the same", same.clone(), Some(vec![ours.clone()])),
            (
                "with an owner beside",
                with_owner(owner("app", "theirs", false)),
                Some(vec![owner("app", "theirs", false), ours]),
            ),
            ("controlled by somebody", with_owner(owner("app", "theirs", true)), None),
            ("not restored", unlabelled, None),
            ("another value", restored(&[("password", "2")]), None),
            ("an item more", restored(&[("password", "1"), ("further", "")]), None),
            ("an item less", restored(&[]), None),
            ("another type", Secret { type_: Some("other".to_owned()), ..same.clone() }, None),
        ];
        let volatile = (Mode::Repair, BTreeSet::from(["password".to_owned()]));
        for (what, existing, expected) in cases {
            for (mode, kept) in [&(Mode::Replace, BTreeSet::new()), &volatile] {
                let relation = relation(&existing, &sealed(), false);
                let target = target(&existing, &desired, relation, *mode, kept);
                // A Secret that is not adopted may count as synced, and then stays unchanged.
                let owners = target
                    .filter(|target| *target != existing)
                    .map(|target| target.owner_references().to_vec());
                assert_eq!(owners, expected, "{what}");
            }
        }
    }

    #[test]
    fn a_restored_secret_with_random_values_or_other_labels_is_not_adopted() {
        let existing = restored(&[("password", "a value that nobody knows")]);
        let kept = BTreeSet::from(["password".to_owned()]);
        let random = with_item("password", "random");
        assert_eq!(target(&existing, &random, Relation::Restored, Mode::Repair, &kept), None);
        let mut labelled = with_item("password", "a value that nobody knows");
        labelled.labels_mut().insert("team".to_owned(), "a".to_owned());
        assert_eq!(target(&existing, &labelled, Relation::Restored, Mode::Replace, &BTreeSet::new()), None);
    }

    /// A Secret with these items, each recorded as owned by these managers.
    fn managed(items: &[(&str, &[&str])]) -> Secret {
        let data: serde_json::Map<String, Value> =
            items.iter().map(|(key, _)| ((*key).to_owned(), json!("AAAA"))).collect();
        let entries = items.iter().flat_map(|(key, managers)| {
            let fields = json!({"f:data": {".": {}, format!("f:{key}"): {}}});
            managers
                .iter()
                .map(move |manager| json!({"manager": manager, "operation": "Update", "fieldsV1": fields}))
        });
        let metadata = json!({"managedFields": entries.collect::<Vec<_>>()});
        serde_json::from_value(json!({"metadata": metadata, "data": data, "type": "Opaque"})).unwrap()
    }

    #[test]
    fn a_repair_keeps_the_items_of_others_and_a_change_of_the_spec_does_not() {
        let existing = managed(&[
            ("sealed", &[MANAGER]),
            ("left-over", &[MANAGER]),
            ("shared", &[MANAGER, "argocd-server"]),
            ("theirs", &["argocd-server"]),
            ("unrecorded", &[]),
        ]);
        let desired = with_item("sealed", "1");
        let keys = |mode: Mode| {
            let target = target(&existing, &desired, Relation::Ours, mode, &BTreeSet::new()).unwrap();
            target.data.unwrap().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(keys(Mode::Repair), ["sealed", "shared", "theirs", "unrecorded"]);
        assert_eq!(keys(Mode::Replace), ["sealed"]);
    }
}
