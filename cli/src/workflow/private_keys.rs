//! Private sealing keys of files.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::{FileContent, KeyPair, KeyPairError, text_of_file};
use sealed_secrets_core::keyring::{KeyRing, KeySecretError, OrderBy, RingKey};
use sealed_secrets_core::manifest::{NodeKind, secrets_of};
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::flags::list;
use crate::io;
use crate::io::Input;

/// The keys of the files, each a bare key of any format or a manifest of key Secrets. It may be empty.
///
/// # Errors
/// When a file cannot be read, or holds no private key.
pub(crate) fn key_ring(paths: &[String]) -> Result<KeyRing, Error> {
    let keys: Vec<_> = paths.iter().map(|path| keys_of(path)).collect::<Result<_, _>>()?;
    Ok(KeyRing::new(keys.concat()))
}

/// The files of `--private-key`, which are split at commas as those of `--recovery-private-key`.
///
/// # Errors
/// When quotes do not match.
pub(crate) fn key_files(values: &[String]) -> Result<Vec<String>, Error> {
    let lists: Result<Vec<_>, _> = values.iter().map(|value| list(value)).collect();
    lists.map(|lists| lists.concat()).map_err(|cause| Error::Argument(format!("--private-key: {cause}")))
}

/// The keys of the files of `--private-key`.
///
/// # Errors
/// When a file cannot be read, or holds no private key; a List without Secrets is what kubectl prints if it finds none.
pub(crate) fn private_keys(values: &[String]) -> Result<KeyRing, Error> {
    let keys = |path: &String| match keys_of(path) {
        Ok(keys) if keys.is_empty() => Err(FileProblem::NoPrivateKey.of(path)),
        Err(Error::KeySecret) => Err(FileProblem::NoKeySecret.of(path)),
        keys => keys,
    };
    let keys: Vec<_> = key_files(values)?.iter().map(keys).collect::<Result<_, _>>()?;
    Ok(KeyRing::new(keys.concat()))
}

/// The keys of a file of key Secrets, or of a bare key in any format.
fn keys_of(path: &str) -> Result<Vec<Arc<RingKey>>, Error> {
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
        _ if is_manifest => {
            let secrets = secrets_of(&documents?).map_err(|cause| Error::Read(input.name.clone(), cause))?;
            secrets.iter().map(|secret| key_of(path, secret)).collect()
        }
        Ok(key) => Ok(vec![Arc::new(RingKey::bare(key))]),
        Err(cause) => {
            let may_be_manifest =
                matches!(cause, KeyPairError::Content(FileContent::Manifest | FileContent::Unknown));
            let unreadable = documents.err().filter(|_| may_be_manifest);
            Err(unreadable.unwrap_or(Error::PrivateKey { path: path.to_owned(), cause }))
        }
    }
}

fn key_of(path: &str, secret: &Secret) -> Result<Arc<RingKey>, Error> {
    RingKey::from_secret(secret, OrderBy::CertNotBefore).map(Arc::new).map_err(|error| match error {
        KeySecretError::NoPrivateKey => Error::KeySecret,
        KeySecretError::PrivateKey(cause) => Error::PrivateKey { path: path.to_owned(), cause },
    })
}
