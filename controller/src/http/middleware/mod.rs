//! TODO

pub(crate) mod clients;
pub(crate) mod metrics;
pub(crate) mod rate;
pub(crate) mod rate_limit;

