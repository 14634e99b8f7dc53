//! Namespaces in which the account lacks a permission: all of their objects fail, and the log says it once.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Namespaces whose missing permission is in the log already, kept until anything succeeds there. Its lock is its own, because it
/// counts namespaces and not objects.
#[derive(Debug, Default)]
pub(crate) struct MissingPermissions {
    namespaces: Mutex<BTreeSet<String>>,
}

impl MissingPermissions {
    /// Records that a permission is missing in this namespace, and returns true if the log does not contain it yet.
    pub(crate) fn add(&self, namespace: &str) -> bool {
        self.namespaces.lock().insert(namespace.to_owned())
    }

    /// Records that an attempt has succeeded in this namespace.
    pub(crate) fn forget(&self, namespace: &str) {
        self.namespaces.lock().remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_new_once_in_each_namespace_and_again_after_a_success_there() {
        let missing_permissions = MissingPermissions::default();
        assert!(missing_permissions.add("shop") && missing_permissions.add("team"));
        assert!(!missing_permissions.add("shop"));
        missing_permissions.forget("shop");
        assert!(missing_permissions.add("shop") && !missing_permissions.add("team"));
    }
}
