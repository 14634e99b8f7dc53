//! The custom resources of sealed-secrets-rs: their types, names and scope.
//!
//! Group, version and fields of SealedSecret are those of bitnami/sealed-secrets v0.40.0, so that objects can move between both
//! controllers. The new kinds for keys belong to the group `sealedsecrets.rs`. This crate has no behaviour beyond accessors and
//! never sees a plaintext or a private key.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments become the descriptions of kubectl explain, which are plain text"
)]

mod condition;
pub mod names;
mod policy_duration;
mod schema;
mod scope;
mod sealed_secret;
mod sealing_key;
mod sealing_key_policy;

pub use condition::{ConditionStatus, SealedSecretCondition};
pub use policy_duration::{ParsePolicyDurationError, PolicyDuration};
pub use scope::{ParseScopeError, Scope};
pub use sealed_secret::{
    ItemsOfKey, LastSuccess, SealedSecret, SealedSecretSpec, SealedSecretStatus, SecretTemplate, mapping,
};
pub use sealing_key::{
    SealingKey, SealingKeyPhase, SealingKeySpec, SealingKeyState, SealingKeyStatus, SealingKeyUsage,
};
pub use sealing_key_policy::{
    KeyCounts, KeyGeneration, KeyOrder, KeySource, PendingKey, PrimaryChoice, PrimaryKey, Retention,
    Rotation, RotationPhase, SealingKeyPolicy, SealingKeyPolicySpec, SealingKeyPolicyStatus,
};

/// CustomResourceDefinition of [`SealedSecret`], checked in under `crds/yaml/` and installed by `deploy/`.
pub const SEALED_SECRET_CRD_YAML: &str = include_str!("../yaml/sealedsecrets.bitnami.com.yaml");
/// CustomResourceDefinition of [`SealingKey`].
pub const SEALING_KEY_CRD_YAML: &str = include_str!("../yaml/sealingkeys.sealedsecrets.rs.yaml");
/// CustomResourceDefinition of [`SealingKeyPolicy`].
pub const SEALING_KEY_POLICY_CRD_YAML: &str =
    include_str!("../yaml/sealingkeypolicies.sealedsecrets.rs.yaml");
