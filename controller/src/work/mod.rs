//! Limits on decryption, rendering and memory that all namespaces share fairly, and token buckets.

pub(crate) mod fair_semaphore;
pub(crate) mod limits;
pub(crate) mod object_memory;
pub(crate) mod token_bucket;
