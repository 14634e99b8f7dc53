//! Handlers, one file per path.

pub(crate) mod certificate;
pub(crate) mod health;
pub(crate) mod metrics_page;
pub(crate) mod request_handler;
pub(crate) mod rotate;
pub(crate) mod rotate_stale;
pub(crate) mod slices;
pub(crate) mod verify;
