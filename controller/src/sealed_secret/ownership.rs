//! Whose an existing Secret is, and what becomes of it: pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use sealed_secrets_crds::SealedSecret;
use sealed_secrets_crds::names::{
    MANAGED_ANNOTATION, PATCH_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND,
};

/// Our name in the managedFields of Secrets.
pub(super) const MANAGER: &str = "sealed-secrets-controller";

/// What Velero puts on every object that it restores. Nobody can put it there who may not write the Secret itself.
const VELERO_RESTORE_LABEL: &str = "velero.io/restore-name";

/// What an existing Secret is to a SealedSecret of the same name (compatibility 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Controlled by it, or handed over by the annotation `managed`.
    Ours,
    /// Controlled by a SealedSecret of the same name with another UID: restored or created anew.
    OursOutdated,
    /// Without any controller, and Velero has made it: a restore takes owners away. Ours if it says exactly the same.
    Restored,
    /// Annotation `patch`: items, labels and annotations are merged in.
    Patched {
        /// Annotation `managed` as well: ownership is taken too.
        owned: bool,
    },
    /// Somebody else's.
    Foreign,
}

/// Tells whose `existing` is. `was_ours` says that this process has seen it controlled by this very SealedSecret, so that a
/// missing owner is drift; where it has got another controller since, it is somebody else's.
pub(super) fn relation(existing: &Secret, sealed: &SealedSecret, was_ours: bool) -> Relation {
    let says = |name: &str| says(&existing.metadata, name);
    let owned = owner_uid(existing, sealed).is_some_and(|uid| Some(uid) == sealed.metadata.uid.as_deref());
    match (says(PATCH_ANNOTATION), says(MANAGED_ANNOTATION)) {
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

/// Whether a Secret is somebody else's to which a SealedSecret only adds.
pub(super) fn is_patched_only(metadata: &ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let owned = controlling_sealed_secret(metadata, name).is_some();
    says(metadata, PATCH_ANNOTATION) && !says(metadata, MANAGED_ANNOTATION) && !owned
}

fn says(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata.annotations.iter().flatten().any(|(name, value)| name == annotation && value == "true")
}

/// The UID of the controlling owner, where that is a SealedSecret of this name.
fn owner_uid<'a>(existing: &'a Secret, sealed: &SealedSecret) -> Option<&'a str> {
    let name = sealed.metadata.name.as_deref()?;
    controlling_sealed_secret(&existing.metadata, name).map(|owner| owner.uid.as_str())
}

/// The controlling owner, where that is a SealedSecret of this name.
pub(super) fn controlling_sealed_secret<'a>(
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

/// The owners that `existing` should have when `ours` are those that we set: owners that others have added stay, but for one
/// that controls it or says something else of us.
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

/// `existing` with everything that `desired` says: data, type, labels, annotations and owner replaced. `immutable` of an
/// existing Secret is never changed.
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

/// What an existing Secret is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The SealedSecret is new or has changed: labels and annotations are replaced too.
    Replace,
    /// It has opened before in this form: items, labels and annotations of others stay.
    Repair {
        /// Keys of items whose templates give another value each time: those of an existing Secret stay.
        volatile: BTreeSet<String>,
    },
}

/// What `existing` should become when `desired` is wanted. `None` where it is not ours and says something else: it is left
/// alone. One of [`Relation::OursOutdated`] or [`Relation::Restored`] is ours if the SealedSecret is still there.
pub(super) fn target(existing: &Secret, desired: &Secret, relation: Relation, mode: &Mode) -> Option<Secret> {
    let wanted = match mode {
        Mode::Repair { volatile } => keeping(existing, volatile, desired.clone()),
        Mode::Replace => desired.clone(),
    };
    match (relation, mode) {
        (Relation::Ours, Mode::Repair { .. }) => Some(repaired(existing, wanted)),
        (Relation::Ours | Relation::OursOutdated, _) => Some(replaced(existing, wanted)),
        (Relation::Patched { owned }, _) => Some(patched(existing, wanted, owned)),
        // Compared with what was sealed, and not with `wanted`: that has values of the existing Secret.
        (Relation::Restored, _) => says_no_less(existing, desired).then(|| adopted(existing, desired)),
        // With skip-set-owner-references nothing marks the Secret as ours but its content.
        (Relation::Foreign, _) => says_the_same(existing, &wanted).then(|| existing.clone()),
    }
}

