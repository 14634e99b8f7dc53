//! Record of one Secret: the version that is stored, without its content.

use kube::api::ObjectMeta;

use super::ownership::{controlling_sealed_secret, is_patched_only};

/// Longest UID of an object. Anybody who may write a Secret may write an owner with a longer one, which is nobody's.
const MAX_UID_LENGTH: usize = 64;

/// UID and resourceVersion of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretVersion {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl SecretVersion {
    pub(crate) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// History of a SealedSecret before this attempt.
#[derive(Debug)]
pub(crate) struct Before {
    /// The present version was unsealed before, so that a write is a repair.
    pub(crate) has_unsealed: bool,
    /// Any version was tried before, so that the Secret may have existed.
    pub(crate) is_known: bool,
    /// The version of the Secret after the last success.
    pub(crate) version_after_success: Option<SecretVersion>,
}

/// State of a SealedSecret's Secret, as far as the watch of Secrets has delivered it or this process has written it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretRecord {
    stored: Option<StoredSecret>,
    /// The Secret was only patched by us and was deleted: its owner must recreate it.
    is_deleted_externally: bool,
    write: Option<Write>,
}

/// A Secret that exists.
#[derive(Debug, PartialEq, Eq)]
struct StoredSecret {
    version: SecretVersion,
    /// UID of the SealedSecret of the same name that has controlled it while this process watched.
    owner: Option<String>,
    /// It has another owner, and SealedSecrets only patch it.
    is_patched_only: bool,
}

/// A write that is in flight, from before the Secret is first read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    /// The watch has delivered nothing since the write began.
    Undisturbed,
    /// The watch has delivered a version, maybe a later one than that of the write.
    Superseded,
}

impl SecretRecord {
    pub(crate) fn version(&self) -> Option<&SecretVersion> {
        self.stored.as_ref().map(|stored| &stored.version)
    }

    /// Begins a write. One attempt at a time writes a Secret.
    pub(crate) fn begin_write(&mut self) {
        self.write = Some(Write::Undisturbed);
    }

    /// Records the version that the write has left, unless the watch has delivered anything since [`Self::begin_write`]: that may
    /// be later.
    pub(crate) fn complete_write(&mut self, name: &str, metadata: &ObjectMeta) {
        if self.write == Some(Write::Undisturbed) {
            self.store(name, metadata);
        }
    }

    /// Ends a write, whether it was completed or not.
    pub(crate) fn end_write(&mut self) {
        self.write = None;
    }

    /// Records a version that the watch delivers, and returns true if it differs from the one before.
    pub(crate) fn observe(&mut self, name: &str, metadata: &ObjectMeta) -> bool {
        self.overtake_write();
        self.store(name, metadata)
    }

    /// Records a deletion.
    pub(crate) fn observe_deletion(&mut self) {
        self.overtake_write();
        if self.stored.take().is_some_and(|stored| stored.is_patched_only) {
            self.is_deleted_externally = true;
        }
    }

    /// Returns true if this process has seen the Secret with UID `secret` controlled by the SealedSecret with UID `owner`.
    pub(crate) fn has_been_owned(&self, secret: &str, owner: &str) -> bool {
        let is_it =
            |stored: &StoredSecret| stored.version.uid == secret && stored.owner.as_deref() == Some(owner);
        self.stored.as_ref().is_some_and(is_it)
    }

