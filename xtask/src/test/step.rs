//! One step of a run: a command, its duration, and its output if it fails.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::counts::Counts;
use super::output::{FailedTest, Results};

/// The time limit of a step: a run must reach its summary even if a step hangs.
const LIMIT: Duration = Duration::from_mins(45);

/// Enables unstable options of a stable toolchain.
pub(crate) const BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";

/// The result of a command.
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// Standard output and standard error, in order.
    pub(crate) output: String,
}

/// The outcome of a step, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) duration: Duration,
    /// Counts by kind of test or check.
    pub(crate) rows: Vec<(String, Counts)>,
    /// The tests that failed.
    pub(crate) failed: Vec<FailedTest>,
    /// The duration of each test, if it was requested.
    pub(crate) durations: Vec<(Duration, String)>,
}

impl Outcome {
    /// A check as a whole.
    pub(crate) fn of_check(name: &str, duration: Duration, success: bool) -> Self {
        let rows = vec![(name.to_owned(), Counts::one(success))];
        Self { name: name.to_owned(), duration, rows, ..Self::default() }
    }

    /// A preparation for later steps: it counts only if it fails.
    pub(crate) fn of_preparation(name: &str, duration: Duration, success: bool) -> Self {
        let mut outcome = Self::of_check(name, duration, success);
        outcome.rows.retain(|(_, counts)| counts.failed > 0);
        outcome
    }

    /// The results of test programs. `success` is true if all exit codes are 0. In a run `with_filters`, filtered tests are not
    /// counted, and no test at all is not a failure.
    pub(crate) fn of_tests(
        name: &str,
        duration: Duration,
        programs: Vec<Results>,
        success: bool,
        with_filters: bool,
    ) -> Self {
        let mut outcome = Self { name: name.to_owned(), duration, ..Self::default() };
        let mut total = Counts::default();
        for results in programs {
            for (kind, mut counts) in results.counts {
                total += counts;
                counts.skipped += if with_filters { 0 } else { counts.filtered };
                outcome.add(kind, counts);
            }
            outcome.failed.extend(results.failed);
            outcome.durations.extend(results.durations);
        }
        let says_nothing = total.passed + total.failed == 0 && !with_filters;
        if total.failed == 0 && (says_nothing || !success) {
            outcome.rows.push((name.to_owned(), Counts::one(false)));
        }
        outcome
    }

    fn add(&mut self, kind: String, counts: Counts) {
        if counts.passed + counts.failed + counts.skipped == 0 {
            return;
        }
        match self.rows.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum += counts,
            None => self.rows.push((kind, counts)),
        }
    }
}

/// Cargo for the workspace, non-interactive.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).env("CARGO_TERM_COLOR", "never");
    // Set only for tests that report their times; with it Cargo would rebuild every crate.
    command.env_remove(BOOTSTRAP);
    command
}

/// Prints that a step begins. Several may run in parallel, so each line names its step.
pub(crate) fn opening(name: &str) -> Instant {
    println!("start  {name}");
    Instant::now()
}

/// Prints how a step ended, with the output of a failure, and returns its duration.
pub(crate) fn closing(name: &str, start: Instant, finished: &Finished) -> Duration {
    let word = if finished.success { "ok" } else { "FAILED" };
    let duration = start.elapsed();
    println!("{word:<7}{name:<52}{:>7.1} s", duration.as_secs_f64());
    if !finished.success {
        for line in finished.output.lines().filter(|line| !is_progress(line)) {
            println!("{line}");
        }
    }
    duration
}

/// Returns true for Cargo's progress lines, which name every package and do not explain a failure.
fn is_progress(line: &str) -> bool {
    let first = line.trim_start().split(' ').next();
    line.starts_with(' ') && matches!(first, Some("Checking" | "Compiling" | "Downloaded" | "Documenting"))
}

/// Runs `command` to its end as the check `name`.
pub(crate) async fn check(name: &str, command: &mut Command) -> Result<Outcome> {
    let (finished, duration) = run(name, command).await?;
    Ok(Outcome::of_check(name, duration, finished.success))
}

/// Runs `command` to its end as the step `name`.
pub(crate) async fn run(name: &str, command: &mut Command) -> Result<(Finished, Duration)> {
    let start = opening(name);
    let finished = quietly(command).await?;
    let duration = closing(name, start, &finished);
    Ok((finished, duration))
}

/// Runs `command` to its end without printing.
pub(crate) async fn quietly(command: &mut Command) -> Result<Finished> {
    let mut file = tempfile::tempfile().map_err(io("create a file for the output"))?;
    let errors = file.try_clone().map_err(io("share the file for the output"))?;
    let output = file.try_clone().map_err(io("share the file for the output"))?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors).kill_on_drop(true);
    let (success, complaint) = match tokio::time::timeout(LIMIT, command.status()).await {
        Ok(Ok(status)) => (status.success(), String::new()),
        Ok(Err(error)) => {
            (false, format!("cannot start {}: {error}\n", command.as_std().get_program().display()))
        }
        Err(_) => (false, format!("ended after {} minutes\n", LIMIT.as_secs() / 60)),
    };
    file.write_all(complaint.as_bytes()).map_err(io("add to the output of a step"))?;
    Ok(Finished { success, output: read(file)? })
}

fn read(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(io("read the output of a step"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn io(action: &str) -> impl FnOnce(std::io::Error) -> Error {
    let action = action.to_owned();
    |source| Error::Io { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_outputs_are_kept_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 1"]);
        let finished = quietly(&mut command).await.unwrap();
        assert!(!finished.success);
        assert_eq!(finished.output, "one\ntwo\nthree\n");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failure_that_names_it() {
        let finished = quietly(&mut Command::new("/no/such/program")).await.unwrap();
        assert!(!finished.success);
        assert!(finished.output.contains("/no/such/program"), "{}", finished.output);
    }
}
