//! Which version of each Secret is stored, without its content.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::api::ObjectMeta;

use super::gate::Gate;
use super::ownership::{controlling_sealed_secret, is_patched_only};

/// Namespace and name.
pub(super) type Key = (String, String);

/// The very state of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) uid: String,
    pub(super) resource_version: String,
}

impl Version {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// What is known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    version: Version,
    /// UID of the SealedSecret of its name that has controlled it, as this process has seen.
    owner: Option<String>,
    /// It is somebody else's, and SealedSecrets only add to it.
    is_patched_only: bool,
}

/// What the watch of Secrets has shown of those that belong to a SealedSecret, and what we have written ourselves.
#[derive(Debug)]
pub(super) struct Versions {
    state: Mutex<State>,
    /// Open when the first list of Secrets is complete, or cannot be had.
    pub(super) listed: Gate,
    watched: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Key, Known>,
    /// Secrets of others that SealedSecrets only add to, and that are gone: they are theirs to make again.
    awaited: HashSet<Key>,
    /// Secrets that we are about to write, and whether the watch has shown anything of them meanwhile.
    writing: HashMap<Key, bool>,
}

/// A Secret that we are about to write, from before it is first looked at.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    versions: &'a Versions,
    key: Key,
}

impl Writing<'_> {
    /// Notes the state that our write has left, unless the watch has shown anything since: that may be later.
    pub(super) fn done(self, metadata: &ObjectMeta) {
        let mut state = self.versions.lock();
        if state.writing.get(&self.key) == Some(&false) {
            state.note(self.key.clone(), metadata);
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.versions.lock().writing.remove(&self.key);
    }
}

