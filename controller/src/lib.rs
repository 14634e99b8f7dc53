//! The controller: keeps the sealing keys, serves their certificate, and opens SealedSecrets inside the cluster.
//!
//! The way of an object: [`sealed_secret`] watches and queues it, `reconcile` tells its story, `desired` decides (pure),
//! `apply` writes the Secret, `status` and `event` tell what happened. [`keystore`] alone reads and makes key Secrets and
//! publishes immutable rings; [`http`] serves the certificate from the latest one.

// A slice that begins or ends inside a character panics with the text.
#![cfg_attr(not(test), warn(clippy::string_slice))]

mod api_requests;
mod api_servers;
pub mod args;
mod backoff;
mod client;
mod clock;
mod context;
mod error;
mod event;
mod fair_semaphore;
mod home;
mod http;
mod key_list;
mod key_metrics;
mod keystore;
mod log_line;
mod memory_guard;
mod metrics;
mod own_kinds;
mod page_limit;
mod policy;
mod process;
mod sealed_secret;
mod sealing_keys;
mod startup;
mod surroundings;
pub mod telemetry;
mod token_file;
mod unsynced;
mod usage;
mod work_limits;
mod writing;

pub use error::StartError;
pub use memory_guard::protect_memory;
pub use startup::run;
