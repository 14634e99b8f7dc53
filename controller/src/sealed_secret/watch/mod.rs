//! Watches of SealedSecrets and of their Secrets.

pub(crate) mod log_dedup;
pub(crate) mod objects;
pub(crate) mod observed;
pub(crate) mod raw;
pub(crate) mod secrets;
