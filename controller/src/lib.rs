//! The controller: keeps the sealing keys, serves their certificate, and opens SealedSecrets inside the cluster.
//!
//! The way of an object: [`sealed_secret`] watches and queues it, `reconcile` tells its story, `desired` decides (pure),
//! `apply` writes the Secret, `status` and `event` tell what happened. [`keystore`] alone reads and makes key Secrets and
//! publishes immutable rings; [`http`] serves the certificate from the latest one.

// A slice that begins or ends inside a character panics with the text.
#![cfg_attr(not(test), warn(clippy::string_slice))]

pub(crate) mod api;
pub mod args;
mod clock;
mod context;
mod error;
mod http;
pub(crate) mod installation;
mod keystore;
mod memory_guard;
mod metrics;
mod policy;
mod sealed_secret;
mod sealing_keys;
mod startup;
pub mod telemetry;
pub(crate) mod template_sources;
mod usage;
pub(crate) mod work;

pub use error::StartError;
pub use memory_guard::protect_memory;
pub use startup::run;
