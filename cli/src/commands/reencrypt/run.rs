//! One run: the clusters one after the other, and each file when it is ready.

use std::collections::BTreeMap;
use std::ops::Range;

use sealed_secrets_core::crypto::{Fingerprint, SealingCertificate};
use sealed_secrets_core::keyring::KeyRing;

use super::controller::Controller;
use super::engine::Engine;
use super::plan::{Job, Renewed, RenewedBatch, batches};
use super::report::{FileReport, ObjectReport};
use super::write::{NewItems, is_writable, write};
use crate::error::{Error, FileProblem};
use crate::io;
use crate::progress::Progress;
use crate::project::Cluster;
use crate::session::Session;
use crate::shell::word;
use crate::workflow::{BoundFile, Certificates, Destination, SealingFlags, Wanted, by_cluster, in_parallel};

/// A run over files.
pub(super) struct Run<'r> {
    pub(super) sealing: &'r SealingFlags,
    pub(super) certificates: Certificates<'r>,
    pub(super) wanted: &'r Wanted<'r>,
    /// True if nothing is written.
    pub(super) is_dry: bool,
    /// True if receipts do not count.
    pub(super) is_all: bool,
    pub(super) files: &'r [BoundFile],
    /// In the order of the files.
    pub(super) reports: Vec<FileReport>,
    /// New items of files that are not written yet, by index.
    pub(super) new: BTreeMap<usize, NewItems>,
}

