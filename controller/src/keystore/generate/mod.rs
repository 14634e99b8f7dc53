//! TODO

pub(crate) mod attempts;
pub(crate) mod generator;

