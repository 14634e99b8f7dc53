//! Findings, and the settings that they depend on.

use super::rules::Rule;
use crate::crypto::{Fingerprint, PublicKey};

/// A problem in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The broken rule.
    pub rule: &'static Rule,
    /// Line of the file, from 1.
    pub line: usize,
    /// Namespace and name of the object, if the problem is about one.
    pub object: Option<String>,
    /// Key of the item, if the problem is about one.
    pub item: Option<String>,
    /// The problem in one sentence.
    pub message: String,
}

/// Settings of the project for a file.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The key of the file's cluster.
    pub key: Option<ExpectedKey>,
    /// The namespace of objects that name none.
    pub namespace: Option<String>,
}

/// The key that items should be sealed with.
#[derive(Clone, Debug)]
pub struct ExpectedKey {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The key itself, if its certificate is at hand.
    pub key: Option<PublicKey>,
}
