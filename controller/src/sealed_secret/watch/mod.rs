//! Watches of SealedSecrets and of their Secrets.

pub(crate) mod admission;
pub(crate) mod log_dedup;
pub(crate) mod objects;
pub(crate) mod observed;
pub(crate) mod over_limit;
pub(crate) mod over_limit_queue;
pub(crate) mod raw;
pub(crate) mod secrets;
