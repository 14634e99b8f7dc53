//! One step: a heading, a command, its duration, and its output if it fails.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

/// A step that hangs is ended: a run must come to its summary.
const LIMIT: Duration = Duration::from_mins(45);

/// How a step ended.
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// Both outputs, in order.
    pub(crate) output: String,
}

/// Cargo, for the workspace, without a prompt.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).env("CARGO_TERM_COLOR", "never");
    command
}

/// Says what starts.
pub(crate) fn heading(name: &str) -> Instant {
    print!("{name:<60}");
    // A terminal that is gone is no reason to stop.
    let _ = std::io::stdout().flush();
    Instant::now()
}

/// Says how it ended, with the output of a failure.
pub(crate) fn closing(start: Instant, finished: &Finished) {
    let word = if finished.success { "ok" } else { "FAILED" };
    println!("{word:<7}{:>6.1} s", start.elapsed().as_secs_f64());
    if !finished.success {
        for line in finished.output.lines().filter(|line| !is_progress(line)) {
            println!("{line}");
        }
    }
}

/// Cargo names every package on its way; of a failure these lines say nothing.
fn is_progress(line: &str) -> bool {
    let first = line.trim_start().split(' ').next();
    line.starts_with(' ') && matches!(first, Some("Checking" | "Compiling" | "Downloaded" | "Documenting"))
}

/// Runs `command` to its end under the heading `name`.
pub(crate) async fn run(name: &str, command: &mut Command) -> Result<Finished> {
    let start = heading(name);
    let finished = quietly(command).await?;
    closing(start, &finished);
    Ok(finished)
}

/// Runs `command` to its end and says nothing.
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
