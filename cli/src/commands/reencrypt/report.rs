//! The report of a run.

use serde_json::{Value, json};

use crate::commands::outcome::{Outcome, not_checked};
use crate::workflow::{BoundFile, BoundObject};

/// Results of all files, in their order.
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) files: Vec<FileReport>,
}

/// Results of a file's objects, in their order.
pub(super) struct FileReport {
    pub(super) objects: Vec<ObjectReport>,
}

/// The result of an object.
#[derive(Debug, Default)]
pub(super) struct ObjectReport {
    /// All items but those that a template fills in.
    pub(super) items: usize,
    pub(super) stale: usize,
    /// The stale items that were written.
    pub(super) reencrypted: usize,
    /// The fingerprint of the newest key, if it is known.
    pub(super) key: Option<String>,
    pub(super) error: Option<String>,
    /// True until there is a result.
    pub(super) is_open: bool,
    /// True if the error was reported with others.
    pub(super) is_reported: bool,
}

impl FileReport {
    pub(super) fn of(file: &BoundFile) -> Self {
        Self { objects: file.objects.iter().map(ObjectReport::of).collect() }
    }

    /// True if new items are in the file.
    pub(super) fn is_written(&self) -> bool {
        self.objects.iter().any(|object| object.reencrypted > 0)
    }

    fn sum(&self, field: impl Fn(&ObjectReport) -> usize) -> usize {
        self.objects.iter().map(field).sum()
    }
}

impl ObjectReport {
    fn of(object: &BoundObject) -> Self {
        match &object.content {
            Ok(bound) => Self { items: bound.items.len(), is_open: true, ..Self::default() },
            Err(error) => Self { error: Some(error.problem()), ..Self::default() },
        }
    }

    pub(super) fn fail(&mut self, cause: String) {
        (self.error, self.is_open) = (Some(cause), false);
    }
}

impl Report {
    /// Exit code 1 if an object failed, and 3 if items are stale and stay so.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.failed(), self.stale()) {
            (1.., _) => Outcome::Failed,
            (0, 1..) if self.dry_run => Outcome::Findings,
            _ => Outcome::Success,
        }
    }

    fn sum(&self, field: impl Fn(&ObjectReport) -> usize) -> usize {
        self.files.iter().map(|file| file.sum(&field)).sum()
    }

    fn stale(&self) -> usize {
        self.sum(|object| object.stale)
    }

    fn failed(&self) -> usize {
        self.sum(|object| usize::from(object.error.is_some()))
    }

    /// The failures that were not reported yet, each with its file and line.
    pub(super) fn problems(&self, files: &[BoundFile]) -> Vec<String> {
        let mut problems = Vec::new();
        for (file, report) in files.iter().zip(&self.files) {
            for (object, report) in file.objects.iter().zip(&report.objects) {
                let Some(error) = report.error.as_ref().filter(|_| !report.is_reported) else { continue };
                problems.push(format!("{}:{}: {}{error}", file.path, object.line, object.prefix()));
            }
        }
        problems
    }

    /// The report for people: the files with changes, and the sum.
    pub(super) fn text(&self, files: &[BoundFile]) -> String {
        let done = if self.dry_run { "are stale" } else { "re-encrypted" };
        let changed = |report: &FileReport| {
            report.sum(|object| if self.dry_run { object.stale } else { object.reencrypted })
        };
        let line = |(file, report): (&BoundFile, &FileReport)| {
            let (changed, all) = (changed(report), report.sum(|object| object.items));
            (changed > 0).then(|| format!("{}: {changed} of {all} items {done}\n", file.path))
        };
        let text: Vec<String> = files.iter().zip(&self.files).filter_map(line).collect();
        text.concat() + &self.total(done, changed) + "\n"
    }

    /// The sum; objects of a cluster that could not be asked are named apart.
    fn total(&self, done: &str, changed: impl Fn(&FileReport) -> usize) -> String {
        let unchecked = self.sum(|object| usize::from(object.is_reported));
        if unchecked > 0 && unchecked == self.files.iter().map(|report| report.objects.len()).sum::<usize>() {
            return not_checked(unchecked);
        }
        let changed_files = self.files.iter().filter(|report| changed(report) > 0).count();
        let sum = format!(
            "{} of {} items in {changed_files} of {} files {done}",
            self.files.iter().map(&changed).sum::<usize>(),
            self.sum(|object| object.items),
            self.files.len()
        );
        match (unchecked, changed_files) {
            (1.., _) => format!("{sum}; {}", not_checked(unchecked)),
            (0, 1..) if !self.dry_run => format!("{sum}; commit and apply them"),
            _ => sum,
        }
    }

    /// The report for programs.
    pub(super) fn value(&self, files: &[BoundFile]) -> Value {
        let object = |(object, report): (&BoundObject, &ObjectReport)| {
            json!({
                "line": object.line,
                "namespace": object.namespace,
                "name": object.name,
                "items": report.items,
                "stale": report.stale,
                "reencrypted": report.reencrypted,
                "key": report.key,
                "error": report.error,
            })
        };
        let file = |(file, report): (&BoundFile, &FileReport)| {
            let objects: Vec<Value> = file.objects.iter().zip(&report.objects).map(object).collect();
            json!({"file": file.path, "objects": objects})
        };
        json!({
            "dryRun": self.dry_run,
            "items": self.sum(|object| object.items),
            "stale": self.stale(),
            "reencrypted": self.sum(|object| object.reencrypted),
            "failed": self.failed(),
            "files": files.iter().zip(&self.files).map(file).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(dry_run: bool, objects: Vec<ObjectReport>) -> Report {
        Report { dry_run, files: vec![FileReport { objects }] }
    }

    #[test]
    fn a_failure_counts_more_than_stale_items_and_those_fail_a_dry_run_only() {
        let stale = || ObjectReport { items: 2, stale: 1, reencrypted: 1, ..ObjectReport::default() };
        let failed =
            || ObjectReport { error: Some("does not decrypt".to_owned()), ..ObjectReport::default() };
        assert_eq!(report(false, vec![stale()]).outcome(), Outcome::Success);
        assert_eq!(report(true, vec![stale()]).outcome(), Outcome::Findings);
        assert_eq!(report(true, vec![ObjectReport::default()]).outcome(), Outcome::Success);
        assert_eq!(report(true, vec![stale(), failed()]).outcome(), Outcome::Failed);
        assert_eq!(report(false, vec![failed(), stale()]).outcome(), Outcome::Failed);
    }
}
