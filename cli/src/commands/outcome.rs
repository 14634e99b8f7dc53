//! Results of commands.

use std::process::ExitCode;

/// The result of a command, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or there was nothing to do.
    Success,
    /// There are findings.
    Findings,
    /// A part failed, as the report says.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::SUCCESS,
            Outcome::Findings => Self::from(3),
            Outcome::Failed => Self::FAILURE,
        }
    }
}

/// The number of objects of clusters that could not be asked.
pub(super) fn not_checked(objects: usize) -> String {
    format!("not checked: {objects} SealedSecret{}", if objects == 1 { "" } else { "s" })
}
