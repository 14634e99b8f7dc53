//! `cargo xtask api-tests`: the tests that need an API server, on one shared control plane.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::{ControlPlanePrograms, UpstreamPrograms, helm, kstatus, lua_health};
use sealed_secrets_tests::{ControlPlane, Error, KEY_SIZE, Result, SHARED, workspace};
use tokio::process::Command;

use crate::test::build;
use crate::{inside, permissions};

/// Tests that need namespaces: the service proxy, a controller without a kubeconfig, and a controller in a root of its own.
const LEFT_OUT_ON_LOOPBACK: [&str; 3] = ["service_proxy", "upstream", "image::"];

/// Tests for each processor: they wait more than they compute.
const TESTS_PER_PROCESSOR: usize = 2;

/// The size of keys in bits where it does not matter to a test.
const SMALL_KEYS: &str = "2048";

/// Run only the tests that need an API server
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The test program, if it has been built already
    #[arg(long)]
    program: Option<PathBuf>,
    /// Fail for a shipped permission that no test needed, and for one that is missing
    #[arg(long)]
    judge_permissions: bool,
    /// Passed on to the test program: filters and options such as --nocapture
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Runs inside an isolation; builds and enters one if it is outside.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let programs = ControlPlanePrograms::prepare()?;
    UpstreamPrograms::prepare()?;
    kstatus()?;
    helm()?;
    lua_health()?;
    if Ground::here() == Ground::Outside {
        if arguments.program.is_none() {
            build::api_tests().await?;
        }
        return inside::again().await;
    }
    let program = match &arguments.program {
        Some(program) => program.clone(),
        // Up to date: it was built outside of the isolation.
        None => build::api_tests().await?.executable,
    };
    let plane = ControlPlane::start_audited(&programs).await?;
    let mut command = test_command(&program, &arguments.options);
    command.env(SHARED, plane.access().folder()).env(KEY_SIZE, SMALL_KEYS).kill_on_drop(true);
    tokio::select! {
        status = command.status() => {
            let status = status.map_err(|source| Error::Io { action: format!("start {}", program.display()), source })?;
            if status.success() && arguments.judge_permissions {
                permissions::judge(plane.access())?;
            }
            Ok(inside::exit_code(status))
        }
        () = told_to_stop() => Ok(ExitCode::FAILURE),
    }
}

fn test_command(program: &PathBuf, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    let threads =
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get) * TESTS_PER_PROCESSOR;
    command
        .current_dir(workspace::root().join("tests"))
        .arg(format!("--test-threads={threads}"))
        .args(arguments);
    if Ground::here() == Ground::Loopback {
        command.args(LEFT_OUT_ON_LOOPBACK.iter().flat_map(|name| ["--skip", name]));
    }
    command
}
