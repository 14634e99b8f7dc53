//! `kubeseal`: seals Kubernetes Secrets so that they can be kept in Git.

mod api;
mod certificate;
mod commands;
mod error;
mod escape;
mod flags;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod git;
mod help;
mod http_client;
mod interrupt;
mod io;
mod kubeconfig;
mod options;
mod platform;
mod private_folder;
mod progress;
mod project;
mod prompt;
mod report;
mod retry;
mod service_proxy;
mod session;
mod shell;
mod template_sources;
mod workflow;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::error::Error;
use crate::flags::{CommandLine, UsageError};
use crate::session::Session;

fn main() -> ExitCode {
    if io::is_dumb_terminal() {
        // Where CI is set, the library would send colours to any terminal.
        colorchoice::ColorChoice::Never.write_global();
    }
    let mut words = std::env::args_os();
    let program =
        words.next().map_or_else(|| "kubeseal".to_owned(), |name| name.to_string_lossy().into_owned());
    run(words, &program).unwrap_or_else(|error| report_error(&error, &program))
}

fn run(words: impl Iterator<Item = OsString>, program: &str) -> Result<ExitCode, Error> {
    let not_utf8 = |word: OsString| {
        Error::Argument(format!("the argument {} is not UTF-8; rename the file", word.display()))
    };
    let words: Vec<String> = words.map(OsString::into_string).collect::<Result<_, _>>().map_err(not_utf8)?;
    let words = with_help_flag(words);
    let first = words.first().cloned().unwrap_or_default();
    let line = match CommandLine::parse(words, &commands::SUBCOMMANDS) {
        Err(UsageError::Help) => {
            io::write(None, help::text(program).as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            let verb = flags::mistaken_verb(&first, commands::command);
            return Err(verb.map_or(error.into(), Error::Argument));
        }
        Ok(line) => line,
    };
    for remark in &line.remarks {
        io::warn(remark);
    }
    let (command, cluster) = options::parse(line, commands::command)?;
    commands::run(&command, &Session::new(&cluster), program).map(ExitCode::from)
}

/// `help VERB…` is `VERB… --help`.
fn with_help_flag(mut words: Vec<String>) -> Vec<String> {
    if words.first().is_some_and(|word| word == "help") {
        words.remove(0);
        words.push("--help".to_owned());
    }
    words
}

fn report_error(error: &Error, program: &str) -> ExitCode {
    if let Error::Subcommand(error) = error {
        // If the stream is closed, the message cannot be shown anywhere.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    if let Error::Syntax(error) = error {
        // Scripts find the message where upstream puts it: last on stdout. People find it on stderr.
        let escaped = escape::line(&error.to_string());
        let _ = io::write(None, format!("{}{escaped}\n", help::text(program)).as_bytes());
    }
    io::log(&format!("error: {error}"));
    error.hint().iter().for_each(|line| io::log(line));
    ExitCode::from(error.kind().exit_code())
}
