//! `seal` turns the Secrets of files into SealedSecrets.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sealed_secrets_core::manifest::receipts::write_receipts;
use sealed_secrets_core::manifest::{
    Field, Format, Manifest, PlainSecret, PlainSecretsError, SecretDocument, mentions_kind, plain_secrets,
    replace_documents, sealed_secret_text,
};
use sealed_secrets_core::names::{KEY_RULE, refused_key, refused_name, refused_namespace};
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_crds::Scope;
use zeroize::Zeroizing;

use crate::error::{Error, FileError, FileProblem};
use crate::workflow::{
    Binding, Certificates, Content, Destination, Destinations, Edited, MAXIMUM_SIZE, ObjectFlags, STDIN,
    SealingFlags, SourceFile, agreed, expect_free, failure, files, is_stdin, write_prepared,
};
use crate::{git, interrupt, io};

/// Turn the Secrets of files into SealedSecrets; every other document stays
#[derive(Debug, Args)]
#[command(
    long_about = "Turn the Secrets of files into SealedSecrets. Every other document stays byte for byte. Comments of a Secret are dropped,\n\
                  since they may hold values. The result goes to stdout, to the file of -w, or with -i into the files themselves.\n\
                  Nothing is written unless all Secrets can be sealed. Objects that are sealed already stay as they are.",
    after_help = "Examples:\n  \
                  kubeseal seal -i deploy/prod/db.yaml                     replace the Secrets in this file\n  \
                  kubeseal seal -i deploy                                  and in all files of a folder\n  \
                  kubeseal seal secret.yaml -w sealed.yaml\n  \
                  kubectl kustomize . | kubeseal seal - | kubectl apply -f -"
)]
pub(crate) struct SealPaths {
    /// Files, and with -i also folders (`-` is stdin)
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<String>,
    /// Replace the Secrets in the files themselves
    #[arg(short, long, conflicts_with = "write")]
    in_place: bool,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE", alias = "sealed-secret-file", value_hint = clap::ValueHint::FilePath)]
    write: Option<String>,
    /// Replace the file of -w if it exists
    #[arg(long, requires = "write")]
    force: bool,
    #[command(flatten)]
    object: ObjectFlags,
    #[command(flatten)]
    sealing: SealingFlags,
}

/// A file as it was read, and as it is written.
struct SealedText {
    path: String,
    before: Zeroizing<String>,
    after: String,
    /// One line for each Secret, without the path.
    reports: Vec<String>,
}

impl SealPaths {
    /// Seals the Secrets of the paths, and writes the SealedSecrets.
    ///
    /// # Errors
    /// When a file cannot be read, a Secret cannot be sealed or a path holds none; then nothing is written.
    pub(super) fn run(&self) -> Result<(), Error> {
        self.check()?;
        interrupt::handle()?;
        let sources = self.sources()?;
        let mut run = Run {
            seal: self,
            destinations: Destinations::default(),
            certificates: Certificates::new(&self.sealing),
            has_several: sources.len() > 1,
        };
        let (mut sealed, mut problems) = (Vec::new(), Vec::new());
        for source in sources {
            match run.sealed(source) {
                Ok(text) => sealed.extend(text),
                Err(mut found) => problems.append(&mut found),
            }
            if problems.iter().any(is_of_run) {
                break;
            }
        }
        if let Some(error) = run.failure(problems) {
            return Err(error);
        }
        self.expect_something(&sealed)?;
        if self.in_place { run.write_in_place(sealed) } else { self.write(&sealed) }
    }

    fn check(&self) -> Result<(), Error> {
        self.object.namespace()?;
        self.object.scope()?;
        let from_stdin = self.paths.iter().filter(|path| is_stdin(path)).count();
        if from_stdin > 1 {
            return Err(Error::Argument("stdin can be read once, as one PATH".to_owned()));
        }
        if from_stdin > 0 && self.in_place {
            return Err(Error::Argument("-i replaces files, and stdin is none; leave it out".to_owned()));
        }
        let is_folder = |path: &&String| fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
        if let Some(folder) = self.paths.iter().find(is_folder).filter(|_| !self.in_place) {
            return Err(Error::Argument(format!(
                "{folder} is a folder; add -i to seal the Secrets in its files"
            )));
        }
        self.write
            .as_deref()
            .filter(|file| *file != STDIN)
            .map_or(Ok(()), |file| expect_free(file, self.force))
    }