    /// Returns true if the Secret was deleted and its owner must recreate it.
    pub(crate) fn is_deleted_externally(&self) -> bool {
        self.is_deleted_externally
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the version is another one than before. The owner is kept for as long as the UID is the same.
    fn store(&mut self, name: &str, metadata: &ObjectMeta) -> bool {
        let version = SecretVersion::of(metadata);
        let owner = controlling_sealed_secret(metadata, name).map(|owner| &owner.uid);
        let owner = owner.filter(|uid| uid.len() <= MAX_UID_LENGTH).cloned();
        let before = self.stored.take().filter(|stored| stored.version.uid == version.uid);
        let changed = before.as_ref().is_none_or(|stored| stored.version != version);
        let owner = owner.or_else(|| before?.owner);
        self.is_deleted_externally = false;
        self.stored = Some(StoredSecret { version, owner, is_patched_only: is_patched_only(metadata) });
        changed
    }

    fn overtake_write(&mut self) {
        if let Some(write) = &mut self.write {
            *write = Write::Superseded;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use sealed_secrets_crds::names::{PATCH_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};

    use super::*;

    const NAME: &str = "db";

    fn version(number: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".to_owned()),
            resource_version: Some(number.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn owned(number: &str) -> ObjectMeta {
        let owner = OwnerReference {
            api_version: SEALED_SECRET_API_VERSION.to_owned(),
            kind: SEALED_SECRET_KIND.to_owned(),
            name: NAME.to_owned(),
            uid: "owner".to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        ObjectMeta { owner_references: Some(vec![owner]), ..version(number) }
    }

    #[test]
    fn a_secret_that_has_had_an_owner_is_remembered_to_have_had_it() {
        let mut record = SecretRecord::default();
        record.observe(NAME, &owned("1"));
        record.observe(NAME, &version("2"));
        assert!(record.has_been_owned("u", "owner"));
        assert!(!record.has_been_owned("another", "owner"));
        assert!(!record.has_been_owned("u", "another"));
        record.observe(NAME, &ObjectMeta { uid: Some("another".to_owned()), ..version("3") });
        assert!(!record.has_been_owned("another", "owner"));
        assert!(!record.has_been_owned("u", "owner"));
    }

    #[test]
    fn an_owner_whose_uid_is_longer_than_any_is_not_kept() {
        let mut record = SecretRecord::default();
        let mut secret = owned("1");
        let uid = "x".repeat(MAX_UID_LENGTH + 1);
        secret.owner_references.iter_mut().flatten().for_each(|owner| owner.uid.clone_from(&uid));
        record.observe(NAME, &secret);
        assert!(record.version().is_some() && !record.has_been_owned("u", &uid));
    }

    #[test]
    fn the_same_version_again_is_no_change() {
        let mut record = SecretRecord::default();
        assert!(record.observe(NAME, &version("1")));
        assert!(!record.observe(NAME, &version("1")));
        assert!(record.observe(NAME, &version("2")));
    }

    type Show = fn(&mut SecretRecord);

    #[test]
    fn an_event_of_the_watch_during_a_write_is_not_lost() {
        let cases: [(&str, Show, Option<&str>); 3] = [
            ("nothing", |_| {}, Some("10")),
            ("an edit", |record| assert!(record.observe(NAME, &version("11"))), Some("11")),
            ("its deletion", SecretRecord::observe_deletion, None),
        ];
        for (what, show, expected) in cases {
            let mut record = SecretRecord::default();
            record.observe(NAME, &version("9"));
            record.begin_write();
            show(&mut record);
            record.complete_write(NAME, &version("10"));
            record.end_write();
            let known = record.version().map(|version| version.resource_version.as_str());
            assert_eq!(known, expected, "{what}");
        }
    }

    #[test]
    fn a_write_that_failed_leaves_nothing_behind() {
        let mut record = SecretRecord::default();
        record.begin_write();
        record.end_write();
        assert!(record.is_empty());
    }

    #[test]
    fn a_secret_of_others_that_is_gone_is_awaited_until_it_is_there_again() {
        let annotation = (PATCH_ANNOTATION.to_owned(), "true".to_owned());
        let patched = ObjectMeta { annotations: Some([annotation].into()), ..version("1") };
        let (mut record, mut other) = (SecretRecord::default(), SecretRecord::default());
        record.observe(NAME, &patched);
        other.observe("web", &version("1"));
        record.observe_deletion();
        other.observe_deletion();
        assert!(record.is_deleted_externally() && !other.is_deleted_externally());
        record.observe(NAME, &patched);
        assert!(!record.is_deleted_externally());
    }
}
