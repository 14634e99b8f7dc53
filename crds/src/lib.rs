//! What sealed-secrets-rs stores in a cluster: the types, their names and their scope.
//!
//! The group, versions and fields are those of bitnami/sealed-secrets v0.40.0, so that objects move freely between both
//! controllers. This crate has no behaviour beyond accessors; it never sees a plaintext or a private key.

mod condition;
pub mod names;
mod scope;
mod sealed_secret;

pub use condition::{ConditionStatus, SealedSecretCondition};
pub use scope::{ParseScopeError, Scope};
pub use sealed_secret::{LastSuccess, SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate};

/// The custom resource definition of [`SealedSecret`], as it is checked in under `crds/yaml/` and installed by `deploy/`.
pub const SEALED_SECRET_CRD_YAML: &str = include_str!("../yaml/sealedsecrets.bitnami.com.yaml");
