//! The SealedSecrets of the files that paths stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::ByteString;
use sealed_secrets_core::manifest::{Field, Item, Manifest, SealedObject, SensitiveText};
use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION, SEALED_SECRET_KIND};
use sealed_secrets_crds::{Scope, SealedSecret, SealedSecretSpec};

use super::destination::{Destination, Destinations};
use super::files::{Content, Listed, SourceFile, files, listed};
use super::flags::ObjectFlags;
use super::objects::Binding;
use super::parallel::map_in_parallel;
use super::values::STDIN;
use crate::error::{Error, FileError, FileProblem};

/// A file with SealedSecrets, and the cluster that it is for.
pub(crate) struct BoundFile {
    pub(crate) path: String,
    pub(crate) destination: Destination,
    /// The text of stdin, which can be read only once.
    pub(crate) stdin: Option<SensitiveText>,
    /// In the order of the file.
    pub(crate) objects: Vec<BoundObject>,
}

/// A SealedSecret, or a part of a file that cannot be read.
pub(crate) struct BoundObject {
    /// Index among the objects of the file, from 0, for edits.
    pub(crate) index: usize,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) content: Result<BoundItems, Error>,
}

/// The items of a SealedSecret, and their place.
pub(crate) struct BoundItems {
    pub(crate) binding: Binding,
    /// All but those that a template fills in; each has a ciphertext.
    pub(crate) items: Vec<Item>,
    /// The deprecated `spec.data`.
    pub(crate) v1_data: Option<ByteString>,
}

impl BoundObject {
    /// Namespace and name, as far as the file or flags say them, with a colon for a message; nothing without a name.
    pub(crate) fn prefix(&self) -> String {
        let Some(name) = &self.name else { return String::new() };
        self.namespace
            .as_ref()
            .map_or_else(|| format!("{name}: "), |namespace| format!("{namespace}/{name}: "))
    }
}

impl BoundItems {
    /// The object for the controller, with these items only and without a template.
    pub(crate) fn sealed_secret<'i>(&self, items: impl Iterator<Item = &'i Item>) -> SealedSecret {
        let item = |item: &Item| Some((item.key.clone(), item.ciphertext.clone()?));
        let spec = SealedSecretSpec {
            encrypted_data: items.filter_map(item).collect(),
            ..SealedSecretSpec::default()
        };
        let mut sealed = SealedSecret::new(&self.binding.name, spec);
        let annotation = match self.binding.scope {
            Scope::Strict => None,
            Scope::NamespaceWide => Some(NAMESPACE_WIDE_ANNOTATION),
            Scope::ClusterWide => Some(CLUSTER_WIDE_ANNOTATION),
        };
        sealed.metadata.namespace = Some(self.binding.namespace.clone());
        sealed.metadata.annotations = annotation.map(|name| [(name.to_owned(), "true".to_owned())].into());
        sealed
    }
}

/// Words that restrict or complete what the files say.
pub(crate) struct Wanted<'a> {
    /// The cluster of `--for`; files of other clusters are left out.
    pub(crate) cluster_name: Option<&'a str>,
    /// The name where a template fills it in.
    pub(crate) name: Option<&'a str>,
    pub(crate) object: &'a ObjectFlags,
}

/// Reads the SealedSecrets of the paths, each file once. An object that cannot be read, and a file that cannot be parsed and
/// mentions SealedSecrets, are there with their error.
///
/// # Errors
/// When a path cannot be read or holds no SealedSecret, a flag or a project file cannot be used, or the only object cannot be read.
pub(crate) fn bound_files(paths: &[String], wanted: &Wanted<'_>) -> Result<Vec<BoundFile>, Error> {
    wanted.object.namespace()?;
    wanted.object.scope()?;
    let destinations = Destinations::default();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for path in paths {
        let mut is_empty = true;
        let with_destination = |file: Listed| {
            let destination = destinations.of(file.path(), None)?;
            Ok((file, destination))
        };
        let listed = listed(std::slice::from_ref(path))?.into_iter().map(with_destination);
        let listed = listed.collect::<Result<Vec<_>, Error>>()?;
        let read = map_in_parallel(&listed, |(file, destination)| {
            let source = file.read()?;
            let objects = objects(&source, wanted, destination);
            Some((source.path.clone(), stdin_of(&source), objects))
        });
        for ((_, destination), read) in listed.into_iter().zip(read) {
            let Some((path, stdin, objects)) = read.filter(|(_, _, objects)| !objects.is_empty()) else {
                continue;
            };
            is_empty = false;
            let is_wanted = is_for(&destinations, &path, &destination, wanted.cluster_name)?;
            if is_wanted && seen.insert(path.clone()) {
                found.push(BoundFile { path, destination, stdin, objects });
            }
        }
        if is_empty {
            return Err(nothing_in(path));
        }
    }
    or_only_error(found)
}

