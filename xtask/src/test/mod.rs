//! `cargo xtask test`: all checks that must pass before a change is merged.

pub(crate) mod build;
mod changed;
mod counts;
mod deny;
mod output;
pub(crate) mod step;
mod steps;
mod summary;
mod timings;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use sealed_secrets_tests::Result;
use sealed_secrets_tests::isolation::told_to_stop;

use self::build::TestProgram;
use self::changed::Affected;
use self::step::{Outcome, cargo};
use self::steps::{ApiRun, Options};
use self::summary::Summary;
use crate::inside;

/// Check format, lints, documentation, dependencies, and run all tests
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only tests whose names contain one of these; no other checks
    filters: Vec<OsString>,
    /// Check only the crates that the changes since this revision can affect; uncommitted files count
    #[arg(long, value_name = "REVISION", num_args = 0..=1, default_missing_value = "HEAD", conflicts_with = "filters")]
    changed: Option<String>,
    /// Print the duration of every step, and of the slowest tests
    #[arg(long)]
    timings: bool,
}

/// Download or build the programs that are not built from this workspace
#[derive(clap::Args)]
pub(crate) struct PrepareArguments {}

/// Prepares the programs while this workspace is being built.
pub(crate) fn prepare(_: &PrepareArguments) -> Result<ExitCode> {
    steps::prepare_programs()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs all steps until SIGINT or SIGTERM; the programs of the current steps end then, too.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    tokio::select! {
        code = all_steps(arguments) => code,
        () = told_to_stop() => Ok(ExitCode::FAILURE),
    }
}

/// Runs all steps, also after failures, and prints one summary.
async fn all_steps(arguments: &Arguments) -> Result<ExitCode> {
    let start = Instant::now();
    let affected = match &arguments.changed {
        Some(revision) => Affected::since(revision).await?,
        None => Affected::everything(),
    };
    if !affected.is_everything() {
        println!("{affected}");
    }
    let mut run = TestRun {
        this_program: inside::this_program()?,
        options: Options { filters: &arguments.filters, timings: arguments.timings },
        affected,
        outcomes: Vec::new(),
    };
    run.all().await?;
    if arguments.timings {
        println!("{}", timings::table(&run.outcomes));
    }
    for test in run.outcomes.iter().flat_map(|outcome| &outcome.failed) {
        println!("{test}");
    }
    let summary = Summary::new(&run.outcomes, start.elapsed());
    println!("{summary}");
    Ok(if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const WITHOUT_SERVER: &str = "tests without an API server";
/// The kind of tests that measure times, which need a processor for themselves.
const MEASURING: &str = "timing";

/// A run and its outcomes so far.
struct TestRun<'a> {
    this_program: PathBuf,
    options: Options<'a>,
    affected: Affected,
    outcomes: Vec<Outcome>,
}

impl TestRun<'_> {
    async fn all(&mut self) -> Result<()> {
        let fetched = step::run("crates", &mut cargo(&["fetch", "--locked"])).await?;
        self.outcomes.push(Outcome::of_preparation("crates", fetched.1, fetched.0.success));
        let (prepared, built) = tokio::join!(steps::prepare(&self.this_program), build::everything());
        self.outcomes.push(prepared?);
        let (outcome, programs) = built?;
        let is_built = outcome.rows.is_empty();
        self.outcomes.push(outcome);
        match programs.api {
            // If the tests do not compile, the checks show more.
            None => self.checks().await,
            Some(_) if !is_built => self.checks().await,
            Some(api) if !self.options.filters.is_empty() => self.filtered(&programs.others, &api).await,
            Some(api) => self.full(&programs.others, &api).await,
        }
    }

    /// Runs the tests that the filters choose. Starts a control plane only if one of them needs it.
    async fn filtered(&mut self, programs: &[TestProgram], api: &TestProgram) -> Result<()> {
        self.outcomes.push(steps::tests(WITHOUT_SERVER, programs, self.options).await?);
        let is_of_image = |filter: &OsString| filter.to_string_lossy().contains("image");
        if self.options.filters.iter().any(is_of_image) {
            self.outcomes.push(steps::image().await?);
        }
        let chosen = ApiRun::with("tests with an API server", api, self.options.filters.to_vec());
        if chosen.has_tests().await? {
            self.outcomes.push(chosen.run(&self.this_program, self.options).await?);
        }
        Ok(())
    }

    /// Runs everything that the change can affect. Tests on an API server mostly wait, so the steps that compute, and then the other
    /// runs on an API server, go beside the first one. Tests that measure come last and alone.
    async fn full(&mut self, programs: &[TestProgram], api: &TestProgram) -> Result<()> {
        let (this_program, options, affected) = (&self.this_program, self.options, &self.affected);
        let programs = programs.iter().filter(|program| affected.has(&program.package)).cloned();
        let (measuring, programs): (Vec<_>, Vec<_>) = programs.partition(|program| program.kind == MEASURING);
        let shipped = runs(affected.api_run(api), this_program, options);
        let beside = async {
            let mut outcomes = computing_steps(affected, &programs, options).await?;
            let image = affected.image.then(|| ApiRun::of_the_image(api));
            let existing = affected.is_everything().then(|| ApiRun::on_existing(api));
            outcomes.extend(runs(image.into_iter().chain(existing), this_program, options).await?);
            Ok::<_, sealed_secrets_tests::Error>(outcomes)
        };
        let (shipped, beside) = tokio::join!(shipped, beside);
        self.outcomes.extend(beside?);
        self.outcomes.extend(shipped?);
        self.outcomes.push(steps::tests("measurements", &measuring, options).await?);
        Ok(())
    }

    async fn checks(&mut self) -> Result<()> {
        self.outcomes.push(steps::format().await?);
        self.outcomes.extend(steps::lints().await?);
        Ok(())
    }
}

/// Runs these tests one after another.
async fn runs(
    runs: impl IntoIterator<Item = ApiRun<'_>>,
    this_program: &Path,
    options: Options<'_>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for run in runs {
        outcomes.push(run.run(this_program, options).await?);
    }
    Ok(outcomes)
}

/// Runs the steps that need no API server, one after another: each can use all processors.
async fn computing_steps(
    affected: &Affected,
    programs: &[TestProgram],
    options: Options<'_>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![steps::format().await?];
    outcomes.extend(steps::lints().await?);
    outcomes.push(steps::documentation().await?);
    if affected.is_everything() {
        outcomes.extend(steps::dependencies().await?);
    }
    outcomes.push(steps::tests(WITHOUT_SERVER, programs, options).await?);
    outcomes.push(steps::documentation_examples(options).await?);
    if affected.image {
        outcomes.push(steps::image().await?);
    }
    Ok(outcomes)
}
