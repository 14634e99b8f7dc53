//! `cargo xtask cluster`: a control plane for interactive use.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use sealed_secrets_tests::isolation::{Ground, told_to_stop};
use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::{ControlPlane, Error, Result, SHARED};
use tokio::process::Command;

use crate::inside;

/// Start a control plane and a shell in it; both end together
#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// Runs until the shell ends, or without a terminal until ctrl-C.
pub(crate) async fn run(_: &Arguments) -> Result<ExitCode> {
    let programs = ControlPlanePrograms::prepare()?;
    if Ground::here() == Ground::Outside {
        return inside::again().await;
    }
    let plane = ControlPlane::start(&programs).await?;
    println!("A control plane is running. KUBECONFIG={}", plane.access().kubeconfig().display());
    println!("Its keys, data and logs: {}", plane.access().folder().display());
    println!("{}", how_to_enter(plane.access().kubeconfig().as_path()));
    if !std::io::stdin().is_terminal() {
        println!("It ends with ctrl-C.");
        told_to_stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    println!("This shell is inside; everything ends with it. `kubectl` is on the PATH.");
    open_shell(&plane, &programs).await?;
    Ok(ExitCode::SUCCESS)
}

/// The command with which another terminal enters the isolation.
pub(crate) fn how_to_enter(kubeconfig: &Path) -> String {
    let export = format!("export KUBECONFIG={}", kubeconfig.display());
    match Ground::here() {
        Ground::Namespaces { first_process, of_user } => {
            let user = if of_user { "--user --preserve-credentials " } else { "" };
            let line = format!("nsenter {user}--net --pid --mount --target {first_process}");
            format!("From another terminal: {line}\nand there: {export}")
        }
        Ground::Outside | Ground::Loopback => format!("From another terminal: {export}"),
    }
}

async fn open_shell(plane: &ControlPlane, programs: &ControlPlanePrograms) -> Result<()> {
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        programs.kubectl.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).map_err(|error| Error::Invalid(format!("PATH: {error}")))?;
    let mut command = Command::new(&shell);
    command
        .env("KUBECONFIG", plane.access().kubeconfig())
        .env("PATH", path)
        .env(SHARED, plane.access().folder());
    // The exit code of the shell does not matter.
    let ended = command.status().await;
    ended.map(drop).map_err(|source| Error::Io { action: format!("start {}", shell.display()), source })
}
