//! `verify` asks whether SealedSecrets decrypt: the controller, or private keys here.

mod report;
mod verdict;

use clap::Args;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::{Format, sealed_secret_text};

use self::report::{Job, Report};
use self::verdict::{Verdict, of_answer, of_keys};
use crate::commands::outcome::Outcome;
use crate::error::Error;
use crate::options::ClusterOptions;
use crate::progress::Progress;
use crate::report::ReportFormat;
use crate::service_proxy::ServiceProxy;
use crate::session::Session;
use crate::workflow::{
    BoundFile, BoundItems, ObjectFlags, Wanted, bound_files, by_cluster, given, in_parallel, private_keys,
    processors,
};
use crate::{interrupt, io};

/// Requests to a controller that run at the same time.
const REQUESTS: usize = 2;

/// Reasons for an object that the controller cannot decrypt.
const UNDECRYPTABLE: &str = "What does not decrypt is sealed for another cluster, name or namespace, or is damaged. The controller does \
                             not say which item; --private-key FILE names it.";

/// Ask the controller whether SealedSecret files decrypt, or try private keys on them
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal verify [OPTIONS] <PATH>...",
    long_about = "Ask the controller of each file's cluster whether it can decrypt the SealedSecrets. No value leaves the cluster.\n\
                  With --private-key they are decrypted here, in memory, and each item that does not decrypt is named: a rehearsal\n\
                  of recovery from a backup of the keys. Receipts are ignored. Exit code 3 if an object does not decrypt.",
    after_help = "Examples:\n  \
                  kubeseal verify clusters/prod                           all files below a folder\n  \
                  kubeseal verify . --private-key sealing-keys.yaml       do the keys of this backup suffice?"
)]
pub(crate) struct Verify {
    /// Files and folders (`-` is stdin)
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<String>,
    /// Decrypt with these private keys or backups of them, without the cluster
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    private_key: Vec<String>,
    /// Format of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReportFormat,
    /// Verify only the files of this cluster of .kubeseal.yaml
    #[arg(long = "for", value_name = "CLUSTER")]
    cluster_name: Option<String>,
    /// The name, where a template fills it in
    #[arg(long, value_name = "NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
    #[command(flatten)]
    object: ObjectFlags,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Verify {
    /// Decrypts the items of the files with private keys or by the controllers, and prints the report.
    ///
    /// # Errors
    /// When a path, a flag or the project file cannot be used. Failures of objects and clusters are in the report.
    pub(super) fn run(&self) -> Result<Outcome, Error> {
        interrupt::handle()?;
        let ring = (!self.private_key.is_empty()).then(|| private_keys(&self.private_key)).transpose()?;
        let wanted = Wanted {
            cluster_name: self.cluster_name.as_deref(),
            name: given(self.name.as_ref()),
            object: &self.object,
        };
        let files = bound_files(&self.paths, &wanted)?;
        let mut report = Report::of(&files);
        match &ring {
            Some(ring) => with_keys(ring, &mut report)?,
            None => self.with_controllers(&mut report),
        }
        report.problems().iter().for_each(|problem| io::log(problem));
        crate::report::write(self.output, &report.value(), &report.text())?;
        if ring.is_none() && report.has_undecryptable() {
            io::log(UNDECRYPTABLE);
        }
        io::log(&report.total());
        Ok(report.outcome())
    }

    fn with_controllers(&self, report: &mut Report<'_>) {
        for indices in by_cluster(report.files) {
            let Some(file) = indices.first().and_then(|index| report.files.get(*index)) else { continue };
            if let Err(error) = self.with_controller(file, &indices, report).map_err(Error::with_address) {
                let failure = file.destination.of_cluster(&error);
                io::log(&format!("error: {failure}"));
                error.hint().iter().for_each(|line| io::log(line));
                report.fail(&indices, &failure);
            }
        }
    }

    /// Adds the verdicts of a controller on these objects to the report.
    ///
    /// # Errors
    /// When the controller cannot be reached.
    fn with_controller(
        &self,
        file: &BoundFile,
        indices: &[usize],
        report: &mut Report<'_>,
    ) -> Result<(), Error> {
        let options = file.destination.connection(&self.cluster);
        let session = Session::new(&options);
        let proxy = ServiceProxy::connect(&session)?;
        let ask = |bound: &BoundItems| {
            let mut sealed = bound.sealed_secret(bound.items.iter());
            sealed.spec.data.clone_from(&bound.v1_data);
            let body = sealed_secret_text(&sealed, Format::Json);
            proxy.post_patiently("/v1/verify", body.as_bytes()).map(|answer| of_answer(&answer))
        };
        let jobs = report.jobs(indices);
        decide(&jobs, REQUESTS, ask, report).map_err(Error::Validate)
    }
}

fn with_keys(ring: &KeyRing, report: &mut Report<'_>) -> Result<(), Error> {
    let jobs = report.jobs(&(0..report.files.len()).collect::<Vec<_>>());
    decide(&jobs, processors(), |bound| Ok(of_keys(bound, ring)), report).map_err(Error::Validate)
}

/// Gets a verdict on each object.
///
/// # Errors
/// When the cluster cannot be reached.
fn decide(
    jobs: &[Job<'_>],
    workers: usize,
    ask: impl Fn(&BoundItems) -> Result<Verdict, String> + Sync,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let progress = Progress::new(jobs.len(), "SealedSecrets");
    in_parallel(
        jobs,
        workers,
        |(_, _, bound)| ask(bound),
        |(file, object, _), verdict| {
            report.set(*file, *object, verdict);
            progress.advance(1);
        },
    )
}
