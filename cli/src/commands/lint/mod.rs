//! `lint` checks files without a cluster.

mod certificates;
mod kustomizations;
mod report;
mod staged;

use std::path::Path;

use clap::Args;
use sealed_secrets_core::lint::{
    Expectations, ExpectedKey, Finding, SKIPPED, Severity, check, is_suppressed,
};

use self::certificates::ClusterKeys;
use self::kustomizations::Tree;
use self::report::{LintFormat, Located};
use self::staged::Index;
use crate::commands::outcome::Outcome;
use crate::error::Error;
use crate::workflow::{
    Content, Destination, Destinations, Listed, SourceFile, absolute, listed, map_in_parallel,
};

/// Check files for plaintext and for SealedSecrets that cannot work, without a cluster
#[derive(Debug, Args)]
#[command(
    long_about = "Check YAML and JSON files for Secrets that are not sealed, and for SealedSecrets that cannot work. Needs neither\n\
                  cluster nor key. In a Git work tree, files that Git ignores are passed over. Errors end with exit code 3.\n\
                  The comment `# kubeseal-lint: ignore KS001` suppresses a rule in its document.",
    after_help = "Examples:\n  \
                  kubeseal lint                                    all files below the current folder\n  \
                  kubeseal lint --staged                           the files that are about to be committed\n  \
                  kubeseal lint -o github                          in a workflow of GitHub Actions"
)]
pub(crate) struct Lint {
    /// Files and folders (default: the current folder)
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<String>,
    /// Check what is about to be committed instead of the files
    #[arg(long)]
    staged: bool,
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    /// Format of the findings
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", alias = "format")]
    output: LintFormat,
}

impl Lint {
    /// Checks the files, and prints the findings.
    ///
    /// # Errors
    /// When a path cannot be read, or the project file cannot be used.
    pub(super) fn run(&self) -> Result<Outcome, Error> {
        let files = if self.staged {
            staged::files(&self.paths)?.into_iter().map(Listed::Read).collect()
        } else {
            listed(&self.paths)?
        };
        let mut linter =
            Linter { destinations: Destinations::default(), keys: ClusterKeys::default(), found: Vec::new() };
        let sources = linter.check(&files)?;
        linter.check_kustomizations(&sources, self.staged)?;
        let mut found = linter.found;
        found.sort_by(|a, b| a.place().cmp(&b.place()));
        report::write(self.output, sources.len(), &found, self.staged)?;
        let fails = |severity| severity == Severity::Error || (self.strict && severity == Severity::Warning);
        let is_clean = !found.iter().any(|located| fails(located.finding.rule.severity));
        Ok(if is_clean { Outcome::Success } else { Outcome::Findings })
    }
}

struct Linter {
    destinations: Destinations,
    keys: ClusterKeys,
    found: Vec<Located>,
}

impl Linter {
    /// Checks files one by one. Returns those that exist; only kustomizations keep their text.
    fn check(&mut self, files: &[Listed]) -> Result<Vec<SourceFile>, Error> {
        let mut jobs = Vec::with_capacity(files.len());
        for file in files {
            let destination = self.destinations.of(file.path(), None)?;
            for (file, finding) in self.keys.check(&destination) {
                self.add(&destination, &SourceFile::of_disk(&file), finding);
            }
            jobs.push((file, expectations(&destination, self.keys.of(&destination))));
        }
        let checked = map_in_parallel(&jobs, |(file, expectations)| {
            let source = file.read()?;
            let findings = match &source.content {
                Content::Text(text) => check(text, expectations),
                Content::Skipped(reason) => vec![skipped(reason)],
            };
            let has_resources = kustomizations::is_kustomization(&source.path);
            Some((if has_resources { source.into_owned() } else { source.without_content() }, findings))
        });
        let mut sources = Vec::with_capacity(files.len());
        for (source, findings) in checked.into_iter().flatten() {
            for finding in findings {
                let destination = self.destinations.of(Path::new(&source.path), None)?;
                self.add(&destination, &source, finding);
            }
            sources.push(source);
        }
        Ok(sources)
    }

    fn check_kustomizations(&mut self, sources: &[SourceFile], is_staged: bool) -> Result<(), Error> {
        let found = sources.iter().filter(|source| kustomizations::is_kustomization(&source.path));
        let found: Vec<&SourceFile> = found.collect();
        let tree = if is_staged && !found.is_empty() { Tree::Index(Index::read()?) } else { Tree::Disk };
        for source in found {
            let Content::Text(text) = &source.content else { continue };
            let destination = self.destinations.of(Path::new(&source.path), None)?;
            let findings = kustomizations::check(&source.path, text, &tree).into_iter();
            for finding in findings.filter(|finding| !is_suppressed(text, finding)) {
                self.add(&destination, source, finding);
            }
        }
        Ok(())
    }

    fn add(&mut self, destination: &Destination, file: &SourceFile, finding: Finding) {
        let is_ignored = destination
            .project()
            .is_some_and(|project| project.ignores(&absolute(Path::new(&file.path)), finding.rule.id));
        if !is_ignored {
            let path = file.path_below_root();
            self.found.push(Located { file: file.without_content(), path, finding });
        }
    }
}

fn expectations(destination: &Destination, key: Option<ExpectedKey>) -> Expectations {
    Expectations { key, namespace: destination.namespace.clone() }
}

/// The finding about a file that is not checked.
fn skipped(reason: &str) -> Finding {
    Finding { rule: SKIPPED, line: 1, object: None, item: None, message: format!("not checked: {reason}") }
}
