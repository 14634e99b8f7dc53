//! The order of bulk work: initial lists and new key rings.

pub(crate) mod priority_queue;
pub(crate) mod round_robin;
