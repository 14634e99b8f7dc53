//! SealedSecrets of a file, and the place that their items are sealed for.

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::manifest::receipts::ItemReceipt;
use sealed_secrets_core::manifest::{Field, Manifest, SealedObject};
use sealed_secrets_core::receipt::Receipt;
use sealed_secrets_core::seal::seal_value;
use sealed_secrets_crds::{Scope, SealedSecret};

use super::certificates::Sealer;
use super::destination::Destination;
use super::flags::ObjectFlags;
use crate::error::{Error, FileError, FileProblem};

/// Parses a file with SealedSecrets.
///
/// # Errors
/// When it cannot be parsed.
pub(crate) fn parse(file: &str, text: &str) -> Result<Manifest, Error> {
    Manifest::parse(text).map_err(|error| FileError::of_manifest(file, error))
}

/// The SealedSecret that is meant: the only one of the file, or that of `--name [NAMESPACE/]NAME`.
///
/// # Errors
/// When there is none or more than one, or the object has items that are not strings, or the deprecated `spec.data`.
pub(crate) fn select<'m>(
    file: &str,
    manifest: &'m Manifest,
    wanted: Option<&str>,
) -> Result<SealedObject<'m>, Error> {
    let all = sealed_secrets(file, manifest)?;
    let names = || all.iter().map(shown_object).collect();
    let matching: Vec<_> =
        all.iter().filter(|object| wanted.is_none_or(|wanted| is_named(object, wanted))).collect();
    let object = match (matching.as_slice(), wanted) {
        ([one], _) => **one,
        ([], Some(wanted)) => {
            return Err(FileProblem::NoSuchObject { wanted: wanted.to_owned(), found: names() }.of(file));
        }
        _ => return Err(FileProblem::Several(names()).of(file)),
    };
    expect_editable(file, &object)?;
    Ok(object)
}

/// The SealedSecrets of a file.
///
/// # Errors
/// When there is none.
pub(crate) fn sealed_secrets<'m>(file: &str, manifest: &'m Manifest) -> Result<Vec<SealedObject<'m>>, Error> {
    let all = manifest.sealed_secrets();
    if all.is_empty() {
        return Err(match manifest.plain_secret_line() {
            Some(line) => FileProblem::PlainSecret.at(file, line),
            None => FileProblem::NoSealedSecret.of(file),
        });
    }
    Ok(all)
}

/// Expects an object whose items commands can edit.
///
/// # Errors
/// When the object has items that are not strings, or the deprecated `spec.data`.
pub(crate) fn expect_editable(file: &str, object: &SealedObject<'_>) -> Result<(), Error> {
    if let Some(line) = object.v1_data_line() {
        return Err(FileProblem::V1Data.at(file, line));
    }
    object.read().map(drop).map_err(|error| FileError::of_field(file, &error))
}

fn is_named(object: &SealedObject<'_>, wanted: &str) -> bool {
    let (namespace, name) = split_name(wanted);
    let fits = |field: Field<String>, wanted: &str| match field {
        Field::Literal(text) => text == wanted,
        Field::Templated => true,
        Field::Absent => false,
    };
    fits(object.name(), name)
        && namespace.is_none_or(|namespace| {
            object.namespace() == Field::Absent || fits(object.namespace(), namespace)
        })
}

fn split_name(wanted: &str) -> (Option<&str>, &str) {
    wanted.split_once('/').map_or((None, wanted), |(namespace, name)| (Some(namespace), name))
}

/// Namespace and name of an object, as far as the file says them.
pub(crate) fn shown_object(object: &SealedObject<'_>) -> String {
    let text_of = |field: Field<String>| match field {
        Field::Literal(text) => Some(text),
        Field::Templated => Some("{{…}}".to_owned()),
        Field::Absent => None,
    };
    let name = text_of(object.name()).unwrap_or_else(|| "(without a name)".to_owned());
    text_of(object.namespace()).map_or(name.clone(), |namespace| format!("{namespace}/{name}"))
}

