//! Benchmarks decryption of one SealedSecret against its private-key operations alone; the difference is the overhead of this
//! crate. `cargo bench -p sealed-secrets-core` prints both.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to tell")]

use std::sync::{Arc, LazyLock};

use divan::Bencher;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealed_secrets_core::crypto::{KeyPair, KeySize, envelope};
use sealed_secrets_core::decryption::{V1Data, decrypt_all};
use sealed_secrets_core::keyring::{KeyRing, OrderBy, RingKey};
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::{Scope, SealedSecret};

const ITEMS: [usize; 3] = [1, 2, 10];

/// Length in bytes of the length field before the RSA block of an item.
const LENGTH_BYTES: usize = 2;

static KEY: LazyLock<Arc<RingKey>> = LazyLock::new(|| {
    let key = KeyPair::generate(KeySize::Rsa4096).expect("a key can be made");
    let pem = key.expose_pkcs1_pem().expect("a key can be written");
    let data = [("tls.key".to_owned(), ByteString(pem.as_bytes().to_vec()))];
    let secret = Secret { data: Some(data.into()), ..Secret::default() };
    Arc::new(RingKey::from_secret(&secret, OrderBy::CertNotBefore).expect("a key can be read"))
});

fn main() {
    divan::main();
}

#[divan::bench(args = ITEMS)]
fn bare_private_key_operations(bencher: Bencher<'_, '_>, items: usize) {
    let key = KEY.key_pair();
    let label = Label::new(Scope::Strict, "shop", "db");
    let item = envelope::seal(&mut StdRng::seed_from_u64(1), key.public_key(), &label, b"value")
        .expect("it can be sealed");
    let block =
        item.get(LENGTH_BYTES..LENGTH_BYTES + key.public_key().block_len()).expect("an item has a block");
    bencher.bench_local(|| (0..items).filter_map(|_| key.decrypt_oaep(label.as_bytes(), block)).count());
}

#[divan::bench(args = ITEMS)]
fn decryption(bencher: Bencher<'_, '_>, items: usize) {
    let ring = KeyRing::new(vec![Arc::clone(&KEY)]);
    let sealed = sealed(items);
    bencher.bench_local(|| decrypt_all(&sealed, &ring, V1Data::Accepted).is_ok());
}

fn sealed(items: usize) -> SealedSecret {
    let item = |number| (format!("item-{number}"), ByteString(b"value".to_vec()));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("db".to_owned()),
            namespace: Some("shop".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some((0..items).map(item).collect()),
        ..Secret::default()
    };
    seal_secret(&mut StdRng::seed_from_u64(1), KEY.key_pair().public_key(), secret).expect("it can be sealed")
}
