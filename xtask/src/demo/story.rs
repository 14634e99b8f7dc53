//! A short story: headings, and a tick per step.

use sealed_secrets_tests::{Laptop, Result};

/// What has been told so far.
pub(crate) struct Story {
    chapters: u32,
    steps: u32,
}

impl Story {
    /// Begins with its one-line summary.
    pub(crate) fn begin(summary: &str) -> Self {
        println!("{summary}");
        Self { chapters: 0, steps: 0 }
    }

    /// A heading.
    pub(crate) fn chapter(&mut self, heading: &str) {
        self.chapters += 1;
        println!("\n{}. {heading}", self.chapters);
    }

    /// A tick for what succeeded; what failed is named before its error ends the story.
    pub(crate) fn step<T>(&mut self, what: &str, result: Result<T>) -> Result<T> {
        self.steps += 1;
        println!("   {} {what}", if result.is_ok() { "✓" } else { "✗" });
        result
    }

    /// A step that is a command line, shown as it is run. Returns its standard output.
    pub(crate) fn command(&mut self, laptop: &Laptop, line: &str) -> Result<String> {
        self.step(&format!("$ {line}"), laptop.shell(line))
    }

    /// The end that only a story without a failed step has.
    pub(crate) fn end(self) {
        println!("\nAll {} steps succeeded.", self.steps);
    }
}

/// Output worth seeing.
pub(crate) fn quote(text: &str) {
    for line in text.trim().lines() {
        println!("       {line}");
    }
}
