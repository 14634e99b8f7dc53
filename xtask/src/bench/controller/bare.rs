//! The private-key operations of the workload alone, without a controller.

use std::thread;
use std::time::Duration;

use sealed_secrets_core::crypto::{KeyPair, envelope};
use sealed_secrets_core::label::Label;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::{Error, Result};

use super::process::cpu;
use crate::bench::machine::cores;

/// Enough for the resolution of the kernel's clock.
const OPERATIONS: u32 = 500;

/// The bytes in front of the RSA block: its length.
const LENGTH_BYTES: usize = 2;

/// Processor time of one RSA-OAEP decryption with this key, PEM, while all processors do the same: shared resources are shared in
/// the controller, too.
///
/// # Errors
/// When the key cannot be used.
pub(super) fn decryption(private_key: &[u8]) -> Result<Duration> {
    let unusable = || Error::Invalid("the sealing key does not decrypt its own ciphertext".into());
    let key = KeyPair::from_pem(private_key).map_err(|error| Error::Invalid(error.to_string()))?;
    let label = Label::new(Scope::ClusterWide, "", "");
    let item = envelope::seal(&mut rand::rng(), key.public_key(), &label, b"value");
    let item = item.map_err(|error| Error::Invalid(error.to_string()))?;
    let block = item.get(LENGTH_BYTES..LENGTH_BYTES + key.public_key().block_len()).ok_or_else(unusable)?;
    let decrypt = || {
        let decrypted = (0..OPERATIONS).filter_map(|_| key.decrypt_oaep(label.as_bytes(), block));
        u32::try_from(decrypted.count()).unwrap_or_default()
    };
    let before = cpu(std::process::id())?;
    let decrypted: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(decrypt)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    let took = cpu(std::process::id())?.saturating_sub(before);
    took.checked_div(decrypted).ok_or_else(unusable)
}
