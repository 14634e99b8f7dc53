//! `--recovery-unseal`: decrypt without a cluster.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::keyring::{KeyRing, KeySecretError, OrderBy, SealingKey};
use sealed_secrets_core::manifest::{secret_text, secrets_of};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, V1Data, unseal};
use zeroize::Zeroizing;

use crate::commands::{output, validate};
use crate::error::Error;
use crate::flags::Flags;
use crate::io;
use crate::io::Input;
use crate::surroundings::Surroundings;

/// # Errors
/// When a key cannot be read, or a SealedSecret not be decrypted; then nothing is written.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let format = output::format(flags)?;
    let input = Input::read(flags.text("secret-file"))?;
    let ring = ring(flags.texts("recovery-private-key"))?;
    let mut text = Zeroizing::new(String::new());
    for sealed in validate::sealed_secrets(&input)? {
        let mut surroundings = Surroundings::from_now();
        let mut renderer = Renderer { budget: &Budget::default(), sources: &mut surroundings };
        let unsealed = unseal(&sealed, &ring, V1Data::Accepted, &mut renderer)?;
        text.push_str(&Zeroizing::new(secret_text(&unsealed.secret, format)));
    }
    io::write(output::file(flags), text.as_bytes())
}

fn ring(paths: &[String]) -> Result<KeyRing, Error> {
    let mut keys = Vec::new();
    for path in paths {
        for secret in key_secrets(path)? {
            let key =
                SealingKey::from_secret(&secret, OrderBy::CertNotBefore).map_err(|error| match error {
                    KeySecretError::NoPrivateKey => Error::KeySecret,
                    KeySecretError::PrivateKey(cause) => Error::PrivateKey { path: path.clone(), cause },
                })?;
            keys.push(Arc::new(key));
        }
    }
    Ok(KeyRing::new(keys))
}

/// Key Secrets of a file: PEM text counts as one. In a manifest no line begins as a PEM block does.
fn key_secrets(path: &str) -> Result<Vec<Secret>, Error> {
    let input = Input::read_target(path)?;
    if input.text.lines().any(|line| line.starts_with("-----BEGIN ")) {
        let pem = k8s_openapi::ByteString(input.text.as_bytes().to_vec());
        return Ok(vec![Secret { data: Some([("tls.key".to_owned(), pem)].into()), ..Secret::default() }]);
    }
    let documents = input.documents()?;
    secrets_of(&documents).map_err(|cause| Error::Read(input.name.clone(), cause))
}
