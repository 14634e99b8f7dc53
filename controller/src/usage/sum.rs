//! The key usage of all SealedSecrets together.

use std::collections::BTreeMap;

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::rotation::UsageReport;

/// The SealedSecrets of the cluster that need one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyUsage {
    /// SealedSecrets with at least one item that this key decrypts.
    pub(crate) objects: u64,
    /// Items that this key decrypts.
    pub(crate) items: u64,
}

/// The usage of all keys in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Keys that decrypt at least one item.
    pub(crate) by_key: BTreeMap<Fingerprint, KeyUsage>,
    /// Number of SealedSecrets, including those that do not decrypt.
    pub(crate) objects: u64,
    /// Items of the objects that were tried, including those that do not decrypt.
    pub(crate) items: u64,
    /// Items that no key of the ring decrypts; all items of an object that is not a well-formed SealedSecret.
    pub(crate) undecryptable_items: u64,
    /// True if the SealedSecrets were listed and each was recorded. Until then the counts are too small.
    pub(crate) complete: bool,
    /// The report on which the removal of keys is decided: complete only if this process itself has tried every item of
    /// the cluster, and every key that decrypted one is still on the ring. Also present as soon as it is known that it
    /// cannot be complete.
    pub(crate) report: Option<UsageReport>,
}

impl Usage {
    /// Returns the number of items that decrypt, but not with this key; 0 without a primary key.
    pub(crate) fn stale_items(&self, primary: Option<&Fingerprint>) -> u64 {
        let others = self.by_key.iter().filter(|(key, _)| primary.is_some_and(|primary| primary != *key));
        others.map(|(_, usage)| usage.items).sum()
    }
}
