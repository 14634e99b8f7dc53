//! The work queue: priorities of bulk work (initial list, new key ring), and the retry back-off.

pub(crate) mod priority_queue;
pub(crate) mod retry_backoff;
pub(crate) mod round_robin;
