//! `kubeseal` without a mode: seals the Secrets of the input.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::manifest::{Document, positions_of, sealed_secret_text, secrets_of};
use sealed_secrets_core::names::refusals;
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::error::Error;
use crate::io::Input;
use crate::options::{SealOptions, SecretOptions};
use crate::session::Session;
use crate::{certificate, io};

/// Seals the Secrets of the input, and writes the SealedSecrets.
///
/// # Errors
/// When the input holds other objects than Secrets, or one cannot be sealed; then nothing is written.
pub(super) fn run(options: &SealOptions, session: &Session) -> Result<(), Error> {
    let input = Input::read(options.input.as_deref())?;
    let certificate = certificate::load(&options.certificate, session)?;
    let documents = input.documents()?;
    let secrets = secrets(&input, &documents)?;
    let places = positions_of(&documents);
    let mut text = String::new();
    for (secret, place) in secrets.into_iter().zip(&places) {
        let metadata = secret.metadata.clone();
        let sealed = with_options(&options.secret, session, secret)
            .and_then(|secret| seal(&options.secret, &certificate, secret));
        let sealed = sealed.map_err(|cause| match places.len() {
            1 => cause,
            _ => cause.at(&input.name, *place, &metadata),
        });
        text += &sealed_secret_text(&sealed?, options.output.format);
    }
    io::write(options.output.file.as_deref(), text.as_bytes())
}

/// Returns the Secrets of the documents of the input, at least one.
pub(super) fn secrets(input: &Input, documents: &[Document]) -> Result<Vec<Secret>, Error> {
    let secrets = secrets_of(documents).map_err(|cause| Error::Read(input.name.clone(), cause))?;
    if secrets.is_empty() { Err(Error::NoSecrets) } else { Ok(secrets) }
}

/// Seals a Secret with its final name, namespace and scope.
pub(super) fn seal(
    options: &SecretOptions,
    certificate: &SealingCertificate,
    secret: Secret,
) -> Result<SealedSecret, Error> {
    let items =
        secret.data.as_ref().map_or(0, BTreeMap::len) + secret.string_data.as_ref().map_or(0, BTreeMap::len);
    if items == 0 && !options.allow_empty_data {
        return Err(Error::EmptyData);
    }
    if secret.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(Error::NoName);
    }
    warn_of(refusals(&secret));
    Ok(seal_secret(&mut rand::rng(), certificate.public_key(), secret)?)
}

/// Warns of names that the API server will refuse. Sealing succeeds all the same.
pub(super) fn warn_of(refusals: impl IntoIterator<Item = String>) {
    for refusal in refusals {
        io::warn(&format!("the API server will refuse {refusal}"));
    }
}

/// Applies the flags for name, scope and namespace.
fn with_options(options: &SecretOptions, session: &Session, mut secret: Secret) -> Result<Secret, Error> {
    if options.name.is_some() {
        secret.metadata.name.clone_from(&options.name);
    }
    apply_scope(options.scope, &mut secret);
    with_namespace(options.namespace.as_deref(), session, secret)
}

/// Sets the namespace of the flag or the kubeconfig if the Secret has none.
pub(super) fn with_namespace(
    given: Option<&str>,
    session: &Session,
    mut secret: Secret,
) -> Result<Secret, Error> {
    let scope = Scope::from_annotations(secret.metadata.annotations.as_ref());
    let own = secret.metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
    match (own, given) {
        _ if scope == Scope::ClusterWide => {}
        (Some(input), Some(flag)) if input != flag => {
            return Err(Error::NamespaceMismatch { input, flag: flag.to_owned() });
        }
        (Some(_), _) => {}
        (None, Some(flag)) => secret.metadata.namespace = Some(flag.to_owned()),
        // Sealing works without a kubeconfig: an error means that there is no namespace.
        (None, None) => secret.metadata.namespace = session.namespace().ok(),
    }
    Ok(secret)
}

/// Replaces the scope of the Secret by that of the flag, unless that is strict.
fn apply_scope(given: Option<Scope>, secret: &mut Secret) {
    let own = Scope::from_annotations(secret.metadata.annotations.as_ref());
    if let Some(scope) = given.filter(|scope| *scope != Scope::Strict) {
        scope.write_to(secret.metadata.annotations.get_or_insert_default());
    } else if own != Scope::Strict && given.is_some() {
        io::warn(&format!(
            "the Secret's own annotation makes it {own}, and --scope strict does not undo that; remove the annotation"
        ));
    }
}
