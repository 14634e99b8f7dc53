//! The output of the demo: headings, and a tick for each step.

use sealed_secrets_tests::{Laptop, Result};

/// The output so far.
pub(crate) struct Story {
    chapters: u32,
    steps: u32,
}

impl Story {
    /// Begins the output with a one-line summary.
    pub(crate) fn begin(summary: &str) -> Self {
        println!("{summary}");
        Self { chapters: 0, steps: 0 }
    }

    /// Prints a heading.
    pub(crate) fn chapter(&mut self, heading: &str) {
        self.chapters += 1;
        println!("\n{}. {heading}", self.chapters);
    }

    /// Prints a tick if the step succeeded, else the name of the failed step.
    pub(crate) fn step<T>(&mut self, what: &str, result: Result<T>) -> Result<T> {
        self.steps += 1;
        println!("   {} {what}", if result.is_ok() { "✓" } else { "✗" });
        result
    }

    /// Runs a step that is a command line, which is printed as it is run. Returns its standard output.
    pub(crate) fn command(&mut self, laptop: &Laptop, line: &str) -> Result<String> {
        self.step(&format!("$ {line}"), laptop.shell(line))
    }

    /// Ends the output of a demo without a failed step.
    pub(crate) fn end(self) {
        println!("\nAll {} steps succeeded.", self.steps);
    }
}

/// Prints output of a command.
pub(crate) fn quote(text: &str) {
    for line in text.trim().lines() {
        println!("       {line}");
    }
}
