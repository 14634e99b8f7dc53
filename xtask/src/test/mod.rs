//! Everything that must hold before a change lands.

mod cargo_output;
mod deny;
pub(crate) mod step;
mod steps;
mod summary;

use std::ffi::OsString;
use std::process::ExitCode;

use sealed_secrets_tests::Result;
use sealed_secrets_tests::isolation::told_to_stop;

use self::steps::Steps;

/// Check format, lints, documentation, dependencies, and run all tests
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain one of these; no checks other than tests
    filters: Vec<OsString>,
}

/// Runs all steps, unless it is told to stop; what the current step has started ends with it then.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    tokio::select! {
        code = all_steps(arguments) => code,
        () = told_to_stop() => Ok(ExitCode::FAILURE),
    }
}

/// Goes through all steps, whatever fails, and ends with one summary.
async fn all_steps(arguments: &Arguments) -> Result<ExitCode> {
    let mut steps = Steps::start()?;
    steps.prepare().await?;
    if arguments.filters.is_empty() {
        steps.format().await?;
        steps.lints().await?;
        steps.documentation().await?;
        steps.dependencies().await?;
    }
    steps.tests(&arguments.filters).await?;
    let is_of_image = |filter: &OsString| filter.to_string_lossy().contains("image");
    if arguments.filters.is_empty() || arguments.filters.iter().any(is_of_image) {
        steps.image().await?;
    }
    steps.api_tests(&arguments.filters).await?;
    let summary = steps.summary();
    println!("{summary}");
    Ok(if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
