//! Access to key Secrets.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::error::KeystoreError;

/// The Secrets of the controller's namespace.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(super) api: Api<Secret>,
    pub(super) namespace: String,
}

impl Secrets {
    /// Returns the error of a request that writes nothing.
    pub(super) fn error(&self, cause: kube::Error) -> KeystoreError {
        KeystoreError::Api { namespace: self.namespace.clone(), cause }
    }

    /// Returns the error of a write of the key Secret of this name.
    pub(super) fn write_error(&self, name: &str, cause: kube::Error) -> KeystoreError {
        KeystoreError::Write { namespace: self.namespace.clone(), name: name.to_owned(), cause }
    }
}
