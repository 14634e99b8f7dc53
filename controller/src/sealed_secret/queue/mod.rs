//! TODO

pub(crate) mod priority_queue;
pub(crate) mod round_robin;

