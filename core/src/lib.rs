//! The domain of sealed-secrets-rs: sealing, unsealing, key rings and rotation, as pure functions.
//!
//! Nothing here reads a file, a clock, the environment or the network; time and randomness are arguments (the crate's
//! `clippy.toml` enforces it). Types of this crate that hold plaintexts or private keys are wiped and their
//! `Debug` shows nothing; `Secret` of `k8s_openapi`, which comes in and goes out, is neither.

// A slice that begins or ends inside a character panics with the text.
#![cfg_attr(not(test), warn(clippy::string_slice))]

pub mod crypto;
pub mod diagnosis;
pub mod keyring;
pub mod label;
pub mod manifest;
pub mod names;
pub mod opening;
pub mod rewrap;
pub mod rotation;
pub mod seal;
pub mod template;
mod trial;
pub mod unseal;
pub mod weight;
