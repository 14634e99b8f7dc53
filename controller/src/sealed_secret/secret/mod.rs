//! The Secret of a SealedSecret: its desired content, its ownership, and its writer.

pub(crate) mod apply;
pub(crate) mod desired;
pub(crate) mod drift_backoff;
pub(crate) mod live;
pub(crate) mod ownership;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod rules;
pub(crate) mod sent;
