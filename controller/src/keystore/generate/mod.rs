//! Generates keys, with a back-off after failures.

mod attempts;
pub(crate) mod generator;
