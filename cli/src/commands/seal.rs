//! The verb without a flag: seal Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::manifest::{places_of, sealed_secret_text, secrets_of};
use sealed_secrets_core::names::refusals;
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::commands::output;
use crate::error::Error;
use crate::flags::Flags;
use crate::io::Input;
use crate::{certificate, io, kubeconfig};

/// # Errors
/// When the input holds anything but Secrets, or one cannot be sealed; then nothing is written.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let format = output::format(flags)?;
    let input = Input::read(flags.text("secret-file"))?;
    let certificate = certificate::load(flags)?;
    let secrets = secrets(&input)?;
    let places = places_of(&input.documents()?);
    let mut text = String::new();
    for (secret, place) in secrets.into_iter().zip(&places) {
        let metadata = secret.metadata.clone();
        let sealed = prepared(flags, secret).and_then(|secret| seal(flags, &certificate, secret));
        let sealed = sealed.map_err(|cause| match places.len() {
            1 => cause,
            _ => cause.at(&input.name, *place, &metadata),
        });
        text += &sealed_secret_text(&sealed?, format);
    }
    io::write(output::file(flags), text.as_bytes())
}

/// The Secrets of the input; at least one.
pub(super) fn secrets(input: &Input) -> Result<Vec<Secret>, Error> {
    let documents = input.documents()?;
    let secrets = secrets_of(&documents).map_err(|cause| Error::Read(input.name.clone(), cause))?;
    if secrets.is_empty() { Err(Error::NoSecrets) } else { Ok(secrets) }
}

/// Seals one Secret whose name, namespace and scope are settled.
pub(super) fn seal(
    flags: &Flags,
    certificate: &SealingCertificate,
    secret: Secret,
) -> Result<SealedSecret, Error> {
    let items =
        secret.data.as_ref().map_or(0, BTreeMap::len) + secret.string_data.as_ref().map_or(0, BTreeMap::len);
    if items == 0 && !flags.is_on("allow-empty-data") {
        return Err(Error::EmptyData);
    }
    if secret.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(Error::NoName);
    }
    warn_of(refusals(&secret));
    Ok(seal_secret(&mut rand::rng(), certificate.public_key(), secret)?)
}

/// Sealed is sealed: what the API server will say of a name is for the person to judge.
pub(super) fn warn_of(refusals: impl IntoIterator<Item = String>) {
    for refusal in refusals {
        io::tell(&format!("warning: the API server will refuse {refusal}"));
    }
}

/// Settles name, scope and namespace by the flags (compatibility 4.2).
fn prepared(flags: &Flags, mut secret: Secret) -> Result<Secret, Error> {
    if let Some(name) = flags.text("name") {
        secret.metadata.name = Some(name.to_owned());
    }
    settle_scope(flags, &mut secret)?;
    with_namespace(flags, secret)
}

/// The Secret with the namespace that the flag or the kubeconfig names, where it says none itself.
pub(super) fn with_namespace(flags: &Flags, mut secret: Secret) -> Result<Secret, Error> {
    let scope = Scope::from_annotations(secret.metadata.annotations.as_ref());
    let own = secret.metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
    let flag = flags.text("namespace");
    match (own, flag) {
        _ if scope == Scope::ClusterWide => {}
        (Some(input), Some(flag)) if input != flag => {
            return Err(Error::NamespaceMismatch { input, flag: flag.to_owned() });
        }
        (Some(_), _) => {}
        (None, Some(flag)) => secret.metadata.namespace = Some(flag.to_owned()),
        // Sealing must work without any kubeconfig: its errors mean that it names no namespace.
        (None, None) => secret.metadata.namespace = kubeconfig::namespace(flags).ok(),
    }
    Ok(secret)
}

/// A scope of the flag other than strict replaces what the Secret says.
fn settle_scope(flags: &Flags, secret: &mut Secret) -> Result<(), Error> {
    let said = Scope::from_annotations(secret.metadata.annotations.as_ref());
    let asked: Scope = flags.text("scope").unwrap_or_default().parse()?;
    if asked != Scope::Strict {
        asked.write_to(secret.metadata.annotations.get_or_insert_default());
        return Ok(());
    }
    if said != Scope::Strict && flags.was_given("scope") {
        io::tell(&format!(
            "warning: the Secret's own annotation makes it {said}, --scope strict does not undo that; remove the annotation"
        ));
    }
    Ok(())
}
