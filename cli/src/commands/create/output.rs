//! The new SealedSecrets: their metadata, destinations and files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use clap::{Args, ValueEnum};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_core::manifest::receipts::write_receipts;
use sealed_secrets_core::manifest::{Format, sealed_secret_text};
use sealed_secrets_core::names::{
    LABEL_VALUE_RULE, QUALIFIED_NAME_RULE, is_label_value, is_qualified_name, refused_name,
};
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, NAMESPACE_WIDE_ANNOTATION};
use sealed_secrets_crds::{Scope, SealedSecret};

use super::sources::Values;
use crate::error::{Error, FileError, FileProblem};
use crate::workflow::{
    Binding, Certificates, Destination, Destinations, ObjectFlags, STDIN, Sealer, SealingFlags, expect_free,
};
use crate::{interrupt, io};

/// The name of stdout in messages.
const STDOUT: &str = "stdout";

/// A format of manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ManifestFormat {
    #[default]
    Yaml,
    Json,
}

/// Destinations and metadata of the new SealedSecrets.
#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    /// Write to this file instead of stdout; repeatable, and each file is sealed for its own cluster
    #[arg(short, long, value_name = "FILE", alias = "sealed-secret-file", value_hint = clap::ValueHint::FilePath)]
    write: Vec<String>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Format on stdout; that of a file follows from its name
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", alias = "format")]
    output: ManifestFormat,
    #[command(flatten)]
    object: ObjectFlags,
    /// Annotation of the SealedSecret
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    annotation: Vec<String>,
    /// Label of the SealedSecret
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    label: Vec<String>,
    /// Annotation of the Secret
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    secret_annotation: Vec<String>,
    /// Label of the Secret
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    secret_label: Vec<String>,
    #[command(flatten)]
    sealing: SealingFlags,
}

/// Name and type of the new Secret.
pub(super) struct NewSecret<'a> {
    pub(super) name: &'a str,
    pub(super) type_: Option<&'a str>,
}

/// A file that is written, with all that depends on its path.
struct Target<'f> {
    /// `None` for stdout.
    file: Option<&'f str>,
    format: Format,
    binding: Binding,
    destination: Destination,
    sealer: Rc<Sealer>,
}

impl OutputFlags {
    /// Checks names, labels and annotations. Reads nothing.
    ///
    /// # Errors
    /// When the API server would reject one, or a file is given twice.
    pub(super) fn check(&self, secret: &NewSecret<'_>) -> Result<(), Error> {
        if secret.name.is_empty() {
            return Err(Error::Argument("NAME is empty".to_owned()));
        }
        if let Some(refusal) = refused_name(secret.name) {
            return Err(Error::Argument(refusal));
        }
        self.object.namespace()?;
        self.object.scope()?;
        self.annotations()?;
        self.labels()?;
        self.annotations_of_secret()?;
        self.labels_of_secret()?;
        let mut files = BTreeSet::new();
        if let Some(file) = self.write.iter().find(|file| !files.insert(*file)) {
            return Err(Error::Argument(format!("-w {file} is given twice")));
        }
        Ok(())
    }

    /// Loads the certificates, reads the values, seals them for each file, and then writes the files.
    ///
    /// # Errors
    /// When something is missing or cannot be used; then nothing is written.
    pub(super) fn write(
        &self,
        secret: &NewSecret<'_>,
        accept: impl Fn(&Sealer) -> Result<(), Error>,
        read: impl FnOnce() -> Result<Values, Error>,
    ) -> Result<(), Error> {
        interrupt::handle()?;
        let targets = self.targets(secret.name)?;
        targets.iter().try_for_each(|target| accept(&target.sealer))?;
        let values = read()?;
        let texts: Vec<String> =
            targets.iter().map(|target| self.text(secret, target, &values)).collect::<Result<_, _>>()?;
        let all = || targets.iter().zip(&texts);
        let mut files = all().filter_map(|(target, text)| Some((target.file?, text.as_bytes())));
        if self.force {
            // A repeated run replaces all files again.
            files.try_for_each(|(file, text)| io::replace_public(file, text))?;
        } else {
            // All or none: a repeated run would refuse those that are there already.
            io::create_all(&files.collect::<Vec<_>>())?;
        }
        // If stdout fails, the files are written all the same.
        let mut stdout = all().filter(|(target, _)| target.file.is_none());
        let stdout = stdout.try_for_each(|(_, text)| io::write(None, text.as_bytes()));
        for target in targets.iter().filter(|target| target.file.is_some() || stdout.is_ok()) {
            io::log(&target.report(values.len()));
        }
        stdout
    }