    fn sources(&self) -> Result<Vec<SourceFile>, Error> {
        let mut seen = BTreeSet::new();
        let mut sources = Vec::new();
        for path in &self.paths {
            sources.extend(
                files(std::slice::from_ref(path))?.into_iter().filter(|file| seen.insert(file.path.clone())),
            );
        }
        Ok(sources)
    }

    /// Every path has Secrets, or SealedSecrets of a run before.
    fn expect_something(&self, sealed: &[SealedText]) -> Result<(), Error> {
        for path in &self.paths {
            let is_folder = Path::new(path).is_dir();
            let holds = |text: &SealedText| {
                let is_below = text.path == *path || (is_folder && is_below(&text.path, path));
                is_below || (is_stdin(path) && text.path == STDIN)
            };
            if !sealed.iter().any(holds) {
                let problem =
                    if is_folder { FileProblem::EmptyFolder("Secret") } else { FileProblem::NoSecret };
                return Err(problem.of(path));
            }
        }
        Ok(())
    }

    /// Writes all files one after the other.
    fn write(&self, sealed: &[SealedText]) -> Result<(), Error> {
        let mut text = String::new();
        for file in sealed {
            let begins = file.after.trim_start_matches('\u{feff}');
            if text.is_empty() {
                text.push_str(&file.after);
            } else {
                text.push_str(if text.ends_with('\n') { "" } else { "\n" });
                text.push_str(if begins.starts_with("---") { "" } else { "---\n" });
                text.push_str(begins);
            }
        }
        match self.write.as_deref().filter(|file| *file != STDIN) {
            Some(file) if self.force => io::replace_public(file, text.as_bytes())?,
            Some(file) => io::create(file, text.as_bytes())?,
            None => io::write(None, text.as_bytes())?,
        }
        let output = self.write.as_deref().filter(|file| *file != STDIN).unwrap_or("stdout");
        for report in sealed.iter().flat_map(|file| &file.reports) {
            io::log(&format!("{output}{report}"));
        }
        Ok(())
    }
}

/// True if the file is one of the folder.
fn is_below(file: &str, folder: &str) -> bool {
    let plain = Path::new(folder).components().filter(|part| *part != std::path::Component::CurDir);
    let plain: std::path::PathBuf = plain.collect();
    Path::new(file).starts_with(folder) || Path::new(file).starts_with(plain)
}

/// One run over several files.
struct Run<'s> {
    seal: &'s SealPaths,
    destinations: Destinations,
    certificates: Certificates<'s>,
    has_several: bool,
}

