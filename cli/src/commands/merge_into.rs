//! `--merge-into` seals and puts the items into an existing file.

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{documents, sealed_secrets_of, stored_sealed_secrets_of};
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::commands::{seal, validate};
use crate::error::Error;
use crate::io::Input;
use crate::options::MergeIntoOptions;
use crate::session::Session;
use crate::{certificate, io};

/// Seals for name, namespace and scope of the target. Adds or replaces items, labels and annotations; every other byte of the
/// target stays.
///
/// # Errors
/// When input or target cannot be used; then the target is unchanged.
pub(super) fn run(options: &MergeIntoOptions, session: &Session) -> Result<(), Error> {
    let path = &options.target;
    let input = Input::read(options.input.as_deref())?;
    let target = Input::read_target(path)?;
    let certificate = certificate::load(&options.certificate, session)?;
    let mut secrets = seal::secrets(&input, &input.documents()?)?;
    let (Some(secret), true) = (secrets.pop(), secrets.is_empty()) else {
        return Err(Error::MergeCount(secrets.len() + 1));
    };
    let secret = moved(options.secret.scope, secret, &existing(&target)?, path)?;
    let secret = seal::with_namespace(options.secret.namespace.as_deref(), session, secret)?;
    let sealed = seal::seal(&options.secret, &certificate, secret)?;
    let edited = apply(&target.text, &changes(&sealed)).map_err(|cause| Error::Edit(path.clone(), cause))?;
    expect_only_ciphertext(&target, &edited)?;
    io::replace_edited(&target, &edited)
}

/// Gives the Secret the name, namespace and scope of the target, which decryption requires.
fn moved(
    given: Option<Scope>,
    mut secret: Secret,
    existing: &SealedSecret,
    path: &str,
) -> Result<Secret, Error> {
    let scope = Scope::from_annotations(existing.metadata.annotations.as_ref());
    if let Some(asked) = given.filter(|asked| *asked != scope) {
        return Err(Error::MergeScope { path: path.to_owned(), scope, asked });
    }
    scope.write_to(secret.metadata.annotations.get_or_insert_default());
    secret.metadata.name.clone_from(&existing.metadata.name);
    secret.metadata.namespace.clone_from(&existing.metadata.namespace);
    Ok(secret)
}

fn existing(target: &Input) -> Result<SealedSecret, Error> {
    let documents = target.documents()?;
    let mut found =
        stored_sealed_secrets_of(&documents).map_err(|cause| Error::Read(target.name.clone(), cause))?;
    match (found.pop(), found.len()) {
        (Some(existing), 0) if existing.metadata.name.as_deref().is_none_or(str::is_empty) => {
            Err(Error::MergeNoName(target.name.clone()))
        }
        (Some(existing), 0) => Ok(existing),
        (None, _) => Err(Error::MergeTarget { path: target.name.clone(), count: 0 }),
        (Some(_), others) => Err(Error::MergeTarget { path: target.name.clone(), count: others + 1 }),
    }
}

/// Fails if the target has an item that is not a string, unless the edit replaced it.
fn expect_only_ciphertext(target: &Input, edited: &str) -> Result<(), Error> {
    let is_repaired = documents(edited).is_ok_and(|documents| sealed_secrets_of(&documents).is_ok());
    if is_repaired { Ok(()) } else { validate::sealed_secrets(target).map(drop) }
}

fn changes(sealed: &SealedSecret) -> Vec<Change> {
    let change = |path: &[&str], key: &String, value: &String| Change {
        object: 0,
        path: path.iter().copied().map(str::to_owned).chain([key.clone()]).collect(),
        value: value.clone(),
    };
    let items = sealed.spec.encrypted_data.iter();
    let mut changes: Vec<Change> =
        items.map(|(key, value)| change(&["spec", "encryptedData"], key, value)).collect();
    if let Some(metadata) = &sealed.spec.template.metadata {
        let annotations = metadata.annotations.iter().flatten();
        let labels = metadata.labels.iter().flatten();
        changes.extend(
            annotations
                .map(|(key, value)| change(&["spec", "template", "metadata", "annotations"], key, value)),
        );
        changes.extend(
            labels.map(|(key, value)| change(&["spec", "template", "metadata", "labels"], key, value)),
        );
    }
    changes
}
