//! The Kubernetes API: client, limits on responses, watches and their back-off, events.

pub(crate) mod backoff;
pub(crate) mod client;
pub(crate) mod event;
pub(crate) mod optional_crd_watch;
pub(crate) mod refusal;
pub(crate) mod requests;
pub(crate) mod response_size;
pub(crate) mod servers;
pub(crate) mod token_file;
pub(crate) mod writer_pacing;
