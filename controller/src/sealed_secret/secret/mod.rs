//! The Secret of a SealedSecret: what it should be, who owns it, and writing it.

pub(crate) mod apply;
pub(crate) mod desired;
pub(crate) mod drift_backoff;
pub(crate) mod index;
pub(crate) mod live;
pub(crate) mod ownership;
pub(crate) mod refusal;
pub(crate) mod rules;