impl Run<'_> {
    /// Processes all files; with the private keys in this process, else by controllers.
    pub(super) fn all(mut self, ring: Option<&KeyRing>) -> Vec<FileReport> {
        for indices in by_cluster(self.files) {
            let first = indices.first().and_then(|index| self.files.get(*index));
            let Some(destination) = first.map(|file| &file.destination) else { continue };
            if let Err(error) = self.cluster(ring, destination, &indices).map_err(Error::with_address) {
                self.fail(&destination.of_cluster(&error), &error, &indices);
            }
        }
        self.reports
    }

    /// Tells the failure of a cluster once, and notes it for each of its objects without a result.
    fn fail(&mut self, failure: &str, error: &Error, indices: &[usize]) {
        io::log(&format!("error: {failure}"));
        error.hint().iter().for_each(|line| io::log(line));
        for index in indices {
            let objects = self.reports.get_mut(*index).map_or(&mut [][..], |report| &mut report.objects);
            for object in objects.iter_mut().filter(|object| object.is_open) {
                object.fail(failure.to_owned());
                object.is_reported = true;
            }
        }
    }

    /// Processes the files of one cluster.
    ///
    /// # Errors
    /// When the certificate or the controller cannot be used.
    fn cluster(
        &mut self,
        ring: Option<&KeyRing>,
        destination: &Destination,
        indices: &[usize],
    ) -> Result<(), Error> {
        if let Some(ring) = ring {
            let sealer = self.certificates.of(destination)?;
            return self.process(&Engine::Here { ring, newest: sealer.key() }, indices);
        }
        let options = destination.connection(&self.sealing.cluster);
        let session = Session::new(&options);
        let controller = Controller::connect(&session)?;
        if let Some(newest) = controller.newest() {
            self.warn_of_old_certificate(destination, newest);
        }
        if !controller.renews_stale_only() {
            io::warn("this controller cannot tell stale items from fresh ones");
        }
        self.process(&Engine::Controller(controller), indices)
    }

    /// Warns if the certificate file of the cluster is not that of its newest key.
    fn warn_of_old_certificate(&self, destination: &Destination, newest: &Fingerprint) {
        let given = self.sealing.cert().map(str::to_owned).or_else(|| destination.certificate());
        let Some(file) = given.filter(|certificate| !certificate.contains("://")) else { return };
        // lint judges files that cannot be used.
        let read = io::read_found(&file).ok().and_then(|bytes| SealingCertificate::from_file(&bytes).ok());
        if read.is_some_and(|certificate| certificate.fingerprint() != newest) {
            let fetch = fetch_command(destination.cluster().map(|(_, cluster)| cluster), &file);
            io::warn(&format!(
                "{file} is not the certificate of the cluster's newest key; fetch it: {fetch}"
            ));
        }
    }

    fn process(&mut self, engine: &Engine<'_>, indices: &[usize]) -> Result<(), Error> {
        let jobs = self.jobs(engine.newest(), indices);
        if self.is_dry && !engine.renews_stale_only() {
            for job in &jobs {
                self.count_all_as_stale(job);
            }
            return Ok(());
        }
        let progress = Progress::new(jobs.iter().map(Job::len).sum(), "items");
        let mut open = BTreeMap::new();
        for job in &jobs {
            *open.entry(job.file).or_insert(0) += 1;
        }
        let mut add = |jobs: &[Job], batch: RenewedBatch| {
            for (job, renewed) in jobs.iter().zip(batch.objects) {
                self.add(job, renewed, batch.key.as_ref());
                let left = open.entry(job.file).and_modify(|left| *left -= 1).or_insert(0);
                if *left == 0 {
                    self.write(job.file);
                }
            }
            progress.advance(jobs.iter().map(Job::len).sum());
        };
        let of = |range: &Range<usize>| jobs.get(range.clone()).unwrap_or_default();
        let renew = |range: &_| engine.renew(of(range));
        in_parallel(&batches(&jobs), engine.workers(), renew, |range, batch| add(of(range), batch))
            .map_err(Error::ReEncrypt)
    }

    /// The objects with items that may be stale, in files that can be written. The others have their result.
    fn jobs(&mut self, newest: Option<&Fingerprint>, indices: &[usize]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for index in indices {
            let (Some(file), Some(report)) = (self.files.get(*index), self.reports.get_mut(*index)) else {
                continue;
            };
            let mut of_file = Vec::new();
            for (number, (object, report)) in file.objects.iter().zip(&mut report.objects).enumerate() {
                let Ok(bound) = &object.content else { continue };
                report.key = newest.map(ToString::to_string);
                match Job::of((*index, number), bound, newest, self.is_all) {
                    _ if bound.v1_data.is_some() => report.fail(FileProblem::V1Data.to_string()),
                    Some(job) => of_file.push(job),
                    None => report.is_open = false,
                }
            }
            let writable = if of_file.is_empty() || self.is_dry { Ok(()) } else { is_writable(file) };
            match writable {
                Ok(()) => jobs.append(&mut of_file),
                Err(error) => {
                    let open = report.objects.iter_mut().filter(|report| report.is_open);
                    open.for_each(|report| report.fail(error.problem()));
                }
            }
        }
        jobs
    }

    fn report(&mut self, job: &Job) -> Option<&mut ObjectReport> {
        self.reports.get_mut(job.file)?.objects.get_mut(job.object)
    }

    fn count_all_as_stale(&mut self, job: &Job) {
        if let Some(report) = self.report(job) {
            (report.stale, report.is_open) = (job.len(), false);
        }
    }

    /// Takes the result of an object. `key` is that of new items, if it is certain.
    fn add(&mut self, job: &Job, renewed: Renewed, key: Option<&Fingerprint>) {
        let Some(report) = self.report(job) else { return };
        let new = match renewed {
            Ok(new) => new,
            Err(cause) => return report.fail(cause),
        };
        report.is_open = false;
        report.stale = new.len();
        report.key = key.map(ToString::to_string);
        let Some(file) = self.files.get(job.file).filter(|_| !self.is_dry) else { return };
        let Some(Ok(bound)) = file.objects.get(job.object).map(|object| &object.content) else { return };
        let has_receipts = file.destination.has_receipts && !self.sealing.no_receipt;
        let key = key.filter(|_| has_receipts);
        self.new.entry(job.file).or_default().add(bound, &new, key);
    }

    /// Writes the new items of a file all of whose objects have a result.
    fn write(&mut self, index: usize) {
        let (Some(file), Some(new)) = (self.files.get(index), self.new.remove(&index)) else { return };
        let Some(report) = self.reports.get_mut(index) else { return };
        let written = write(file, self.wanted, &new);
        for report in report.objects.iter_mut().filter(|report| report.stale > 0) {
            match &written {
                Ok(()) => report.reencrypted = report.stale,
                Err(error) => report.fail(error.problem()),
            }
        }
    }
}

/// The command that fetches the certificate of a cluster into the file. Its words come from a repository, and are evaluated by no
/// shell and taken for no flag.
fn fetch_command(cluster: Option<&Cluster>, file: &str) -> String {
    let mut command = "kubeseal cert fetch".to_owned();
    let mut add = |flag: &str, value: Option<&String>| {
        if let Some(value) = value {
            let separator = if value.starts_with('-') { "=" } else { " " };
            command.extend([" ", flag, separator, &word(value)]);
        }
    };
    if let Some(cluster) = cluster {
        add("--context", cluster.context.as_ref());
        add("--controller-namespace", cluster.controller_namespace.as_ref());
        add("--controller-name", cluster.controller_name.as_ref());
    }
    add("-w", Some(&file.to_owned()));
    command
}
