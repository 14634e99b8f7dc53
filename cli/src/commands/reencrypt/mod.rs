//! `reencrypt` moves stale items of many files to the newest key.

mod controller;
mod engine;
mod plan;
mod report;
mod run;
mod write;

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use self::report::{FileReport, Report};
use self::run::Run;
use crate::commands::outcome::Outcome;
use crate::error::Error;
use crate::report::ReportFormat;
use crate::workflow::{
    BoundFile, Certificates, ObjectFlags, STDIN, SealingFlags, Wanted, both, bound_files, given, private_keys,
};
use crate::{interrupt, io};

/// Move stale items of SealedSecret files to the newest key; the rest of the file is unchanged
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal reencrypt [OPTIONS] <PATH>...",
    long_about = "Move stale items to the newest key of their cluster: items that an older key sealed. The rest of the files is unchanged.\n\
                  The controller decrypts and encrypts them, so that no value leaves the cluster. Receipts in the files, or else the\n\
                  controller, determine which items are stale. With --private-key this happens here, for the key of the certificate.\n\
                  An object that does not decrypt is left unchanged and reported, and the others are processed.",
    after_help = "Examples:\n  \
                  kubeseal reencrypt clusters/prod                        all files below a folder\n  \
                  kubeseal reencrypt . --dry-run                          which items are stale? exit code 3 if there are any\n  \
                  kubeseal reencrypt . --for prod                         the files of one cluster of .kubeseal.yaml\n  \
                  kubeseal reencrypt . --private-key keys.yaml --cert new.pem    move to another cluster"
)]
pub(crate) struct Reencrypt {
    /// Files and folders (`-`: from stdin to stdout)
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<String>,
    /// Change nothing, and report what is stale
    #[arg(long)]
    dry_run: bool,
    /// Ignore receipts
    #[arg(long)]
    all: bool,
    /// Decrypt with these private keys or backups of them, and seal with the certificate
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    private_key: Vec<String>,
    /// Format of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReportFormat,
    /// The name, where a template fills it in
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    #[command(flatten)]
    sealing: SealingFlags,
}

impl Reencrypt {
    /// Encrypts the stale items of the files again, and prints the report.
    ///
    /// # Errors
    /// When a path, a flag or the project file cannot be used. Failures of objects and clusters are in the report.
    pub(super) fn run(&self) -> Result<Outcome, Error> {
        self.expect_one_stream()?;
        interrupt::handle()?;
        let wanted = Wanted {
            cluster_name: self.sealing.cluster_name.as_deref(),
            name: given(self.name.as_ref()),
            object: &self.object,
        };
        // The check of a private key takes as long as Git takes to list the files.
        let ring = || (!self.private_key.is_empty()).then(|| private_keys(&self.private_key)).transpose();
        let (ring, files) = both(ring, || bound_files(&self.paths, &wanted));
        let (ring, files) = (ring?, files?);
        let run = Run {
            sealing: &self.sealing,
            certificates: Certificates::new(&self.sealing),
            wanted: &wanted,
            is_dry: self.dry_run,
            is_all: self.all,
            files: &files,
            reports: files.iter().map(FileReport::of).collect(),
            new: BTreeMap::new(),
        };
        let report = Report { dry_run: self.dry_run, files: run.all(ring.as_ref()) };
        if !self.dry_run {
            pass_on(&files, &report)?;
        }
        self.report(&files, &report)
    }

    /// A manifest on stdout leaves no room for a report.
    fn expect_one_stream(&self) -> Result<(), Error> {
        let reads_stdin = self.paths.iter().any(|path| path == STDIN);
        let problem = match self.output {
            _ if !reads_stdin => return Ok(()),
            _ if self.paths.len() > 1 => "- (stdin) stands alone",
            ReportFormat::Json | ReportFormat::Yaml if !self.dry_run => {
                "stdout gets the manifest of -, so -o needs --dry-run"
            }
            _ => return Ok(()),
        };
        Err(Error::Argument(problem.to_owned()))
    }

    fn report(&self, files: &[BoundFile], report: &Report) -> Result<Outcome, Error> {
        report.problems(files).iter().for_each(|problem| io::log(problem));
        let holds_manifest = !self.dry_run && files.iter().any(|file| file.path == STDIN);
        if holds_manifest {
            report.text(files).lines().for_each(io::log);
        } else {
            let is_for_people = self.output == ReportFormat::Text;
            let value = if is_for_people { Value::Null } else { report.value(files) };
            crate::report::write(self.output, &value, &report.text(files))?;
        }
        Ok(report.outcome())
    }
}

/// Writes the manifest of stdin to stdout, if nothing of it was re-encrypted.
///
/// # Errors
/// When stdout cannot be written.
fn pass_on(files: &[BoundFile], report: &Report) -> Result<(), Error> {
    let unchanged = files.iter().zip(&report.files).filter(|(_, report)| !report.is_written());
    let mut texts = unchanged.filter_map(|(file, _)| file.stdin.as_ref());
    texts.try_for_each(|text| io::write(None, text.as_bytes()))
}