/// `target` with the items named in `kept` as they are in `existing`: their templates would give another value each time.
fn keeping(existing: &Secret, kept: &BTreeSet<String>, mut target: Secret) -> Secret {
    let present = existing.data.iter().flatten().filter(|(key, _)| kept.contains(*key));
    target.data.get_or_insert_default().extend(present.map(|(key, value)| (key.clone(), value.clone())));
    target
}

/// `existing` with the owner of `desired`.
fn adopted(existing: &Secret, desired: &Secret) -> Secret {
    let mut secret = existing.clone();
    let owners = with_owners_of_others(existing, desired.metadata.owner_references.clone());
    secret.metadata.owner_references = Some(owners);
    secret
}

/// Whether `existing` has the items and the type of `desired`, no more and no less, and at least its labels and annotations.
fn says_no_less(existing: &Secret, desired: &Secret) -> bool {
    let has = |all: &BTreeMap<String, String>, some: &BTreeMap<String, String>| {
        some.iter().all(|(name, value)| all.get(name) == Some(value))
    };
    existing.data.clone().unwrap_or_default() == desired.data.clone().unwrap_or_default()
        && existing.type_ == desired.type_
        && has(existing.labels(), desired.labels())
        && has(existing.annotations(), desired.annotations())
}

/// The items of `existing` that `desired` does not have and that somebody else has added: all but those that are recorded as
/// ours alone.
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

/// `existing` with its data, type and owner as `desired` says, and the labels and annotations of `desired` as well: those, the
/// items and the owners, that others have added stay.
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

/// `existing` with the data, labels and annotations of `desired` merged in, and its type; its owner too if `owned`.
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

/// Whether both say the same: an absent map is an empty one.
pub(super) fn says_the_same(one: &Secret, other: &Secret) -> bool {
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
        let repair = Mode::Repair { volatile: BTreeSet::from(["token".to_owned()]) };
        let ours = [Relation::Ours, Relation::OursOutdated, Relation::Patched { owned: false }];
        for relation in ours.into_iter().chain([Relation::Foreign]) {
            let target = target(&existing, &desired, relation, &repair).unwrap();
            assert!(says_the_same(&target, &existing), "{relation:?}");
        }
        for relation in ours {
            let target = target(&existing, &desired, relation, &Mode::Replace).unwrap();
            assert_eq!(target.data, desired.data, "{relation:?}");
        }
        assert_eq!(target(&existing, &desired, Relation::Foreign, &Mode::Replace), None);
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
    fn a_restored_secret_is_adopted_if_it_says_exactly_what_was_sealed_and_nobody_controls_it() {
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
        let volatile = Mode::Repair { volatile: BTreeSet::from(["password".to_owned()]) };
        for (what, existing, expected) in cases {
            for mode in [&Mode::Replace, &volatile] {
                let relation = relation(&existing, &sealed(), false);
                let target = target(&existing, &desired, relation, mode);
                // One that is not adopted may count as synced, and then stays as it is.
                let owners = target
                    .filter(|target| *target != existing)
                    .map(|target| target.owner_references().to_vec());
                assert_eq!(owners, expected, "{what}");
            }
        }
    }

    #[test]
    fn nobody_adopts_a_restored_secret_whose_content_he_lets_be_random_or_whose_labels_differ() {
        let existing = restored(&[("password", "a value that nobody knows")]);
        let random = Mode::Repair { volatile: BTreeSet::from(["password".to_owned()]) };
        assert_eq!(target(&existing, &with_item("password", "random"), Relation::Restored, &random), None);
        let mut labelled = with_item("password", "a value that nobody knows");
        labelled.labels_mut().insert("team".to_owned(), "a".to_owned());
        assert_eq!(target(&existing, &labelled, Relation::Restored, &Mode::Replace), None);
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
        let keys = |mode: &Mode| {
            let target = target(&existing, &desired, Relation::Ours, mode).unwrap();
            target.data.unwrap().into_keys().collect::<Vec<_>>()
        };
        let repair = Mode::Repair { volatile: BTreeSet::new() };
        assert_eq!(keys(&repair), ["sealed", "shared", "theirs", "unrecorded"]);
        assert_eq!(keys(&Mode::Replace), ["sealed"]);
    }
}