    fn targets(&self, name: &str) -> Result<Vec<Target<'_>>, Error> {
        let mut certificates = Certificates::new(&self.sealing);
        let destinations = Destinations::default();
        let stdout = [STDIN.to_owned()];
        let files = if self.write.is_empty() { &stdout[..] } else { &self.write };
        let mut targets = Vec::new();
        for file in files {
            let file = self.write.iter().find(|given| *given == file && *given != STDIN).map(String::as_str);
            // On stdout the rules are those of a file of this name in the current folder.
            let path = file.map_or_else(|| format!("{name}.yaml"), str::to_owned);
            let destination = destinations.of(Path::new(&path), self.sealing.cluster_name.as_deref())?;
            let binding = self.binding(name, file.unwrap_or(STDOUT), &destination)?;
            if let Some(file) = file {
                expect_free(file, self.force)?;
            }
            targets.push((file, destination, binding));
        }
        let load = |(file, destination, binding)| {
            let sealer = certificates.of(&destination)?;
            Ok(Target { file, format: self.format(file), binding, destination, sealer })
        };
        targets.into_iter().map(load).collect()
    }

    fn binding(&self, name: &str, file: &str, destination: &Destination) -> Result<Binding, Error> {
        let scope = self.object.scope()?.or(destination.scope).unwrap_or_default();
        let namespace = self.object.namespace()?.map(str::to_owned).or_else(|| destination.namespace.clone());
        if namespace.is_none() && scope != Scope::ClusterWide {
            return Err(FileProblem::NoNamespace(scope).of(file));
        }
        Ok(Binding { scope, namespace: namespace.unwrap_or_default(), name: name.to_owned() })
    }

    fn format(&self, file: Option<&str>) -> Format {
        let extension = file.and_then(|file| Path::new(file).extension()?.to_str());
        match (extension, self.output) {
            (Some("json"), _) | (None, ManifestFormat::Json) => Format::Json,
            (Some("yaml" | "yml"), _) | (_, ManifestFormat::Yaml) => Format::Yaml,
            (Some(_), ManifestFormat::Json) => Format::Json,
        }
    }

    fn text(&self, secret: &NewSecret<'_>, target: &Target<'_>, values: &Values) -> Result<String, Error> {
        let sealed = self.sealed(secret, target, values)?;
        let text = sealed_secret_text(&sealed, target.format);
        if target.format == Format::Json || !target.destination.has_receipts || self.sealing.no_receipt {
            return Ok(text);
        }
        write_receipts(&text, &target.binding.receipts(&target.sealer, &sealed))
            .map_err(|error| FileError::of_edit(target.file.unwrap_or(STDIN), error))
    }

    fn sealed(
        &self,
        secret: &NewSecret<'_>,
        target: &Target<'_>,
        values: &Values,
    ) -> Result<SealedSecret, Error> {
        let Binding { scope, namespace, name } = &target.binding;
        let mut annotations = self.annotations_of_secret()?;
        scope.write_to(&mut annotations);
        let data = values.iter().map(|(key, value)| (key.clone(), ByteString(value.to_vec())));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                annotations: Some(annotations),
                labels: Some(self.labels_of_secret()?),
                ..ObjectMeta::default()
            },
            type_: secret.type_.map(str::to_owned),
            data: Some(data.collect()),
            ..Secret::default()
        };
        let mut sealed = seal_secret(&mut rand::rng(), target.sealer.key(), secret)?;
        let metadata = &mut sealed.metadata;
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.extend(target.destination.annotations.clone());
        annotations.extend(self.annotations()?);
        let labels = metadata.labels.get_or_insert_default();
        labels.extend(target.destination.labels.clone());
        labels.extend(self.labels()?);
        Ok(sealed)
    }

    fn annotations(&self) -> Result<BTreeMap<String, String>, Error> {
        pairs(&self.annotation, "--annotation", false)
    }

    fn labels(&self) -> Result<BTreeMap<String, String>, Error> {
        pairs(&self.label, "--label", true)
    }

    fn annotations_of_secret(&self) -> Result<BTreeMap<String, String>, Error> {
        pairs(&self.secret_annotation, "--secret-annotation", false)
    }

    fn labels_of_secret(&self) -> Result<BTreeMap<String, String>, Error> {
        pairs(&self.secret_label, "--secret-label", true)
    }
}

impl Target<'_> {
    fn report(&self, items: usize) -> String {
        let file = self.file.unwrap_or(STDOUT);
        let items = if items == 1 { "1 item".to_owned() } else { format!("{items} items") };
        format!("{file}: created {}, {items}, {}", self.binding.describe(), self.sealer.describe())
    }
}

/// Parses labels or annotations.
fn pairs(texts: &[String], flag: &str, is_label: bool) -> Result<BTreeMap<String, String>, Error> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let refused = |why: &str| Error::Argument(format!("{flag}: {why}"));
        let (key, value) = text.split_once('=').ok_or_else(|| refused("expected KEY=VALUE"))?;
        if !is_qualified_name(key) {
            return Err(refused(QUALIFIED_NAME_RULE));
        }
        if is_label && !is_label_value(value) {
            return Err(refused(LABEL_VALUE_RULE));
        }
        if matches!(key, CLUSTER_WIDE_ANNOTATION | NAMESPACE_WIDE_ANNOTATION) {
            return Err(refused("the scope is not set by an annotation, but by --scope"));
        }
        if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(refused(&format!("the key {key} is given twice")));
        }
    }
    Ok(pairs)
}

/// Refuses words after NAME without quoting them, since they may be values.
pub(super) fn expect_no_value(words: &[String]) -> Result<(), Error> {
    if words.is_empty() {
        return Ok(());
    }
    Err(Error::Argument(
        "there is an argument after NAME; values cannot be passed as arguments, because command lines end up in the shell history: use --prompt KEY, \
         --from-file [KEY=]FILE or --generate KEY"
            .to_owned(),
    ))
}
