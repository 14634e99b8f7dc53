//! `cargo xtask gitops`: our controller and kubeseal with the tools that deliver manifests, on real control planes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::{ControlPlanePrograms, helm};
use sealed_secrets_tests::sources::files_below;
use sealed_secrets_tests::{Error, Result, TRANSCRIPTS, workspace};
use tokio::process::Command;

use crate::test::build;
use crate::{inside, page};

/// The systems on the page; the names of their tests and sections begin so.
const SYSTEMS: [&str; 2] = ["helm", "kustomize"];

/// Test with Helm and kustomize themselves
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The test program, if it has been built already
    #[arg(long)]
    program: Option<PathBuf>,
    /// Put the transcripts into docs/gitops.md: those of all tests, or of a system that is the only filter
    #[arg(long)]
    write: bool,
    /// Passed on to the test program: filters and options such as --nocapture
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Runs inside an isolation; builds and enters one if it is outside.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    ControlPlanePrograms::prepare()?;
    helm()?;
    if Ground::here() == Ground::Outside {
        if arguments.program.is_none() {
            build::gitops_tests().await?;
        }
        return inside::again().await;
    }
    if Ground::here() == Ground::Loopback {
        return Err(Error::Missing("these tests need the API server's service proxy".into()));
    }
    let program = match &arguments.program {
        Some(program) => program.clone(),
        // Up to date: it was built outside of the isolation.
        None => build::gitops_tests().await?.executable,
    };
    let sections = tempfile::tempdir().map_err(io("create a folder for transcripts"))?;
    let mut command = Command::new(&program);
    command
        .current_dir(workspace::root().join("tests"))
        .args(["--test-threads=2"])
        .args(&arguments.options)
        .env(TRANSCRIPTS, sections.path())
        .kill_on_drop(true);
    let status = tokio::select! {
        status = command.status() => status.map_err(io("start the tests"))?,
        () = told_to_stop() => return Ok(ExitCode::FAILURE),
    };
    for system in SYSTEMS {
        publish(system, sections.path(), arguments.write && status.success())?;
    }
    Ok(inside::exit_code(status))
}

/// Prints the sections about a system, and puts them into the page on request.
fn publish(system: &str, folder: &Path, is_to_be_written: bool) -> Result<()> {
    let is_of_system =
        |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(system));
    let read = |file: &PathBuf| fs::read_to_string(file).map_err(io("read a transcript"));
    let files = files_below(folder, "md")?;
    let sections: Vec<_> = files.iter().filter(is_of_system).map(read).collect::<Result<_>>()?;
    if sections.is_empty() {
        return Ok(());
    }
    let text = sections.join("\n");
    println!("\n{text}");
    if is_to_be_written {
        page::replace("gitops.md", &format!("gitops {system}"), &text)?;
    }
    Ok(())
}

fn io(action: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { action: action.into(), source }
}
