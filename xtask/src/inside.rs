//! Running this program again inside an isolation.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use sealed_secrets_tests::isolation::{Isolation, RunFolder};
use sealed_secrets_tests::{Error, Result};

/// The base of exit codes for programs that a signal ended, by the shells' convention.
const SIGNALLED: u8 = 128;

/// Runs this program again, with the same arguments, inside an isolation, and returns its exit code.
pub(crate) async fn again() -> Result<ExitCode> {
    again_as(&this_program()?).await
}

/// Runs another build of this program inside an isolation, and returns its exit code.
pub(crate) async fn again_as(program: &Path) -> Result<ExitCode> {
    let isolation = Isolation::detect().await;
    if let Isolation::Loopback { why } = &isolation {
        eprintln!("On loopback, without the service proxy and the original's controller: {why}");
    }
    let folder = RunFolder::create()?;
    let mut command = isolation.command(program, &folder);
    command.args(std::env::args_os().skip(1));
    let status = isolation.run(command).await?;
    if !status.success() && status.code().is_some() {
        eprintln!("Logs of this run: {}", folder.keep_logs().display());
    }
    Ok(exit_code(status))
}

/// The path of this program. Must be called before a build can replace it.
pub(crate) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|source| Error::Io { action: "find the running program".into(), source })
}

/// Converts the exit code of a program to our own.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(SIGNALLED).into()
}
