//! Decrypting SealedSecrets, and diagnosing those that fail.

pub(crate) mod diagnosis;
pub(crate) mod failures;
pub(crate) mod fetch;
pub(crate) mod open;
