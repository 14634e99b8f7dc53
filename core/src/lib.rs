//! The domain of sealed-secrets-rs: sealing, unsealing, key rings and rotation, as pure functions.
//!
//! No function here reads a file, a clock, the environment or the network; time and randomness are arguments (the crate's
//! `clippy.toml` enforces it). Types of this crate that hold plaintexts or private keys are wiped when dropped, and their `Debug`
//! shows none of it. Neither holds for `Secret` of `k8s_openapi`, the input and output type.

// A slice that begins or ends inside a character panics, and the message contains the text.
#![cfg_attr(not(test), warn(clippy::string_slice))]

pub mod crypto;
mod decrypt_attempt;
pub mod decryption;
pub mod diagnosis;
pub mod go;
pub mod item_form;
pub mod keyring;
pub mod label;
pub mod lint;
pub mod manifest;
pub mod names;
pub mod re_encrypt;
pub mod receipt;
pub mod rotation;
pub mod seal;
pub mod template;
pub mod text;
pub mod unseal;
pub mod weight;