/// The place that items are sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) scope: Scope,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Binding {
    /// The place of an object's items: what the file says, else flags, else the rule.
    ///
    /// # Errors
    /// When the scope needs a name or namespace that nothing says, or a flag contradicts the file.
    pub(crate) fn of(
        file: &str,
        object: &SealedObject<'_>,
        wanted: Option<&str>,
        flags: &ObjectFlags,
        destination: &Destination,
    ) -> Result<Self, Error> {
        let at = |problem: FileProblem| problem.at(file, object.line());
        let (namespace, name) = wanted.map_or((None, None), |wanted| {
            let (namespace, name) = split_name(wanted);
            (namespace, Some(name))
        });
        let (flag, scope) = (flags.namespace()?.or(namespace), flags.scope()?);
        let scope = agreed("scope", "--scope", object.scope(), scope).map_err(at)?.unwrap_or_default();
        let namespace = agreed("namespace", "-n", object.namespace(), flag.map(str::to_owned));
        let name = agreed("name", "--name", object.name(), name.map(str::to_owned));
        let namespace = match scope {
            Scope::ClusterWide => or_unknown(namespace).map_err(at)?,
            _ => namespace.map_err(at)?.or_else(|| destination.namespace.clone()),
        };
        let name = if scope == Scope::Strict { name } else { or_unknown(name) }.map_err(at)?;
        match (scope, &namespace, &name) {
            (Scope::Strict | Scope::NamespaceWide, None, _) => Err(at(FileProblem::NoNamespace(scope))),
            (Scope::Strict, _, None) => Err(at(FileProblem::NoName)),
            _ => Ok(Self { scope, namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default() }),
        }
    }

    /// Seals a value. Returns the base64 text of the item and its receipt.
    ///
    /// # Errors
    /// When the value is too long.
    pub(crate) fn seal(&self, sealer: &Sealer, value: &[u8]) -> Result<(String, Receipt), Error> {
        let item = seal_value(&mut rand::rng(), sealer.key(), &self.label(), value)?;
        let receipt = self.receipt(sealer.key().fingerprint(), &item);
        Ok((item, receipt))
    }

    /// The label of its items.
    pub(crate) fn label(&self) -> Label {
        Label::new(self.scope, &self.namespace, &self.name)
    }

    /// The receipt of a ciphertext that was sealed to `key`.
    pub(crate) fn receipt(&self, key: &Fingerprint, ciphertext: &str) -> Receipt {
        Receipt::new(key, self.scope, &self.namespace, &self.name, ciphertext)
    }

    /// The receipts of all items of an object that is the first one of its text.
    pub(crate) fn receipts(&self, sealer: &Sealer, object: &SealedSecret) -> Vec<ItemReceipt> {
        let receipt = |(key, ciphertext): (&String, &String)| ItemReceipt {
            object: 0,
            key: key.clone(),
            receipt: Some(self.receipt(sealer.key().fingerprint(), ciphertext)),
        };
        object.spec.encrypted_data.iter().map(receipt).collect()
    }

    /// Namespace, name and scope for reports.
    pub(crate) fn describe(&self) -> String {
        let place = [self.namespace.as_str(), self.name.as_str()];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{} ({})", place.join("/"), self.scope)
    }
}

/// A field that the scope does not need: a template may fill it in.
fn or_unknown(field: Result<Option<String>, FileProblem>) -> Result<Option<String>, FileProblem> {
    match field {
        Err(FileProblem::Templated { .. }) => Ok(None),
        field => field,
    }
}

/// The value of a field; a flag says it where the file does not.
///
/// # Errors
/// When both say it and differ, or the field is an expression of a template and there is no flag.
pub(crate) fn agreed<T: Clone + PartialEq + std::fmt::Display>(
    field: &'static str,
    flag: &'static str,
    found: Field<T>,
    given: Option<T>,
) -> Result<Option<T>, FileProblem> {
    match (found, given) {
        (Field::Literal(found), Some(given)) if found != given => Err(FileProblem::Contradiction {
            field,
            flag,
            found: found.to_string(),
            given: given.to_string(),
        }),
        (Field::Literal(found), _) => Ok(Some(found)),
        (Field::Absent, given) => Ok(given),
        (Field::Templated, Some(given)) => Ok(Some(given)),
        (Field::Templated, None) => Err(FileProblem::Templated { field, flag }),
    }
}
