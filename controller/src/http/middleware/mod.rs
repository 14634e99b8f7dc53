//! Middleware: client identification, rate limits, and request metrics.

pub(crate) mod clients;
pub(crate) mod metrics;
pub(crate) mod rate_limit;
pub(crate) mod rate_limiter;