impl Run<'_> {
    /// The error of the run. A mistake in one of several files is not a wrong command line.
    fn failure(&self, mut problems: Vec<Error>) -> Option<Error> {
        if let Some(at) = problems.iter().position(is_of_run) {
            return Some(problems.swap_remove(at));
        }
        if self.has_several && problems.len() == 1 {
            return problems.pop().map(|problem| Error::Value(problem.to_string()));
        }
        failure(problems)
    }

    /// Seals the Secrets of a file. `None` for a file without Secrets and SealedSecrets.
    fn sealed(&mut self, source: SourceFile) -> Result<Option<SealedText>, Vec<Error>> {
        let path = source.path;
        let mut text = match source.content {
            Content::Text(text) => text.into_wiped(),
            Content::Skipped(reason) if source.is_named => {
                return Err(vec![FileProblem::Skipped(reason).of(&path)]);
            }
            Content::Skipped(_) => return Ok(None),
        };
        let one = |error| vec![error];
        let mut found = plain_secrets(&text);
        if self.seal.in_place && found.as_ref().is_ok_and(|found| !found.documents.is_empty()) {
            // With its byte order mark, and only if it may be replaced.
            text = io::read_editable(&path).map_err(one)?;
            found = plain_secrets(&text);
        }
        match found {
            Ok(found) if found.documents.is_empty() => Ok(holds_sealed_secrets(&text).then(|| SealedText {
                path,
                after: text.to_string(),
                before: text,
                reports: vec![": nothing to seal".to_owned()],
            })),
            Ok(found) => {
                let format = self.format(found.has_others);
                let destination = self.destination(&path).map_err(one)?;
                self.sealed_text(path, text, found.documents, format, &destination).map(Some)
            }
            Err(PlainSecretsError::Template { is_literal: false, .. }) if !source.is_named => Ok(None),
            Err(error) if source.is_named || mentions_kind(&text, &["Secret", "SecretList"]) => {
                Err(vec![file_error(&path, error)])
            }
            Err(_) => Ok(None),
        }
    }

    /// The destination of the file that is written.
    fn destination(&self, path: &str) -> Result<Destination, Error> {
        let written = self.seal.write.as_deref().filter(|file| *file != STDIN).unwrap_or(path);
        self.destinations.of(Path::new(written), self.seal.sealing.cluster_name.as_deref())
    }

    /// The format of the file of -w by its name, if all documents are Secrets.
    fn format(&self, has_others: bool) -> Option<Format> {
        let extension = Path::new(self.seal.write.as_deref()?).extension()?.to_str()?;
        match extension {
            "json" if !has_others => Some(Format::Json),
            "yaml" | "yml" if !has_others => Some(Format::Yaml),
            _ => None,
        }
    }

    fn sealed_text(
        &mut self,
        path: String,
        before: Zeroizing<String>,
        documents: Vec<SecretDocument>,
        format: Option<Format>,
        destination: &Destination,
    ) -> Result<SealedText, Vec<Error>> {
        let (mut replacements, mut reports, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for mut document in documents {
            let mut texts = Vec::new();
            for plain in std::mem::take(&mut document.secrets) {
                match self.sealed_secret(&path, plain, format.unwrap_or(document.format), destination) {
                    Ok((text, report)) => {
                        texts.push(text);
                        reports.push(report);
                    }
                    Err(problem) if is_of_run(&problem) => return Err(vec![problem]),
                    Err(problem) => problems.push(problem),
                }
            }
            replacements.push((document, texts));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let after = match format {
            Some(_) => replacements.into_iter().flat_map(|(_, texts)| texts).collect(),
            None => replace_documents(&before, &replacements)
                .map_err(|error| vec![FileError::of_edit(&path, error)])?,
        };
        Ok(SealedText { path, before, after, reports })
    }

    /// Seals one Secret and returns its text and the report.
    fn sealed_secret(
        &mut self,
        path: &str,
        plain: PlainSecret,
        format: Format,
        destination: &Destination,
    ) -> Result<(String, String), Error> {
        let PlainSecret { line, mut secret } = plain;
        let binding = self.binding(path, line, &secret.metadata, destination)?;
        expect_valid(&secret).map_err(|problem| problem.at(path, line))?;
        let sealer = self.certificates.of(destination)?;
        secret.metadata.namespace = Some(binding.namespace.clone()).filter(|namespace| !namespace.is_empty());
        let annotations = secret.metadata.annotations.get_or_insert_default();
        binding.scope.write_to(annotations);
        let mut object = seal_secret(&mut rand::rng(), sealer.key(), secret)?;
        let metadata = &mut object.metadata;
        metadata.annotations.get_or_insert_default().extend(destination.annotations.clone());
        metadata.labels.get_or_insert_default().extend(destination.labels.clone());
        let text = sealed_secret_text(&object, format);
        let items = object.spec.encrypted_data.len();
        let report = format!(
            ": sealed {}, {items} item{}, {}",
            binding.describe(),
            if items == 1 { "" } else { "s" },
            sealer.describe()
        );
        if format == Format::Json || !destination.has_receipts || self.seal.sealing.no_receipt {
            return Ok((text, report));
        }
        let text = write_receipts(&text, &binding.receipts(&sealer, &object));
        Ok((text.map_err(|error| FileError::of_edit(path, error))?, report))
    }

    /// The place of a Secret: its own, else that of flags, else that of the rule.
    fn binding(
        &self,
        path: &str,
        line: usize,
        metadata: &ObjectMeta,
        destination: &Destination,
    ) -> Result<Binding, Error> {
        let at = |problem: FileProblem| problem.at(path, line);
        let own = Some(Scope::from_annotations(metadata.annotations.as_ref()))
            .filter(|scope| *scope != Scope::Strict);
        let scope = agreed("scope", "--scope", field(own), self.seal.object.scope()?).map_err(at)?;
        let scope = scope.or(destination.scope).unwrap_or_default();
        let own = metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
        let flag = self.seal.object.namespace()?.map(str::to_owned);
        let namespace = agreed("namespace", "-n", field(own), flag)
            .map_err(at)?
            .or_else(|| destination.namespace.clone());
        let name = metadata.name.clone().filter(|name| !name.is_empty());
        match (scope, &namespace, &name) {
            (Scope::Strict | Scope::NamespaceWide, None, _) => Err(at(FileProblem::NoNamespace(scope))),
            (_, _, None) => Err(at(FileProblem::NoSecretName)),
            _ => Ok(Binding {
                scope,
                namespace: namespace.unwrap_or_default(),
                name: name.unwrap_or_default(),
            }),
        }
    }

    /// Replaces the files, in which a Secret may have been changed meanwhile.
    fn write_in_place(&mut self, sealed: Vec<SealedText>) -> Result<(), Error> {
        for file in sealed {
            if file.after == *file.before {
                file.reports.iter().for_each(|report| io::log(&format!("{}{report}", file.path)));
                continue;
            }
            let SealedText { path, before, after, reports } = file;
            let report = reports.join("\n");
            write_prepared(&path, Edited { before, after, report }, |path| self.edited(path))?;
            if !is_tracked(&path) {
                continue;
            }
            if is_committed(&path) {
                io::warn(&format!(
                    "{path} is tracked: its plaintext remains in Git's history; rotate the values"
                ));
            } else {
                io::warn(&format!("{path} was staged with its plaintext; run git add again"));
            }
        }
        Ok(())
    }

    fn edited(&mut self, path: &str) -> Result<Edited, Error> {
        let bytes = io::read_file(path)?;
        let sealed = self.sealed(SourceFile::of_bytes(path.to_owned(), bytes));
        let sealed =
            sealed.map_err(|problems| failure(problems).unwrap_or_else(|| FileProblem::NoSecret.of(path)))?;
        let SealedText { before, after, reports, .. } =
            sealed.ok_or_else(|| FileProblem::NoSecret.of(path))?;
        Ok(Edited { before, after, report: reports.join("\n") })
    }
}

/// True for errors that would repeat in every file: of the certificate, the project file, or the flags.
fn is_of_run(error: &Error) -> bool {
    !matches!(error, Error::InFile(_))
}

fn holds_sealed_secrets(text: &str) -> bool {
    Manifest::parse(text).is_ok_and(|manifest| !manifest.sealed_secrets().is_empty())
}

fn file_error(path: &str, error: PlainSecretsError) -> Error {
    match error {
        PlainSecretsError::Unreadable(error) => FileError::of_manifest(path, error),
        PlainSecretsError::Field(error) => FileError::of_field(path, &error),
        PlainSecretsError::Template { line, .. } => FileProblem::SecretInTemplate.at(path, line),
        PlainSecretsError::Mixed { line } => FileProblem::MixedList.at(path, line),
    }
}

fn field<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::Absent, Field::Literal)
}

