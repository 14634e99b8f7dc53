//! `--raw`: encrypt one value.

use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::Scope;
use zeroize::Zeroizing;

use crate::commands::output;
use crate::error::Error;
use crate::flags::Flags;
use crate::{certificate, io, kubeconfig};

/// # Errors
/// When the label of the item is not settled, or the value cannot be read or sealed.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    if let Some(file) = flags.text("secret-file") {
        std::fs::File::open(file).map_err(|_| Error::SecretFile)?;
    }
    let label = label(flags)?;
    let certificate = certificate::load(flags)?;
    let value = Zeroizing::new(value(flags)?);
    let item = seal_value(&mut rand::rng(), certificate.public_key(), &label, &value)?;
    io::write(output::file(flags), item.as_bytes())
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
