//! Private sealing keys of files.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::{FileContent, KeyPair, KeyPairError, text_of_file};
use sealed_secrets_core::keyring::{KeyRing, KeySecretError, OrderBy, RingKey};
use sealed_secrets_core::manifest::{NodeKind, secrets_of};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::io;
use crate::io::Input;

/// The keys of the files, each a bare key of any format or a manifest of key Secrets. It may be empty.
///
/// # Errors
/// When a file cannot be read, or holds no private key.
pub(crate) fn key_ring(paths: &[String]) -> Result<KeyRing, Error> {
    let mut keys = Vec::new();
    for path in paths {
        for secret in key_secrets(path)? {
            let key = RingKey::from_secret(&secret, OrderBy::CertNotBefore).map_err(|error| match error {
                KeySecretError::NoPrivateKey => Error::KeySecret,
                KeySecretError::PrivateKey(cause) => Error::PrivateKey { path: path.clone(), cause },
            })?;
            keys.push(Arc::new(key));
        }
    }
    Ok(KeyRing::new(keys))
}

/// The key Secrets of a file; a bare key of any format becomes one.
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
