//! The private-key operations that the workload needs, without anything around them.

use std::time::Duration;

use sealed_secrets_core::crypto::{KeyPair, envelope};
use sealed_secrets_core::label::Label;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::{Error, Result};

use super::process::cpu;

/// Enough for the kernel's clock.
const OPERATIONS: u32 = 500;

/// The bytes in front of the RSA block: its length.
const LENGTH_BYTES: usize = 2;

/// Processor time of one RSA-OAEP decryption with this key, PEM.
///
/// # Errors
/// When the key cannot be used.
pub(super) fn decryption(private_key: &[u8]) -> Result<Duration> {
    let unusable = || Error::Invalid("the sealing key does not open what it sealed".into());
    let key = KeyPair::from_pem(private_key).map_err(|error| Error::Invalid(error.to_string()))?;
    let label = Label::new(Scope::ClusterWide, "", "");
    let item = envelope::seal(&mut rand::rng(), key.public_key(), &label, b"value");
    let item = item.map_err(|error| Error::Invalid(error.to_string()))?;
    let block = item.get(LENGTH_BYTES..LENGTH_BYTES + key.public_key().block_len()).ok_or_else(unusable)?;
    let before = cpu(std::process::id())?;
    for _ in 0..OPERATIONS {
        key.decrypt_oaep(label.as_bytes(), block).ok_or_else(unusable)?;
    }
    Ok(cpu(std::process::id())?.saturating_sub(before) / OPERATIONS)
}
