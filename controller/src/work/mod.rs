//! Limits on decryption, rendering and memory that all namespaces share fairly.

pub(crate) mod fair_semaphore;
pub(crate) mod limits;
pub(crate) mod object_memory;
