//! Generating keys, and the back-off between failed attempts.

pub(crate) mod attempts;
pub(crate) mod generator;
