//! Namespaces in which the account lacks a right: that concerns all of their objects, and is told once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Where it was told, until anything succeeds there.
#[derive(Debug, Default)]
pub(super) struct Rightless {
    namespaces: Mutex<BTreeSet<String>>,
}

impl Rightless {
    /// Notes that a right is missing in this namespace, and tells whether that is news.
    pub(super) fn add(&self, namespace: &str) -> bool {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned())
    }

    /// Notes that something has succeeded in this namespace.
    pub(super) fn forget(&self, namespace: &str) {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_news_once_in_each_namespace_and_again_after_a_success_there() {
        let rightless = Rightless::default();
        assert!(rightless.add("shop") && rightless.add("team"));
        assert!(!rightless.add("shop"));
        rightless.forget("shop");
        assert!(rightless.add("shop") && !rightless.add("team"));
    }
}
