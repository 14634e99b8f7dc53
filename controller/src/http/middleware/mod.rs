//! Middleware: who a request is counted for, rate limits, and request metrics.

pub(crate) mod clients;
pub(crate) mod metrics;
pub(crate) mod rate;
pub(crate) mod rate_limit;
