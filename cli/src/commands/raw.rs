//! `--raw`: encrypt one value.

use sealed_secrets_core::label::Label;
use sealed_secrets_core::names::{refused_key, refused_name, refused_namespace};
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use zeroize::Zeroizing;

use crate::commands::{output, seal};
use crate::error::Error;
use crate::flags::Flags;
use crate::{certificate, io, kubeconfig};

/// # Errors
/// When the label of the item is not settled, or the value cannot be read or sealed.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    if let Some(file) = flags.text("secret-file") {
        let failed = |cause| Error::SecretFile { path: file.to_owned(), cause };
        std::fs::File::open(file).map_err(failed)?;
    }
    let label = label(flags)?;
    warn_of_names(flags);
    let certificate = certificate::load(flags)?;
    let value = Zeroizing::new(value(flags)?);
    let item = seal_value(&mut rand::rng(), certificate.public_key(), &label, &value)?;
    io::write(output::file(flags), item.as_bytes())
}

fn warn_of_names(flags: &Flags) {
    let key = flags.texts("from-file").first().and_then(|file| file.split_once('=')).map(|(key, _)| key);
    let name = flags.text("name").and_then(refused_name);
    let namespace = flags.text("namespace").and_then(refused_namespace);
    seal::warn_of(name.into_iter().chain(namespace).chain(key.and_then(refused_key)));
}

fn label(flags: &Flags) -> Result<Label, Error> {
    let scope: Scope = flags.text("scope").unwrap_or_default().parse()?;
    if scope == Scope::ClusterWide {
        return Ok(Label::new(scope, "", ""));
    }
    let namespace = match flags.text("namespace") {
        Some(namespace) => namespace.to_owned(),
        None => kubeconfig::namespace(flags)?,
    };
    if namespace.is_empty() {
        return Err(Error::RawNamespace(scope.as_str()));
    }
    match (scope, flags.text("name")) {
        (Scope::Strict, None) => Err(Error::RawName),
        (_, name) => Ok(Label::new(scope, &namespace, name.unwrap_or_default())),
    }
}

fn value(flags: &Flags) -> Result<Vec<u8>, Error> {
    match flags.texts("from-file") {
        [] => io::read_stdin("a secret to encrypt"),
        [file] => {
            let path = file.split_once('=').map_or(file.as_str(), |(_, path)| path);
            if path == "/dev/stdin" { io::read_stdin("a secret to encrypt") } else { io::read_file(path) }
        }
        _ => Err(Error::SeveralFromFile),
    }
}
