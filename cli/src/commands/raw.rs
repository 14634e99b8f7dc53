//! `--raw` encrypts one value.

use sealed_secrets_core::label::Label;
use sealed_secrets_core::names::{refused_key, refused_name, refused_namespace};
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use zeroize::Zeroizing;

use crate::commands::seal;
use crate::error::Error;
use crate::options::RawOptions;
use crate::session::Session;
use crate::{certificate, io};

/// Encrypts the value, and prints the item.
///
/// # Errors
/// When name or namespace is missing, or the value cannot be read or sealed.
pub(super) fn run(options: &RawOptions, session: &Session) -> Result<(), Error> {
    if let Some(file) = &options.input {
        let failed = |cause| Error::SecretFile { path: file.clone(), cause };
        std::fs::File::open(file).map_err(failed)?;
    }
    let label = label(options, session)?;
    warn_of_names(options);
    let certificate = certificate::load(&options.certificate, session)?;
    let value = Zeroizing::new(value(&options.from_files)?);
    let item = seal_value(&mut rand::rng(), certificate.public_key(), &label, &value)?;
    io::write(options.output.as_deref(), item.as_bytes())
}

fn warn_of_names(options: &RawOptions) {
    let key = options.from_files.first().and_then(|file| file.split_once('=')).map(|(key, _)| key);
    let name = options.secret.name.as_deref().and_then(refused_name);
    let namespace = options.secret.namespace.as_deref().and_then(refused_namespace);
    seal::warn_of(name.into_iter().chain(namespace).chain(key.and_then(refused_key)));
}

fn label(options: &RawOptions, session: &Session) -> Result<Label, Error> {
    let secret = &options.secret;
    let scope = secret.scope.unwrap_or_default();
    if scope == Scope::ClusterWide {
        return Ok(Label::new(scope, "", ""));
    }
    let namespace = match &secret.namespace {
        Some(namespace) => namespace.clone(),
        None => session.namespace()?,
    };
    if namespace.is_empty() {
        return Err(Error::RawNamespace(scope.as_str()));
    }
    match (scope, &secret.name) {
        (Scope::Strict, None) => Err(Error::RawName),
        (_, name) => Ok(Label::new(scope, &namespace, name.as_deref().unwrap_or_default())),
    }
}

fn value(from_files: &[String]) -> Result<Vec<u8>, Error> {
    match from_files {
        [] => io::read_stdin("a secret to encrypt"),
        [file] => {
            let path = file.split_once('=').map_or(file.as_str(), |(_, path)| path);
            if path == "/dev/stdin" { io::read_stdin("a secret to encrypt") } else { io::read_file(path) }
        }
        _ => Err(Error::SeveralFromFile),
    }
}
