//! Report about which objects decrypt.

use serde_json::{Value, json};

use super::verdict::Verdict;
use crate::commands::outcome::{Outcome, not_checked};
use crate::workflow::{BoundFile, BoundItems, BoundObject};

/// An object without a verdict: the indices of its file and in it, and its items.
pub(super) type Job<'f> = (usize, usize, &'f BoundItems);

/// Verdicts on the objects of files.
pub(super) struct Report<'f> {
    pub(super) files: &'f [BoundFile],
    /// By file and object; `None` until there is one.
    by_file: Vec<Vec<Option<Verdict>>>,
    /// Verdicts whose reason was reported for the whole cluster.
    reported: Vec<(usize, usize)>,
}

impl<'f> Report<'f> {
    pub(super) fn of(files: &'f [BoundFile]) -> Self {
        let verdict = |object: &BoundObject| {
            object.content.as_ref().err().map(|error| Verdict::Unknown(error.problem()))
        };
        let by_file = files.iter().map(|file| file.objects.iter().map(verdict).collect()).collect();
        Self { files, by_file, reported: Vec::new() }
    }

    /// The objects of these files without a verdict.
    pub(super) fn jobs(&self, indices: &[usize]) -> Vec<Job<'f>> {
        let of_file = |index: &usize| {
            let objects = self.files.get(*index).map_or(&[][..], |file| &file.objects);
            let jobs = objects
                .iter()
                .enumerate()
                .map(|(number, object)| Some((*index, number, object.content.as_ref().ok()?)));
            jobs.flatten().collect::<Vec<_>>()
        };
        indices
            .iter()
            .flat_map(of_file)
            .filter(|(file, object, _)| self.verdict(*file, *object).is_none())
            .collect()
    }

    fn verdict(&self, file: usize, object: usize) -> Option<&Verdict> {
        self.by_file.get(file)?.get(object)?.as_ref()
    }

    pub(super) fn set(&mut self, file: usize, object: usize, verdict: Verdict) {
        if let Some(place) = self.by_file.get_mut(file).and_then(|objects| objects.get_mut(object)) {
            *place = Some(verdict);
        }
    }

    /// Records that a cluster gave no verdict on these files, which was reported.
    pub(super) fn fail(&mut self, indices: &[usize], failure: &str) {
        for (file, object, _) in self.jobs(indices) {
            self.set(file, object, Verdict::Unknown(failure.to_owned()));
            self.reported.push((file, object));
        }
    }

    fn all(&self) -> impl Iterator<Item = (&BoundFile, &BoundObject, &Verdict, bool)> {
        self.files.iter().enumerate().flat_map(move |(index, file)| {
            file.objects.iter().enumerate().filter_map(move |(number, object)| {
                let is_reported = self.reported.contains(&(index, number));
                Some((file, object, self.verdict(index, number)?, is_reported))
            })
        })
    }

    fn count(&self, decrypts: Option<bool>) -> usize {
        self.all().filter(|(_, _, verdict, _)| verdict.decrypts() == decrypts).count()
    }

    /// Exit code 1 if an object has no verdict, 3 if one does not decrypt.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.count(None), self.count(Some(false))) {
            (1.., _) => Outcome::Failed,
            (0, 1..) => Outcome::Findings,
            (0, 0) => Outcome::Success,
        }
    }

    /// The reasons for missing results that were not reported yet, each with its file and line.
    pub(super) fn problems(&self) -> Vec<String> {
        let problem = |(file, object, verdict, is_reported): (&BoundFile, &BoundObject, &Verdict, bool)| {
            match verdict {
                Verdict::Unknown(reason) if !is_reported => {
                    Some(format!("{}:{}: {}{reason}", file.path, object.line, object.prefix()))
                }
                _ => None,
            }
        };
        self.all().filter_map(problem).collect()
    }

    /// The report for people: what does not decrypt.
    pub(super) fn text(&self) -> String {
        let mut text = Vec::new();
        for (file, object, verdict, _) in self.all() {
            let Verdict::DoesNotDecrypt(problems) = verdict else { continue };
            let line = |(line, problem): &(Option<usize>, String)| {
                let line = line.unwrap_or(object.line);
                format!("{}:{line}: {}{problem}\n", file.path, object.prefix())
            };
            text.extend(problems.iter().map(line));
        }
        text.concat()
    }

    pub(super) fn has_undecryptable(&self) -> bool {
        self.count(Some(false)) > 0
    }

    /// The sum; objects of a cluster that could not be asked are not counted among those that do not decrypt.
    pub(super) fn total(&self) -> String {
        let (all, unchecked) = (self.all().count(), self.reported.len());
        let sum = format!("{} of {} SealedSecrets decrypt", self.count(Some(true)), all - unchecked);
        match unchecked {
            0 => sum,
            _ if unchecked == all => not_checked(unchecked),
            _ => format!("{sum}; {}", not_checked(unchecked)),
        }
    }

    /// The report for programs.
    pub(super) fn value(&self) -> Value {
        let object = |(file, object, verdict, _): (&BoundFile, &BoundObject, &Verdict, bool)| {
            json!({
                "file": file.path,
                "line": object.line,
                "namespace": object.namespace,
                "name": object.name,
                "decrypts": verdict.decrypts(),
                "message": verdict.message(),
            })
        };
        json!({
            "decryptable": self.count(Some(true)),
            "undecryptable": self.count(Some(false)),
            "unknown": self.count(None),
            "objects": self.all().map(object).collect::<Vec<_>>(),
        })
    }
}
