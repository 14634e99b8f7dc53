//! `--recovery-unseal`: decrypt without a cluster.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::{FileContent, KeyPair, KeyPairError, text_of_file};
use sealed_secrets_core::keyring::{KeyRing, KeySecretError, OrderBy, SealingKey};
use sealed_secrets_core::manifest::{Format, NodeKind, places_of, secret_text, secrets_of};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, V1Data, unseal};
use sealed_secrets_crds::SealedSecret;
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
    let sealed = validate::sealed_secrets(&input)?;
    if ring.is_empty() {
        return Err(Error::NoRecoveryKey);
    }
    let mut text = Zeroizing::new(String::new());
    let places = places_of(&input.documents()?);
    for (mut sealed, place) in sealed.into_iter().zip(&places) {
        with_namespace(flags, &mut sealed);
        let opened = opened(&sealed, &ring, format);
        let opened = opened.map_err(|cause| match places.len() {
            1 => cause,
            _ => cause.at(&input.name, *place, &sealed.metadata),
        });
        text.push_str(&opened?);
    }
    io::write_plaintext(output::file(flags), text.as_bytes())
}

/// A file without a namespace was sealed for the one of the flag.
fn with_namespace(flags: &Flags, sealed: &mut SealedSecret) {
    let namespace = &mut sealed.metadata.namespace;
    if namespace.as_deref().is_none_or(str::is_empty) {
        *namespace = flags.text("namespace").map(str::to_owned);
    }
}

fn opened(sealed: &SealedSecret, ring: &KeyRing, format: Format) -> Result<Zeroizing<String>, Error> {
    let mut surroundings = Surroundings::from_now();
    let mut renderer = Renderer { budget: &Budget::default(), sources: &mut surroundings };
    let unsealed = unseal(sealed, ring, V1Data::Accepted, &mut renderer)?;
    Ok(Zeroizing::new(secret_text(&unsealed.secret, format)))
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

/// Key Secrets of a file; a bare key, in whatever form, counts as one.
fn key_secrets(path: &str) -> Result<Vec<Secret>, Error> {
    let bytes = Zeroizing::new(io::read_file(path)?);
    let text = text_of_file(&bytes).unwrap_or_default();
    // In a manifest no line begins as a PEM block does.
    let is_pem = text.lines().any(|line| line.starts_with("-----BEGIN "));
    let input = Input { name: path.to_owned(), text };
    let documents = input.documents();
    let is_manifest = documents.as_ref().is_ok_and(|documents| {
        !is_pem && documents.iter().any(|document| matches!(document.root.kind, NodeKind::Mapping(_)))
    });
    match KeyPair::from_file(&bytes) {
        _ if is_manifest => secrets_of(&documents?).map_err(|cause| Error::Read(input.name.clone(), cause)),
        Ok(key) => Ok(vec![bare(&key).map_err(|cause| Error::PrivateKey { path: path.to_owned(), cause })?]),
        Err(cause) => {
            let may_be_manifest =
                matches!(cause, KeyPairError::Content(FileContent::Manifest | FileContent::Unknown));
            let unreadable = documents.err().filter(|_| may_be_manifest);
            Err(unreadable.unwrap_or(Error::PrivateKey { path: path.to_owned(), cause }))
        }
    }
}

/// A key Secret that holds nothing but the key.
fn bare(key: &KeyPair) -> Result<Secret, KeyPairError> {
    let pem = ByteString(key.expose_pkcs1_pem()?.as_bytes().to_vec());
    Ok(Secret { data: Some([("tls.key".to_owned(), pem)].into()), ..Secret::default() })
}
