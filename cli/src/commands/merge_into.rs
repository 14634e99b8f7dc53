//! `--merge-into`: seal, and put the items into an existing file.

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{documents, sealed_secrets_of, stored_sealed_secrets_of};
use sealed_secrets_crds::{Scope, SealedSecret};

use crate::commands::{output, seal, validate};
use crate::error::Error;
use crate::flags::Flags;
use crate::io::Input;
use crate::{certificate, io};

/// Name, namespace and scope are those of the target. Items, labels and annotations of the input are added or replaced;
/// every other byte of the target stays.
///
/// # Errors
/// When input or target cannot be used; then the target stays as it is.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    if output::file(flags).is_some() {
        return Err(Error::NoOutputFile("--merge-into"));
    }
    // The target keeps its own format.
    output::format(flags)?;
    let path = flags.text("merge-into").unwrap_or_default();
    let input = Input::read(flags.text("secret-file"))?;
    let target = Input::read_target(path)?;
    let certificate = certificate::load(flags)?;
    let mut secrets = seal::secrets(&input)?;
    let (Some(secret), true) = (secrets.pop(), secrets.is_empty()) else {
        return Err(Error::MergeCount(secrets.len() + 1));
    };
    let secret = moved(flags, secret, &existing(&target)?, path)?;
    let sealed = seal::seal(flags, &certificate, seal::with_namespace(flags, secret)?)?;
    let edited =
        apply(&target.text, &changes(&sealed)).map_err(|cause| Error::Edit(path.to_owned(), cause))?;
    expect_only_ciphertext(&target, &edited)?;
    io::replace_edited(&target, &edited)
}

/// The Secret with name, namespace and scope of the target, under which its items will be opened.
fn moved(flags: &Flags, mut secret: Secret, existing: &SealedSecret, path: &str) -> Result<Secret, Error> {
    let scope = Scope::from_annotations(existing.metadata.annotations.as_ref());
    let asked: Scope = flags.text("scope").unwrap_or_default().parse()?;
    if flags.was_given("scope") && asked != scope {
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

/// An item of the target that is no text is an error, unless it was replaced.
fn expect_only_ciphertext(target: &Input, edited: &str) -> Result<(), Error> {
    let is_mended = documents(edited).is_ok_and(|documents| sealed_secrets_of(&documents).is_ok());
    if is_mended { Ok(()) } else { validate::sealed_secrets(target).map(drop) }
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