/// The API server accepts the names and keys. An invalid key is not quoted, since it may be a value.
fn expect_valid(secret: &Secret) -> Result<(), FileProblem> {
    let metadata = &secret.metadata;
    let refused = metadata.name.as_deref().and_then(refused_name);
    let refused = refused.or_else(|| metadata.namespace.as_deref().and_then(refused_namespace));
    if let Some(refusal) = refused {
        return Err(FileProblem::Field(refusal));
    }
    let keys = secret.data.iter().flat_map(|data| data.keys());
    let mut keys = keys.chain(secret.string_data.iter().flat_map(|data| data.keys()));
    if keys.any(|key| refused_key(key).is_some()) {
        return Err(FileProblem::Field(KEY_RULE.to_owned()));
    }
    let bytes = secret.data.iter().flat_map(|data| data.values()).map(|value| value.0.len());
    let texts = secret.string_data.iter().flat_map(|data| data.values()).map(String::len);
    if bytes.chain(texts).sum::<usize>() > MAXIMUM_SIZE {
        return Err(FileProblem::TooLarge);
    }
    Ok(())
}

/// True if Git tracks the file, or it is staged.
fn is_tracked(path: &str) -> bool {
    has_listed(path, &["ls-files", "-z", "--"])
}

/// True if the last commit has the file.
fn is_committed(path: &str) -> bool {
    has_listed(path, &["ls-tree", "-z", "--name-only", "HEAD", "--"])
}

/// True if Git succeeds and prints something about the file.
fn has_listed(path: &str, arguments: &[&str]) -> bool {
    let path = Path::new(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else { return false };
    let mut command = git::command();
    command.arg("--literal-pathspecs").arg("-C").arg(folder).args(arguments).arg(name);
    command.output().is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}
