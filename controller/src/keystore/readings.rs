//! What the key Secrets hold, read once for each version of a Secret: private keys take long to read, and lists are made often.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sealed_secrets_core::keyring::{OrderBy, SealingKey};

/// What was read of the key Secrets of one list.
#[derive(Debug, Default)]
pub(super) struct Readings(HashMap<Version, Reading>);

/// What one version of a key Secret holds.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    order_by: OrderBy,
    pub(super) key: Option<Arc<SealingKey>>,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
}

/// UID and resourceVersion of a Secret.
type Version = (Option<String>, Option<String>);

impl Readings {
    /// What is to be remembered until the next list.
    pub(super) fn of<'a>(read: impl Iterator<Item = (&'a Secret, &'a Reading)>) -> Self {
        Self(read.map(|(secret, reading)| (version(secret), reading.clone())).collect())
    }

    /// What this Secret holds; only what was not read before is read. Takes about a millisecond of CPU for a key that is new.
    pub(super) fn read(&self, secret: &Secret, order_by: OrderBy) -> Reading {
        let known = self.0.get(&version(secret)).filter(|reading| reading.order_by == order_by);
        known.cloned().unwrap_or_else(|| Reading::of(secret, order_by))
    }

    /// Whether this version was read before.
    pub(super) fn knows(&self, secret: &Secret) -> bool {
        self.0.contains_key(&version(secret))
    }
}

impl Reading {
    fn of(secret: &Secret, order_by: OrderBy) -> Self {
        let read = SealingKey::from_secret(secret, order_by);
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

    use super::super::fixtures::{certificate, key_secret};
    use super::*;

    /// The Secret with other content in the same version, which the API server never shows: whether there is a key in it tells
    /// whether it was read again.
    fn emptied(mut secret: Secret) -> Secret {
        secret.data = None;
        secret
    }

    fn after(secret: &Secret) -> Readings {
        let reading = Readings::default().read(secret, OrderBy::default());
        Readings::of([(secret, &reading)].into_iter())
    }

    #[test]
    fn a_version_is_read_once_whether_there_is_a_key_in_it_or_not() {
        let secret = key_secret("k", &certificate(1));
        let empty = emptied(secret.clone());
        assert!(after(&secret).read(&empty, OrderBy::default()).key.is_some());
        let still_empty = after(&empty).read(&secret, OrderBy::default());
        assert!(still_empty.key.is_none());
        assert_eq!(still_empty.problem.as_deref(), Some("field data[\"tls.key\"] is missing"));
        assert!(after(&secret).knows(&secret) && !Readings::default().knows(&secret));
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
    fn another_order_is_heeded() {
        let mut secret = key_secret("k", &certificate(1));
        let created = Timestamp::from_second(1_000).unwrap();
        secret.metadata.creation_timestamp = Some(Time(created));
        let order_time = |order_by| after(&secret).read(&secret, order_by).key.unwrap().order_time();
        assert_eq!(order_time(OrderBy::CertNotBefore), Timestamp::UNIX_EPOCH);
        assert_eq!(order_time(OrderBy::SecretCreationTimestamp), created);
    }
}
