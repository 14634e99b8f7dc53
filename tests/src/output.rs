//! Programs that run to their end.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Error, IoContext, Result};

/// The result of a finished program.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Runs `command` to its end with `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; a failure of its own is in the output.
    pub fn of(command: &mut Command, input: &str) -> Result<Self> {
        let program = command.get_program().display().to_string();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().when(|| format!("start {program}"))?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // In parallel with the reading, to avoid a deadlock; a program may end without reading its input.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            child.wait_with_output()
        });
        let output = output.when(|| format!("read the output of {program}"))?;
        Ok(Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The standard output if the program succeeded.
    ///
    /// # Errors
    /// [`Error::Program`] with standard error if it did not.
    pub fn ok(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Error::Program(format!("{}: {}", self.status, self.stderr)))
    }
}
