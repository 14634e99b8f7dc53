//! Any item of `spec.encryptedData`: it is parsed or refused without a panic.

use sealed_secrets_core::crypto::envelope::Envelope;
use sealed_secrets_core::decryption::decrypt_value;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::label::Label;
use sealed_secrets_crds::Scope;

pub(crate) fn run(input: &[u8]) {
    let label = Label::new(Scope::Strict, "namespace", "name");
    if let Ok(envelope) = Envelope::parse(input) {
        assert!(envelope.block_len() <= input.len());
    }
    let decrypted = decrypt_value(&KeyRing::default(), &label, &String::from_utf8_lossy(input));
    assert!(decrypted.is_err(), "there is no key");
}
