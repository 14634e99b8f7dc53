//! Nothing that stands in `spec.encryptedData`, `tls.key` or `tls.crt` makes reading it panic. Stable mirror: core/tests/properties.rs.
//! Run with `cargo +nightly fuzz run envelope`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealed_secrets_core::crypto::envelope::Envelope;
use sealed_secrets_core::crypto::{KeyPair, SealingCertificate};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::opening::open_value;
use sealed_secrets_crds::Scope;

fuzz_target!(|data: &[u8]| {
    let label = Label::new(Scope::Strict, "namespace", "name");
    let _ = Envelope::parse(data);
    let _ = open_value(&KeyRing::default(), &label, &String::from_utf8_lossy(data));
    let _ = KeyPair::from_pem(data);
    let _ = SealingCertificate::from_pem(data);
    let _ = KeyPair::from_file(data);
    let _ = SealingCertificate::from_file(data);
});
