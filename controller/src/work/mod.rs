//! TODO

pub(crate) mod fair_semaphore;
pub(crate) mod limits;

