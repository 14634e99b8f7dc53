//! Decryption of SealedSecrets, and the diagnosis of failures.

pub(crate) mod diagnosis;
pub(crate) mod diagnosis_limit;
pub(crate) mod failures;
pub(crate) mod fetch;
pub(crate) mod slices;
