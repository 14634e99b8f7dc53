//! The verb without a flag: seal Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::manifest::{places_of, sealed_secret_text, secrets_of};
use sealed_secrets_core::names::refusals;
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::error::Error;
use crate::io::Input;
use crate::options::{SealOptions, SecretOptions};
use crate::session::Session;
use crate::{certificate, io};

/// # Errors
/// When the input holds anything but Secrets, or one cannot be sealed; then nothing is written.
pub(super) fn run(options: &SealOptions, session: &Session) -> Result<(), Error> {
    let input = Input::read(options.input.as_deref())?;
    let certificate = certificate::load(&options.certificate, session)?;
    let secrets = secrets(&input)?;
    let places = places_of(&input.documents()?);
    let mut text = String::new();
    for (secret, place) in secrets.into_iter().zip(&places) {
        let metadata = secret.metadata.clone();
        let sealed = prepared(&options.secret, session, secret)
            .and_then(|secret| seal(&options.secret, &certificate, secret));
        let sealed = sealed.map_err(|cause| match places.len() {
            1 => cause,
            _ => cause.at(&input.name, *place, &metadata),
        });
        text += &sealed_secret_text(&sealed?, options.output.format);
    }
    io::write(options.output.file.as_deref(), text.as_bytes())
}

/// The Secrets of the input; at least one.
pub(super) fn secrets(input: &Input) -> Result<Vec<Secret>, Error> {
    let documents = input.documents()?;
    let secrets = secrets_of(&documents).map_err(|cause| Error::Read(input.name.clone(), cause))?;
    if secrets.is_empty() { Err(Error::NoSecrets) } else { Ok(secrets) }
}

/// Seals one Secret whose name, namespace and scope are settled.
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

/// Sealed is sealed: what the API server will say of a name is for the person to judge.
pub(super) fn warn_of(refusals: impl IntoIterator<Item = String>) {
    for refusal in refusals {
        io::warn(&format!("the API server will refuse {refusal}"));
    }
}

/// Settles name, scope and namespace by the flags (compatibility 4.2).
fn prepared(options: &SecretOptions, session: &Session, mut secret: Secret) -> Result<Secret, Error> {
    if options.name.is_some() {
        secret.metadata.name.clone_from(&options.name);
    }
    settle_scope(options.scope, &mut secret);
    with_namespace(options.namespace.as_deref(), session, secret)
}

/// The Secret with the namespace that the flag or the kubeconfig names, where it says none itself.
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
        // Sealing must work without any kubeconfig: its errors mean that it names no namespace.
        (None, None) => secret.metadata.namespace = session.namespace().ok(),
    }
    Ok(secret)
}

/// A scope of the flag other than strict replaces what the Secret says.
fn settle_scope(given: Option<Scope>, secret: &mut Secret) {
    let said = Scope::from_annotations(secret.metadata.annotations.as_ref());
    if let Some(scope) = given.filter(|scope| *scope != Scope::Strict) {
        scope.write_to(secret.metadata.annotations.get_or_insert_default());
    } else if said != Scope::Strict && given.is_some() {
        io::warn(&format!(
            "the Secret's own annotation makes it {said}, --scope strict does not undo that; remove the annotation"
        ));
    }
}
