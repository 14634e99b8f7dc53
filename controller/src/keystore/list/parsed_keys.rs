//! Cache of parsed key Secrets by version: parsing private keys is slow, and lists are frequent.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_core::keyring::{OrderBy, RingKey};

/// The parsed keys of the last list.
#[derive(Debug, Default)]
pub(crate) struct ParsedKeys(HashMap<Version, ParsedKey>);

/// The content of one version of a key Secret.
#[derive(Clone, Debug)]
pub(crate) struct ParsedKey {
    order_by: OrderBy,
    pub(crate) key: Option<Arc<RingKey>>,
    /// The defect of the key.
    pub(crate) problem: Option<String>,
}

/// UID and resourceVersion of a Secret.
type Version = (Option<String>, Option<String>);

impl ParsedKeys {
    /// Keeps these results until the next list.
    pub(crate) fn of<'a>(read: impl Iterator<Item = (&'a Secret, &'a ParsedKey)>) -> Self {
        Self(read.map(|(secret, parsed)| (version(secret), parsed.clone())).collect())
    }

    /// Returns the content of this Secret, from the cache if this version was parsed before. Parsing a new key takes
    /// about a millisecond of CPU time.
    pub(crate) fn read(&self, secret: &Secret, order_by: OrderBy) -> ParsedKey {
        let known = self.0.get(&version(secret)).filter(|parsed| parsed.order_by == order_by);
        known.cloned().unwrap_or_else(|| ParsedKey::of(secret, order_by))
    }

    /// Returns true if this version was parsed before.
    pub(crate) fn knows(&self, secret: &Secret) -> bool {
        self.0.contains_key(&version(secret))
    }
}

impl ParsedKey {
    fn of(secret: &Secret, order_by: OrderBy) -> Self {
        let read = RingKey::from_secret(secret, order_by);
        let problem = match &read {
            Ok(key) => key.problem().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        Self { order_by, key: read.ok().map(Arc::new), problem }
    }
}

fn version(secret: &Secret) -> Version {
    (secret.uid(), secret.resource_version())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::keystore::fixtures::{certificate, key_secret};

    /// Returns the Secret with other content in the same version, which the API server never serves: if the result has
    /// a key, the Secret was not parsed again.
    fn emptied(mut secret: Secret) -> Secret {
        secret.data = None;
        secret
    }

    fn after(secret: &Secret) -> ParsedKeys {
        let parsed = ParsedKeys::default().read(secret, OrderBy::default());
        ParsedKeys::of([(secret, &parsed)].into_iter())
    }

    #[test]
    fn a_version_is_read_once_whether_there_is_a_key_in_it_or_not() {
        let secret = key_secret("k", &certificate(1));
        let empty = emptied(secret.clone());
        assert!(after(&secret).read(&empty, OrderBy::default()).key.is_some());
        let still_empty = after(&empty).read(&secret, OrderBy::default());
        assert!(still_empty.key.is_none());
        assert_eq!(still_empty.problem.as_deref(), Some("field data[\"tls.key\"] is missing"));
        assert!(after(&secret).knows(&secret) && !ParsedKeys::default().knows(&secret));
    }

    #[test]
    fn another_version_is_read_and_so_is_another_secret_of_the_same_name() {
        let secret = key_secret("k", &certificate(1));
        let earlier = after(&secret);
        let mut later = emptied(secret.clone());
        later.metadata.resource_version = Some("2".to_owned());
        let mut anew = emptied(secret);
        anew.metadata.uid = Some("another".to_owned());
        for other in [later, anew] {
            assert!(!earlier.knows(&other));
            assert!(earlier.read(&other, OrderBy::default()).key.is_none());
        }
    }

    #[test]
    fn another_order_is_applied() {
        let mut secret = key_secret("k", &certificate(1));
        let created = Timestamp::from_second(1_000).unwrap();
        secret.metadata.creation_timestamp = Some(Time(created));
        let order_time = |order_by| after(&secret).read(&secret, order_by).key.unwrap().order_time();
        assert_eq!(order_time(OrderBy::CertNotBefore), Timestamp::UNIX_EPOCH);
        assert_eq!(order_time(OrderBy::SecretCreationTimestamp), created);
    }
}
