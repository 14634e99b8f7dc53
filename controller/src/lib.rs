//! The controller: manages the sealing keys, serves their certificate, and decrypts SealedSecrets inside the cluster.
//!
//! The path of an object: [`sealed_secret`] watches and queues it, `reconcile` processes it, `desired` decides (pure),
//! `apply` writes the Secret, `status` and `event` report the result. [`keystore`] alone reads and writes key Secrets
//! and publishes immutable rings; [`http`] serves the certificate of the latest one.

// Slicing a string inside a character panics with the text in the message.
#![cfg_attr(not(test), warn(clippy::string_slice))]

pub(crate) mod api;
pub mod args;
mod clock;
mod condition;
mod context;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod http;
pub(crate) mod installation;
mod keystore;
mod leadership;
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

pub use memory_guard::protect_memory;
pub use startup::error::StartError;
pub use startup::run;
