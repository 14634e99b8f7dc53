//! The tests that need an API server, on one that all of them share.

use std::ffi::OsString;
use std::process::ExitCode;

use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::{ControlPlanePrograms, UpstreamPrograms, helm, kstatus, lua_health};
use sealed_secrets_tests::{ControlPlane, Error, Result, SHARED, on_existing_installation};
use tokio::process::Command;

use crate::{inside, rights};

/// What needs namespaces: the service proxy, a controller that takes no kubeconfig, and one in a root of its own.
const LEFT_OUT_ON_LOOPBACK: [&str; 3] = ["service_proxy", "upstream", "image::"];

/// How Cargo is told which tests these are. The whole workspace, so that shared dependencies have the same features
/// as in every other step, and are built once.
pub(crate) const SELECTION: [&str; 6] =
    ["--workspace", "--locked", "--features", "sealed-secrets-tests/control-plane", "--test", "api"];

/// Run only the tests that need an API server (all programs must be built)
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the test program: filters and options such as --nocapture
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs inside an isolation, enters one if it is outside.
pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let programs = ControlPlanePrograms::prepare()?;
    UpstreamPrograms::prepare()?;
    kstatus()?;
    helm()?;
    lua_health()?;
    if Ground::here() == Ground::Outside {
        return inside::again().await;
    }
    let plane = ControlPlane::start_audited(&programs).await?;
    let mut command = test_command(&arguments.arguments);
    command.env(SHARED, plane.access().folder()).kill_on_drop(true);
    tokio::select! {
        status = command.status() => {
            let status = status.map_err(|source| Error::Io { action: "start cargo".into(), source })?;
            // Only a full run on the shipped rights shows which of them are needed.
            if status.success() && arguments.arguments.is_empty() && !on_existing_installation() {
                rights::judge(plane.access())?;
            }
            Ok(inside::exit_code(status))
        }
        () = told_to_stop() => Ok(ExitCode::FAILURE),
    }
}

fn test_command(arguments: &[OsString]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--offline"]).args(SELECTION).arg("--").args(arguments);
    if Ground::here() == Ground::Loopback {
        command.args(LEFT_OUT_ON_LOOPBACK.iter().flat_map(|name| ["--skip", name]));
    }
    command
}