impl Versions {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), listed: Gate::closed(), watched: AtomicBool::new(false) }
    }

    /// Whether Secrets may be watched, so that their changes are seen.
    pub(super) fn are_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(super) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    pub(super) fn get(&self, key: &Key) -> Option<Version> {
        self.lock().known.get(key).map(|known| known.version.clone())
    }

    /// Begins to write a Secret; one is written by one attempt at a time.
    pub(super) fn writing(&self, key: Key) -> Writing<'_> {
        self.lock().writing.insert(key.clone(), false);
        Writing { versions: self, key }
    }

    /// Notes the state of a Secret that the watch shows, and tells whether it is another one than before. A Secret that has had
    /// an owner is remembered to have had it.
    pub(super) fn shown(&self, key: Key, metadata: &ObjectMeta) -> bool {
        let mut state = self.lock();
        state.interfere(&key);
        state.note(key, metadata)
    }

    /// Whether this process has seen the Secret with UID `secret` controlled by the SealedSecret with UID `owner`.
    pub(super) fn has_been_owned(&self, key: &Key, secret: &str, owner: &str) -> bool {
        let is_it = |known: &Known| known.version.uid == secret && known.owner.as_deref() == Some(owner);
        self.lock().known.get(key).is_some_and(is_it)
    }

    /// Notes that the Secret is gone.
    pub(super) fn gone(&self, key: &Key) {
        let mut state = self.lock();
        state.interfere(key);
        let known = state.known.remove(key);
        if known.is_some_and(|known| known.is_patched_only) {
            state.awaited.insert(key.clone());
        }
    }

    /// Whether the Secret is gone, and its owner is awaited to make it again.
    pub(super) fn is_awaited(&self, key: &Key) -> bool {
        self.lock().awaited.contains(key)
    }

    /// Forgets a Secret whose SealedSecret is gone.
    pub(super) fn forget(&self, key: &Key) {
        let mut state = self.lock();
        state.interfere(key);
        state.known.remove(key);
        state.awaited.remove(key);
    }

    /// Notes that every Secret is gone that `is_there` does not hold for, and returns their keys.
    pub(super) fn retain(&self, is_there: impl Fn(&Key) -> bool) -> Vec<Key> {
        let gone: Vec<Key> = self.lock().known.keys().filter(|key| !is_there(key)).cloned().collect();
        for key in &gone {
            self.gone(key);
        }
        gone
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, key: Key, metadata: &ObjectMeta) -> bool {
        let version = Version::of(metadata);
        let owner = controlling_sealed_secret(metadata, &key.1).map(|owner| owner.uid.clone());
        let before = self.known.get(&key).filter(|known| known.version.uid == version.uid);
        let changed = before.is_none_or(|known| known.version != version);
        let owner = owner.or_else(|| before?.owner.clone());
        let is_patched_only = is_patched_only(metadata);
        self.awaited.remove(&key);
        self.known.insert(key, Known { version, owner, is_patched_only });
        changed
    }

    fn interfere(&mut self, key: &Key) {
        if let Some(interfered) = self.writing.get_mut(key) {
            *interfered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use sealed_secrets_crds::names::{PATCH_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};

    use super::*;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

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
            name: "db".to_owned(),
            uid: "owner".to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        ObjectMeta { owner_references: Some(vec![owner]), ..version(number) }
    }

    #[test]
    fn a_secret_that_has_had_an_owner_is_remembered_to_have_had_it() {
        let versions = Versions::new();
        versions.shown(key("db"), &owned("1"));
        versions.shown(key("db"), &version("2"));
        assert!(versions.has_been_owned(&key("db"), "u", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "another", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "u", "another"));
        versions.shown(key("db"), &ObjectMeta { uid: Some("another".to_owned()), ..version("3") });
        assert!(!versions.has_been_owned(&key("db"), "another", "owner"));
        assert!(!versions.has_been_owned(&key("db"), "u", "owner"));
    }

    #[test]
    fn the_same_version_again_is_no_change() {
        let versions = Versions::new();
        assert!(versions.shown(key("db"), &version("1")));
        assert!(!versions.shown(key("db"), &version("1")));
        assert!(versions.shown(key("db"), &version("2")));
    }

    type Show = fn(&Versions);

    #[test]
    fn what_the_watch_shows_during_a_write_is_not_lost() {
        let versions = Versions::new();
        let shown: [(&str, Show, Option<&str>); 4] = [
            ("nothing", |_| {}, Some("10")),
            ("an edit", |versions| assert!(versions.shown(key("db"), &version("11"))), Some("11")),
            ("its deletion", |versions| versions.gone(&key("db")), None),
            ("a list without it", |versions| drop(versions.retain(|_| false)), None),
        ];
        for (what, show, expected) in shown {
            versions.shown(key("db"), &version("9"));
            let writing = versions.writing(key("db"));
            show(&versions);
            writing.done(&version("10"));
            let known = versions.get(&key("db")).map(|version| version.resource_version);
            assert_eq!(known.as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn a_write_that_failed_leaves_nothing_behind() {
        let versions = Versions::new();
        drop(versions.writing(key("db")));
        assert!(versions.lock().writing.is_empty() && versions.get(&key("db")).is_none());
    }

    #[test]
    fn a_secret_of_others_that_is_gone_is_awaited_until_it_is_there_again() {
        let (versions, annotation) = (Versions::new(), (PATCH_ANNOTATION.to_owned(), "true".to_owned()));
        let patched = ObjectMeta { annotations: Some([annotation].into()), ..version("1") };
        versions.shown(key("db"), &patched);
        versions.shown(key("web"), &version("1"));
        versions.gone(&key("db"));
        versions.retain(|_| false);
        assert!(versions.is_awaited(&key("db")) && !versions.is_awaited(&key("web")));
        versions.shown(key("db"), &patched);
        assert!(!versions.is_awaited(&key("db")));
        versions.retain(|_| false);
        assert!(versions.is_awaited(&key("db")), "a deletion that a watch has missed");
        versions.forget(&key("db"));
        assert!(!versions.is_awaited(&key("db")));
    }

    #[test]
    fn what_a_new_list_does_not_hold_is_gone() {
        let versions = Versions::new();
        versions.shown(key("db"), &version("1"));
        versions.shown(key("web"), &version("1"));
        assert_eq!(versions.retain(|known| *known == key("web")), [key("db")]);
        assert_eq!(
            (versions.get(&key("db")), versions.get(&key("web"))),
            (None, Some(Version::of(&version("1"))))
        );
    }
}
