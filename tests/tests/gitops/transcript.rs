//! A test's section on docs/gitops.md: commands with their output, as they were run.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sealed_secrets_tests::{Laptop, TRANSCRIPTS, until};

/// A generous timeout for a busy machine.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The maximum number of characters in a line of prose on a page.
const WIDTH: usize = 160;

/// A section that is being written. Only a test that reaches [`Transcript::end`] publishes it.
pub(crate) struct Transcript {
    laptop: Laptop,
    file: String,
    text: String,
    is_in_console: bool,
}

impl Transcript {
    /// Begins the section with this number and heading in the part about `system`.
    pub(crate) fn begin(laptop: Laptop, system: &str, number: u32, heading: &str) -> Self {
        let file = format!("{system}-{number:02}.md");
        Self { laptop, file, text: format!("### {heading}\n"), is_in_console: false }
    }

    /// Adds prose.
    pub(crate) fn explain(&mut self, prose: &str) {
        self.close_console();
        writeln!(self.text, "\n{}", wrapped(prose)).unwrap();
    }

    /// Runs a command that succeeds, and returns its output.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.run_to_end(line, true)
    }

    /// Runs a command that fails, and returns its output.
    pub(crate) fn fails(&mut self, line: &str) -> String {
        self.run_to_end(line, false)
    }

    fn run_to_end(&mut self, line: &str, succeeds: bool) -> String {
        let (success, output) = self.output_of(line);
        assert_eq!(success, succeeds, "{line}\n{output}");
        self.record(line, &output);
        output
    }

    /// Runs a command. Returns true if it succeeded, and what it printed.
    fn output_of(&self, line: &str) -> (bool, String) {
        let output = self.laptop.run(line).unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    }

    /// Repeats a command until it succeeds and its output contains `text`. Only the last run is on the page.
    pub(crate) async fn until(&mut self, line: &str, text: &str) -> String {
        let output = self.wait(line, text).await;
        self.record(line, &output);
        output
    }

    /// Repeats a command that is not on the page until it succeeds and its output contains `text`.
    pub(crate) async fn wait(&self, line: &str, text: &str) -> String {
        let mut last = String::new();
        let wanted = || {
            let (success, output) = self.output_of(line);
            last = output;
            std::future::ready((success && last.contains(text)).then(|| last.clone()))
        };
        let result = until(&format!("{line} shows {text:?}"), TIMEOUT, wanted).await;
        result.unwrap_or_else(|error| panic!("{error}; at last: {last}"))
    }

    /// Runs a command that is not on the page.
    pub(crate) fn quietly(&self, line: &str) -> String {
        self.laptop.shell(line).unwrap()
    }

    /// Adds a file to the folder of the laptop and shows it.
    pub(crate) fn write(&mut self, file: &str, content: &str) {
        let path = self.laptop.folder().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self.record(&format!("cat {file}"), content);
    }

    /// Publishes the section.
    pub(crate) fn end(mut self) {
        self.close_console();
        if let Some(folder) = std::env::var_os(TRANSCRIPTS) {
            fs::write(PathBuf::from(folder).join(&self.file), &self.text).unwrap();
        }
    }

    fn record(&mut self, line: &str, output: &str) {
        if !self.is_in_console {
            self.text.push_str("\n```console\n");
            self.is_in_console = true;
        }
        writeln!(self.text, "$ {line}").unwrap();
        for line in output.trim_end().lines() {
            writeln!(self.text, "{}", line.trim_end()).unwrap();
        }
    }

    fn close_console(&mut self) {
        if std::mem::take(&mut self.is_in_console) {
            self.text.push_str("```\n");
        }
    }
}

/// The text in lines of at most [`WIDTH`] characters.
fn wrapped(prose: &str) -> String {
    let mut lines = vec![String::new()];
    for word in prose.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}