/// Indices of the files, by cluster.
pub(crate) fn by_cluster(files: &[BoundFile]) -> Vec<Vec<usize>> {
    let mut clusters: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let project = file.destination.project().map(|project| project.name.as_str());
        let name = file.destination.cluster().map(|(name, _)| name);
        clusters.entry((project.filter(|_| name.is_some()), name)).or_default().push(index);
    }
    clusters.into_values().collect()
}

/// True if the file is for the cluster of `--for`.
fn is_for(
    destinations: &Destinations,
    path: &str,
    destination: &Destination,
    given: Option<&str>,
) -> Result<bool, Error> {
    let Some(given) = given else { return Ok(true) };
    destinations.of(Path::new(path), Some(given))?;
    Ok(destination.cluster().is_some_and(|(name, _)| name == given))
}

fn nothing_in(path: &str) -> Error {
    let plain = || {
        let source = files(&[path.to_owned()]).ok()?.pop().filter(|source| source.is_named)?;
        let Content::Text(text) = &source.content else { return None };
        Manifest::parse(text).ok()?.plain_secret_line()
    };
    match plain() {
        Some(line) => FileProblem::PlainSecret.at(path, line),
        None if Path::new(path).is_dir() => FileProblem::EmptyFolder("SealedSecret").of(path),
        None => FileProblem::NoSealedSecret.of(path),
    }
}

/// An error that is the only result is that of the command.
fn or_only_error(mut found: Vec<BoundFile>) -> Result<Vec<BoundFile>, Error> {
    let is_only = found.len() == 1 && found.iter().all(|file| file.objects.len() == 1);
    let only = found.first_mut().filter(|_| is_only).and_then(|file| file.objects.first_mut());
    match only.map(|object| &object.content) {
        Some(Err(_)) => {}
        _ => return Ok(found),
    }
    let mut objects = found.into_iter().flat_map(|file| file.objects);
    objects.find_map(|object| object.content.err()).map_or_else(|| Ok(Vec::new()), Err)
}

/// The SealedSecrets of a file, which is parsed only if it mentions them.
fn objects(source: &SourceFile, wanted: &Wanted<'_>, destination: &Destination) -> Vec<BoundObject> {
    match &source.content {
        Content::Text(text) if text.contains(SEALED_SECRET_KIND) => {
            bound_objects(&source.path, text, wanted, destination)
                .unwrap_or_else(|error| vec![unreadable(error)])
        }
        Content::Skipped(reason) if source.is_named => {
            vec![unreadable(FileProblem::Field((*reason).to_owned()).of(&source.path))]
        }
        Content::Text(_) | Content::Skipped(_) => Vec::new(),
    }
}

/// The SealedSecrets of a text.
///
/// # Errors
/// When it cannot be parsed.
pub(crate) fn bound_objects(
    file: &str,
    text: &str,
    wanted: &Wanted<'_>,
    destination: &Destination,
) -> Result<Vec<BoundObject>, Error> {
    let manifest = Manifest::parse(text).map_err(|error| FileError::of_manifest(file, error))?;
    let sealed = manifest.sealed_secrets();
    Ok(sealed.iter().map(|object| bound_object(file, object, wanted, destination)).collect())
}

fn stdin_of(source: &SourceFile) -> Option<SensitiveText> {
    match &source.content {
        Content::Text(text) if source.path == STDIN => Some(text.clone()),
        _ => None,
    }
}

fn line_of(error: &Error) -> Option<usize> {
    if let Error::InFile(error) = error { error.line } else { None }
}

fn unreadable(error: Error) -> BoundObject {
    let line = line_of(&error);
    BoundObject { index: 0, line: line.unwrap_or(1), namespace: None, name: None, content: Err(error) }
}

fn bound_object(
    file: &str,
    object: &SealedObject<'_>,
    wanted: &Wanted<'_>,
    destination: &Destination,
) -> BoundObject {
    let literal = |field| if let Field::Literal(text) = field { Some(text) } else { None };
    let content = bound_items(file, object, wanted, destination);
    let bound = content.as_ref().ok().map(|bound| &bound.binding);
    let or_bound = |text: Option<String>, field: fn(&Binding) -> &String| {
        text.or_else(|| bound.map(field).filter(|text| !text.is_empty()).cloned())
    };
    BoundObject {
        index: object.index,
        line: content.as_ref().err().and_then(line_of).unwrap_or_else(|| object.line()),
        namespace: or_bound(literal(object.namespace()), |binding| &binding.namespace),
        name: or_bound(literal(object.name()), |binding| &binding.name),
        content,
    }
}

fn bound_items(
    file: &str,
    object: &SealedObject<'_>,
    wanted: &Wanted<'_>,
    destination: &Destination,
) -> Result<BoundItems, Error> {
    let binding = Binding::of(file, object, wanted.name, wanted.object, destination)?;
    let mut items = object.items();
    items.retain(|item| !item.is_templated);
    let has_no_text = items.iter().any(|item| item.ciphertext.is_none());
    let v1_data = if has_no_text || object.v1_data_line().is_some() {
        object.read().map_err(|error| FileError::of_field(file, &error))?.spec.data
    } else {
        None
    };
    Ok(BoundItems { binding, items, v1_data })
}
