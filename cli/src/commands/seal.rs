//! `kubeseal` without a mode: Secrets in, SealedSecrets out. Nothing is written unless everything could be sealed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::PublicKey;
use sealed_secrets_core::manifest::{Format, documents, sealed_secret_text, secrets_of};
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::Scope;

use crate::args::Args;
use crate::error::{Error, Result};
use crate::{cert_source, cluster, io};

pub(crate) fn run(args: &Args) -> Result<()> {
    let format = output_format(args)?;
    let (name, text) = io::read_input(args.secret_file.as_deref())?;
    let documents = documents(&text).map_err(|error| Error::Manifest(name.clone(), error))?;
    let secrets = secrets_of(&documents).map_err(|error| Error::Read(name, error))?;
    if secrets.is_empty() {
        return Err(Error::NoSecrets);
    }
    let certificate = cert_source::load(args)?;
    let mut output = String::new();
    for secret in secrets {
        output.push_str(&seal(args, certificate.public_key(), secret, format)?);
    }
    io::write_output(args.sealed_secret_file.as_deref(), &output)
}

fn seal(args: &Args, key: &PublicKey, secret: Secret, format: Format) -> Result<String> {
    let secret = prepare(args, secret, || cluster::current_namespace(args))?;
    let sealed = seal_secret(&mut rand::rng(), key, secret)?;
    Ok(sealed_secret_text(&sealed, format))
}

/// `-w` with a name of YAML beats `-o`.
fn output_format(args: &Args) -> Result<Format> {
    let extension = args.sealed_secret_file.as_ref().and_then(|path| path.extension()?.to_str());
    if matches!(extension, Some("yaml" | "yml")) {
        return Ok(Format::Yaml);
    }
    Ok(args.format.parse()?)
}

/// The Secret with the name, namespace and scope that the flags ask for (compatibility 4.2).
fn prepare(
    args: &Args,
    mut secret: Secret,
    current_namespace: impl FnOnce() -> Option<String>,
) -> Result<Secret> {
    if let Some(name) = args.name.as_ref().filter(|name| !name.is_empty()) {
        secret.metadata.name = Some(name.clone());
    }
    if secret.metadata.name.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::NoName);
    }
    if is_empty(&secret) && !args.allow_empty_data {
        return Err(Error::EmptyData);
    }
    if args.scope != Scope::Strict {
        args.scope.write_to(secret.metadata.annotations.get_or_insert_default());
    }
    let scope = Scope::from_annotations(secret.metadata.annotations.as_ref());
    if scope != Scope::ClusterWide {
        secret.metadata.namespace = namespace(args, secret.metadata.namespace, current_namespace)?;
    }
    Ok(secret)
}

/// The input's own, else `-n`, else the current context's. One that `-n` contradicts is an error.
fn namespace(
    args: &Args,
    declared: Option<String>,
    current: impl FnOnce() -> Option<String>,
) -> Result<Option<String>> {
    let declared = declared.filter(|name| !name.is_empty());
    let given = args.namespace.clone().filter(|name| !name.is_empty());
    match (declared, given) {
        (Some(declared), Some(given)) if declared != given => Err(Error::NamespaceMismatch(declared, given)),
        (Some(name), _) | (None, Some(name)) => Ok(Some(name)),
        (None, None) => Ok(current()),
    }
}

fn is_empty(secret: &Secret) -> bool {
    secret.data.as_ref().is_none_or(BTreeMap::is_empty)
        && secret.string_data.as_ref().is_none_or(BTreeMap::is_empty)
}
